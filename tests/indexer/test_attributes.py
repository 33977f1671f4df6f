"""Attributes of an index on the disk and in memory: what is read, refused, kept and dropped."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.attribute_cache import EmbeddingCache, embed_rows
from indexer.attribute_files import add_learned, remove_learned
from indexer.attributes import AttributeSet, read_attributes
from indexer.build import build_gallery
from indexer.gallery import EmbeddedGallery
from indexer.requests import SearchRequest
from model.attributes.heads import AttributeHeads, save_heads
from model.errors import CheckpointError, GalleryMismatchError, ParameterError
from tests.indexer.aligner import Aligner
from tests.indexer.conftest import small
from tests.indexer.fakes import FakeEncoder
from tests.indexer.garments import build_garments, draw_garment, make_heads, open_garments

FINGERPRINT = Aligner().fingerprint


@pytest.fixture
def garments(tmp_path: Path) -> Path:
    return build_garments(tmp_path)


def rebuild(index: Path, encoder: FakeEncoder | None = None, **options: Any) -> None:
    chosen = small(id_column="item_id", **options)
    build_gallery(index.parent / "garments", index, encoder or Aligner(), options=chosen)


def names(index: Path) -> tuple[str, ...]:
    with EmbeddedGallery.open(index) as gallery:
        return gallery.attributes.names


def test_a_build_brings_the_heads_it_is_given(garments: Path) -> None:
    with EmbeddedGallery.open(garments) as gallery:
        [top, bottom] = gallery.attributes.describe()
    assert (top.name, bottom.name) == ("top", "bottom")
    assert (top.values, top.quality, top.learned) == (("blue", "green", "red"), 0.5, False)


def test_a_build_brings_the_programs_own_heads_where_they_fit(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("indexer.attribute_files.ATTRIBUTES", tmp_path / "heads.safetensors")
    index = build_garments(tmp_path, attributes=None)
    assert names(index) == ("top", "bottom")
    before = read_attributes(index / "attributes", FINGERPRINT)
    rebuild(index)
    assert read_attributes(index / "attributes", FINGERPRINT, before) == before
    rebuild(index, FakeEncoder("another"), overwrite=True)
    assert names(index) == ()


def test_an_index_from_before_gets_them_by_building_again(garments: Path, tmp_path: Path) -> None:
    for path in (garments / "attributes").iterdir():
        path.unlink()
    assert names(garments) == ()
    encoder = Aligner()
    rebuild(garments, encoder, attributes=tmp_path / "heads.safetensors")
    assert (names(garments), encoder.batches) == (("top", "bottom"), [])


def test_heads_of_another_checkpoint_are_refused(garments: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.safetensors"
    save_heads(make_heads("sleeve", encoder=FakeEncoder("another")), foreign)
    with pytest.raises(GalleryMismatchError, match=r"foreign\.safetensors read tokens"):
        rebuild(garments, attributes=foreign)
    foreign.rename(garments / "attributes/foreign.safetensors")
    with pytest.raises(GalleryMismatchError, match="use the attributes of that checkpoint"):
        EmbeddedGallery.open(garments)


def test_a_foreign_file_stops_a_build_before_it_encodes(tmp_path: Path) -> None:
    encoder = Aligner()
    foreign = tmp_path / "foreign.safetensors"
    save_heads(make_heads(encoder=FakeEncoder("another")), foreign)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.png").write_bytes(draw_garment("rg"))
    options = small(attributes=foreign)
    with pytest.raises(GalleryMismatchError):
        build_gallery(tmp_path / "photos", tmp_path / "index", encoder, options=options)
    assert sum(encoder.batches) <= 1  # one photo tells the sizes of what is stored


def test_damaged_heads_and_a_name_held_twice_are_refused(garments: Path) -> None:
    save_heads(make_heads("top"), garments / "attributes/more.safetensors")
    with pytest.raises(GalleryMismatchError, match="both hold the attribute 'top'"):
        EmbeddedGallery.open(garments)
    (garments / "attributes/more.safetensors").write_bytes(b"torn")
    with pytest.raises(CheckpointError, match=r"more\.safetensors cannot be read"):
        EmbeddedGallery.open(garments)


@pytest.mark.parametrize("name", ["", "Top", "a/b", "..", "-a", "a" * 65, "größe"])
def test_a_name_that_cannot_be_a_files_is_refused(garments: Path, name: str) -> None:
    with pytest.raises(ParameterError, match="cannot be called"):
        add_learned(garments / "attributes", FINGERPRINT, make_heads(name))


def test_only_learned_attributes_can_be_removed(garments: Path) -> None:
    folder = garments / "attributes"
    with pytest.raises(ParameterError, match="'top' already; choose another name"):
        add_learned(folder, FINGERPRINT, make_heads("top"))
    assert add_learned(folder, FINGERPRINT, make_heads("left")).describe()[-1].learned
    with pytest.raises(ParameterError, match="'top' belongs to the checkpoint"):
        remove_learned(folder, FINGERPRINT, "top")
    with pytest.raises(ParameterError, match="no attribute 'right'; known are: top, bottom, left"):
        remove_learned(folder, FINGERPRINT, "right")
    remove_learned(folder, FINGERPRINT, "left")
    assert names(garments) == ("top", "bottom")


def test_what_was_learned_stays_beside_heads_of_the_same_name(
    garments: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    add_learned(garments / "attributes", FINGERPRINT, make_heads("left"))
    save_heads(make_heads("left", "right"), tmp_path / "newer.safetensors")
    with pytest.raises(ParameterError, match="'left', which this gallery learned"):
        rebuild(garments, attributes=tmp_path / "newer.safetensors")
    monkeypatch.setattr("indexer.attribute_files.ATTRIBUTES", tmp_path / "newer.safetensors")
    rebuild(garments)
    assert names(garments) == ("right", "left")


def test_a_rebuild_keeps_what_was_learned_if_the_checkpoint_is_the_same(
    garments: Path, tmp_path: Path
) -> None:
    add_learned(garments / "attributes", FINGERPRINT, make_heads("left"))
    rebuild(garments, overwrite=True, attributes=tmp_path / "heads.safetensors")
    assert names(garments) == ("top", "bottom", "left")
    assert not (garments / "attributes").exists()
    rebuild(garments, FakeEncoder("another"), overwrite=True)
    assert names(garments) == ()


KILLED = """
import os, signal, sys
from pathlib import Path
from indexer.attribute_files import add_learned
from tests.indexer.garments import make_heads
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
Path.replace = die if sys.argv[2] == "before" else Path.replace
os.fsync = die if sys.argv[2] == "sync" else os.fsync
add_learned(Path(sys.argv[1]), make_heads().fingerprint, make_heads("left"))
"""


@pytest.mark.parametrize("moment", ["sync", "before"])
def test_a_kill_between_write_and_rename_leaves_nothing(garments: Path, moment: str) -> None:
    folder = garments / "attributes"
    command = [sys.executable, "-c", KILLED, str(folder), moment]
    assert subprocess.run(command, capture_output=True, timeout=120).returncode == -9
    assert any(path.name.startswith(".") for path in folder.iterdir())
    assert names(garments) == ("top", "bottom")
    add_learned(folder, FINGERPRINT, make_heads("left"))
    assert sorted(os.listdir(folder)) == ["checkpoint.safetensors", "learned-left.safetensors"]


def test_files_that_did_not_change_are_not_read_again(garments: Path) -> None:
    folder = garments / "attributes"
    first = read_attributes(folder, FINGERPRINT)
    again = add_learned(folder, FINGERPRINT, make_heads("left"))
    assert read_attributes(folder, FINGERPRINT, first).find("top") is first.find("top")
    newer = read_attributes(folder, FINGERPRINT, again)
    assert newer.find("left") is again.find("left")
    assert read_attributes(garments / "nowhere", FINGERPRINT) == AttributeSet()


class CountingHeads(AttributeHeads):
    """Counts the images it embeds."""

    def __init__(self, *names: str) -> None:
        heads = make_heads(*names)
        super().__init__(heads.fingerprint, heads.infos, heads.scaling, heads.maps)
        self.embedded = 0

    def embed(self, name: str, tokens: Any, mass: Any, geometry: Any) -> Any:
        self.embedded += len(tokens)
        return super().embed(name, tokens, mass, geometry)


def test_items_are_embedded_once_and_take_six_bytes_each(garments: Path) -> None:
    heads, cache = CountingHeads("top"), EmbeddingCache()
    with EmbeddedGallery.open(garments) as gallery:
        first = cache.read("top", heads, 1, gallery)
        assert cache.read("top", heads, 1, gallery) is first
        assert heads.embedded == 9
        assert first.vectors.nbytes == 9 * 3 * 2
        exact = heads.embed("top", *_encode(["rr", "bg"]))
        rows = [gallery.find_row("rr"), gallery.find_row("bg")]
        np.testing.assert_allclose(
            first.vectors[np.searchsorted(first.rows, rows)], exact[:, :3], atol=0.01
        )


def test_what_does_not_fit_is_dropped_the_longest_unused_first(garments: Path) -> None:
    heads = CountingHeads("top", "bottom", "left")
    one = 9 * (3 * 2 + 8)
    cache = EmbeddingCache(budget_mb=2 * one / 1e6)
    with EmbeddedGallery.open(garments) as gallery:
        for name in ("top", "bottom", "top", "left"):
            cache.read(name, heads, 1, gallery)
        assert (cache.names, cache.num_bytes) == (("top", "left"), 2 * one)
        nothing = EmbeddingCache(budget_mb=0)
        again = nothing.read("top", heads, 1, gallery)
        assert (nothing.num_bytes, len(again.rows)) == (0, 9)


def test_only_noted_changes_are_computed_again_in_both_directions(garments: Path) -> None:
    heads, cache = CountingHeads("top"), EmbeddingCache()
    with EmbeddedGallery.open(garments) as gallery:
        cache.read("top", heads, 1, gallery)
        cache.note_change(2, gallery.rows()[2:4])
        cache.note_change(4, gallery.rows()[3:5])
        cache.read("top", heads, 4, gallery)
        assert heads.embedded == 9 + 3
        cache.read("top", heads, 2, gallery)  # an older state: two rows differ from the newest
        cache.read("top", heads, 4, gallery)
        assert heads.embedded == 9 + 3 + 2
        other = CountingHeads("top")
        cache.read("top", other, 4, gallery)
        assert other.embedded == 9


def test_changes_too_long_ago_are_not_trusted(garments: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("indexer.attribute_cache._MOST_CHANGES", 3)
    heads, cache = CountingHeads("top"), EmbeddingCache()
    with EmbeddedGallery.open(garments) as gallery:
        cache.read("top", heads, 1, gallery)
        cache.note_change(2, gallery.rows()[:2])
        cache.note_change(3, gallery.rows()[:2])
        cache.read("top", heads, 3, gallery)
        assert heads.embedded == 18
        monkeypatch.setattr("indexer.attribute_cache._MOST_COMMITS", 0)
        cache.note_change(4, gallery.rows()[:0])
        cache.read("top", heads, 4, gallery)
        assert heads.embedded == 27


@pytest.mark.parametrize("resident", [True, False])
def test_tokens_in_memory_and_on_disk_say_the_same(garments: Path, resident: bool) -> None:
    engine = open_garments(garments, token_budget_mb=100 if resident else 0)
    gallery = engine._gallery
    assert isinstance(gallery, EmbeddedGallery)
    assert gallery.has_resident_tokens == resident
    found = embed_rows("top", gallery.attributes.find("top"), gallery, gallery.rows())
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-3)
    hits = engine.search(draw_garment("gw"), SearchRequest(k=3, attributes={"top": 1})).hits
    assert {hit.item.item_id[0] for hit in hits} == {"g"}


def _encode(looks: list[str]) -> tuple[Any, Any, Any]:
    from io import BytesIO

    from PIL import Image

    encoder = FakeEncoder()
    photos = [encoder.prepare(Image.open(BytesIO(draw_garment(look)))) for look in looks]
    encoded = encoder.encode(photos)
    return encoded.tokens, encoded.mass, encoded.geometry
