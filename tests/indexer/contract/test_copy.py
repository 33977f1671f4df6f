"""A gallery moves to a Milvus server and back with every item; killed, it goes on."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.build import build_gallery
from indexer.milvus import copying
from indexer.milvus.address import Address
from indexer.milvus.copying import copy_to_milvus
from indexer.milvus.facts import MANIFEST, Facts
from indexer.milvus.opening import open_gallery
from indexer.milvus.returning import copy_from_milvus
from indexer.milvus.server import Server
from indexer.update import remove
from indexer.verify import verify
from model.errors import (
    GalleryExistsError,
    GalleryMismatchError,
    GalleryNotFoundError,
    ParameterError,
    StorageError,
)
from tests.indexer.conftest import read_content, small
from tests.indexer.contract.conftest import drop, make_address
from tests.indexer.fakes import FakeEncoder, draw_photos

COUNT = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    root: Path = tmp_path_factory.mktemp("copy")
    photos = draw_photos(root / "photos", COUNT)
    checkpoint = root / "checkpoint"
    checkpoint.write_bytes(bytes(range(256)) * 400)  # three pieces
    build_gallery(photos, root / "index", FakeEncoder(), checkpoint=checkpoint, options=small())
    return root / "index"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[Address]:
    address = make_address(tmp_path, "copy")
    yield address
    drop(address)


@pytest.fixture
def server(address: Address) -> Iterator[Server]:
    server = Server(address)
    yield server
    server.close()


def without_rows(index: Path) -> list[dict[str, Any]]:
    rows = [{k: v for k, v in row.items() if k != "_rowid"} for row in read_content(index)]
    return sorted(rows, key=lambda row: str(row["item_id"]))


def test_there_and_back_every_item_and_file_is_the_same(folder, address, tmp_path) -> None:
    there = copy_to_milvus(folder, address)
    assert (there.items, there.copied, there.verified, there.products) == (COUNT,) * 4
    back = copy_from_milvus(address, tmp_path / "back")
    assert (back.items, back.verified) == (COUNT, COUNT)
    assert without_rows(tmp_path / "back") == without_rows(folder)
    name = "checkpoint.safetensors"
    assert (tmp_path / "back" / name).read_bytes() == (folder / name).read_bytes()
    assert verify(tmp_path / "back").problems == []


def test_a_copy_that_was_killed_is_no_gallery_and_goes_on(
    folder, address, server, monkeypatch
) -> None:
    monkeypatch.setattr(copying, "BATCH", 2)
    write, written = Server.upsert, list[int]()

    def die(self: Server, collection: str, entities: Any) -> None:
        if "digest" in (entities[0] if entities else {}):
            if len(written) == 2:
                raise KeyboardInterrupt
            written.append(len(entities))
        write(self, collection, entities)

    monkeypatch.setattr(Server, "upsert", die)
    with pytest.raises(KeyboardInterrupt):
        copy_to_milvus(folder, address)
    with pytest.raises(GalleryNotFoundError, match=r"copy to .* is not finished; run the same"):
        open_gallery(server)
    monkeypatch.setattr(Server, "upsert", write)
    report = copy_to_milvus(folder, address)
    assert (report.copied, report.verified) == (COUNT - 4, COUNT)
    assert len(open_gallery(server)) == COUNT


def test_an_existing_gallery_is_replaced_only_when_asked_and_without_a_gap(
    folder, address, server, tmp_path
) -> None:
    copy_to_milvus(folder, address)
    with pytest.raises(GalleryExistsError, match="replace it with --overwrite"):
        copy_to_milvus(folder, address)
    before = open_gallery(server)
    copy_to_milvus(folder, address, overwrite=True)
    after = open_gallery(server)
    assert after.collection != before.collection
    assert after.stamp.version > before.stamp.version
    assert before.read_thumbnail("part0/0000.jpg")  # who searched it still can
    copy_to_milvus(folder, address, overwrite=True, drop_old=True)
    assert len(server.list_generations()) == 1


def test_an_unfinished_copy_of_another_gallery_is_not_mixed_in(folder, address, server) -> None:
    copy_to_milvus(folder, address)
    server.client.drop_alias(address.collection)
    Facts(server, server.name_generation(1)).write(MANIFEST, b"{}")
    with pytest.raises(GalleryExistsError, match="unfinished copy of another gallery"):
        copy_to_milvus(folder, address)
    assert copy_to_milvus(folder, address, overwrite=True).copied == COUNT


def test_what_the_folder_lost_since_an_interrupted_copy_goes(
    folder, address, server, tmp_path
) -> None:
    copy_to_milvus(folder, address)
    server.client.drop_alias(address.collection)
    shutil.copytree(folder, tmp_path / "less")
    remove(["part0/0000.jpg"], tmp_path / "less")
    report = copy_to_milvus(tmp_path / "less", address)
    assert (report.copied, report.removed, report.verified) == (0, 1, COUNT - 1)


def test_a_server_that_does_not_keep_what_it_is_given_is_found_out(
    folder, address, monkeypatch
) -> None:
    write = Server.upsert

    def lose(self: Server, collection: str, entities: Any) -> None:
        changed = [
            {**e, "details": "A" * len(e["details"])} if e.get("item_id") == "part0/0002.jpg" else e
            for e in entities
        ]
        write(self, collection, changed)

    monkeypatch.setattr(Server, "upsert", lose)
    with pytest.raises(StorageError, match=r"1 items of .* are not what was written, such as"):
        copy_to_milvus(folder, address)


def test_a_collection_of_another_program_is_left_alone(folder, address, server) -> None:
    server.client.create_collection(address.collection, dimension=4)
    with pytest.raises(GalleryMismatchError, match="is a collection of another program"):
        copy_to_milvus(folder, address, overwrite=True)
    with pytest.raises(GalleryMismatchError, match="is a collection of another program"):
        open_gallery(server)


def test_a_missing_gallery_says_how_to_make_one(address, server) -> None:
    with pytest.raises(GalleryNotFoundError, match=r"there is no gallery at .*copy --from DIR"):
        open_gallery(server)


def test_a_collection_that_another_program_changed_is_refused(folder, address, server) -> None:
    copy_to_milvus(folder, address)
    facts = Facts(server, server.name_generation(1))
    manifest = facts.read_manifest()
    dims = manifest.dims.model_copy(update={"global_dim": 5})
    other = manifest.model_copy(update={"dims": dims})
    facts.write(MANIFEST, other.model_dump_json().encode())
    with pytest.raises(GalleryMismatchError, match=r"fields of .* are not those .*\(recall\)"):
        open_gallery(server)
    facts.write(MANIFEST, b"{}")
    with pytest.raises(StorageError, match=r"manifest of .* is missing, damaged"):
        open_gallery(server)
    server.client.drop_collection(server.name_generation(1) + "_facts")
    with pytest.raises(GalleryMismatchError, match="lost what lies beside its items"):
        open_gallery(server)


def test_an_index_folder_is_not_written_over(folder, address, tmp_path) -> None:
    copy_to_milvus(folder, address)
    with pytest.raises(GalleryExistsError, match="is an index already; choose a new folder"):
        copy_from_milvus(address, folder)


def test_tokens_that_fit_no_field_are_refused_before_anything_is_written(
    tmp_path, address, server
) -> None:
    class Wide(FakeEncoder):
        def encode(self, prepared: Any) -> Any:
            found = super().encode(prepared)
            wide = np.zeros((*found.tokens.shape[:3], 7000), np.float32)
            wide[..., :8] = found.tokens
            return found._replace(tokens=wide)

    build_gallery(draw_photos(tmp_path / "p", 2), tmp_path / "index", Wide(), options=small())
    with pytest.raises(ParameterError, match=r"come to 74,\d+ characters, and a field of Milvus"):
        copy_to_milvus(tmp_path / "index", address)
    assert server.list_collections() == []


def test_a_text_that_fits_no_field_is_named(tmp_path, address) -> None:
    photos = draw_photos(tmp_path / "p", 2)
    lines = ["image,title", f"part0/0000.jpg,{'long ' * 14_000}", "part1/0001.jpg,short"]
    (photos / "gallery.csv").write_text("\n".join(lines) + "\n")
    build_gallery(photos, tmp_path / "index", FakeEncoder(), options=small())
    words = r"c0_title of item 'part0/0000.jpg' has 70,000 bytes, .* at most 65,535; shorten it"
    with pytest.raises(ParameterError, match=words):
        copy_to_milvus(tmp_path / "index", address)


@pytest.mark.parametrize("kind", ["HNSW", "IVF_FLAT", "IVF_SQ8"])
def test_every_index_finds_the_photo_itself_and_all_that_fit_a_condition(
    folder, address, server, kind
) -> None:
    assert copy_to_milvus(folder, address, index_kind=kind).index_kind == kind
    gallery = open_gallery(server)
    row = gallery.find_row("part1/0003.jpg")
    query = gallery.read_encoded(row).recall
    assert gallery.recall(query, 1)[0].rows.tolist() == [row]
    assert len(gallery.recall(query, COUNT)[0].rows) == COUNT
    some = gallery.narrow("`item_id` LIKE 'part0%'")
    assert len(gallery.recall(query, COUNT, some)[0].rows) == COUNT // 2
