"""An open gallery answers from one version; what is not a gallery is named."""

import json
import os
import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from indexer.build import build_gallery
from indexer.gallery import EmbeddedGallery
from indexer.protocols import Gallery
from indexer.verify import verify
from model.errors import (
    GalleryMismatchError,
    GalleryNotFoundError,
    ItemNotFoundError,
    StorageError,
)
from tests.indexer.fakes import FakeEncoder, draw_photo


@pytest.fixture
def gallery(index):
    with EmbeddedGallery.open(index) as gallery:
        yield gallery


def encode(path: Path):
    return encode_with(FakeEncoder(), path)


def encode_with(encoder, path: Path):
    from model.images import read_image

    return encoder.encode([encoder.prepare(read_image(path))])


def test_an_embedded_gallery_keeps_the_protocol(gallery):
    promised: Gallery = gallery
    assert promised.stamp.items == len(promised) == promised.num_products() == 20


@pytest.mark.parametrize("number", [0, 7, 19])
def test_every_photo_finds_itself(gallery, photos, number):
    item_id = f"part{number % 2}/{number:04}.jpg"
    [found] = gallery.recall(encode(photos / item_id).global_feature, 3)
    assert gallery.read_items(found.rows)[0].item_id == item_id
    assert found.scores[0] == pytest.approx(1, abs=1e-5)


def test_recall_equals_brute_force_over_the_stored_features(gallery):
    rows = np.array([gallery.find_row(f"part{n % 2}/{n:04}.jpg") for n in range(20)])
    stored = np.concatenate([gallery.read_encoded(int(row)).global_feature for row in rows])
    query = np.array([[0.1, 0.9, 0.3, 0.3]], np.float32)
    [found] = gallery.recall(query, 5)
    np.testing.assert_array_equal(found.rows, rows[np.argsort(-(stored @ query[0]))[:5]])


@pytest.mark.parametrize("token_budget_mb", [0, 2048])
def test_tokens_come_in_the_order_asked_for_from_memory_and_disk(index, token_budget_mb):
    with EmbeddedGallery.open(index, token_budget_mb=token_budget_mb) as gallery:
        assert gallery.has_resident_tokens == bool(token_budget_mb)
        rows = np.array([11, 2, 17, 2])
        block = gallery.read_tokens(rows)
        for i, row in enumerate(rows):
            alone = gallery.read_tokens(np.array([row]))
            np.testing.assert_array_equal(block.tokens[i], alone.tokens[0])
        assert block.tokens.shape == (4, 2, 4, 8)
        assert block.tokens.dtype == np.int8
        assert block.scales.dtype == block.mass.dtype == np.float32
        np.testing.assert_allclose(block.mass, 0.25, atol=2e-3)


def test_memory_and_disk_give_the_same_tokens(index):
    rows = np.arange(20)
    with (
        EmbeddedGallery.open(index) as memory,
        EmbeddedGallery.open(index, token_budget_mb=0) as disk,
    ):
        for one, other in zip(memory.read_tokens(rows), disk.read_tokens(rows), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_stored_item_reads_back_as_it_was_encoded(gallery, photos):
    encoded = encode(photos / "part0/0004.jpg")
    stored = gallery.read_encoded(gallery.find_row("part0/0004.jpg"))
    np.testing.assert_allclose(stored.global_feature, encoded.global_feature, atol=1e-5)
    np.testing.assert_allclose(stored.tokens, encoded.tokens, atol=5e-3)
    np.testing.assert_allclose(stored.geometry, encoded.geometry, atol=2.1e-3)
    np.testing.assert_allclose(stored.mass, encoded.mass, atol=2e-3)


def test_metadata_keeps_its_types(photos, encoder, tmp_path):
    (photos / "gallery.csv").write_text(
        "image,product_id,price,day,sale\n"
        "part0/0000.jpg,P1,52,2024-05-31,true\npart0/0002.jpg,P1,9.5,,\n"
    )
    build_gallery(photos, tmp_path / "index", encoder)
    with EmbeddedGallery.open(tmp_path / "index") as gallery:
        first, second = gallery.read_items(np.array([0, 1]))
        assert first.metadata == {"price": 52.0, "day": date(2024, 5, 31), "sale": True}
        assert second.metadata == {"price": 9.5, "day": None, "sale": None}
        assert gallery.metadata_columns() == {"price": "float", "day": "date", "sale": "bool"}
        assert (gallery.num_products(), first.product_id) == (1, "P1")
        assert (first.uri, first.width, first.height) == ("part0/0000.jpg", 64, 64)


@pytest.mark.parametrize("name", ["it's a 'shirt'.jpg", "👕 new.jpg", "a`b.jpg", 'say "x".jpg'])
def test_items_with_unusual_names_are_found(photos, encoder, tmp_path, name):
    draw_photo(photos / name, 50)
    build_gallery(photos, tmp_path / "index", encoder)
    with EmbeddedGallery.open(tmp_path / "index") as gallery:
        [item] = gallery.read_items(np.array([gallery.find_row(name)]))
        assert item.item_id == name


def test_a_name_that_is_not_text_is_indexed_under_its_escaped_form(photos, encoder, tmp_path):
    draw_photo(tmp_path / "plain.jpg", 50).rename(photos / os.fsdecode(b"caf\xe9.jpg"))
    report = build_gallery(photos, tmp_path / "index", encoder)
    assert (report.items, report.failed) == (21, 0)
    with EmbeddedGallery.open(tmp_path / "index") as gallery:
        assert gallery.read_thumbnail("caf\\xe9.jpg")


def test_an_unknown_item_is_named(gallery):
    with pytest.raises(ItemNotFoundError, match=r"no item 'nope'"):
        gallery.find_row("nope")
    with pytest.raises(ItemNotFoundError, match=r"no item 'nope'"):
        gallery.read_thumbnail("nope")


def test_a_row_of_another_gallery_is_refused(index):
    for budget in (0, 2048):
        with (
            EmbeddedGallery.open(index, token_budget_mb=budget) as gallery,
            pytest.raises(StorageError, match="open the index again"),
        ):
            gallery.read_tokens(np.array([3, 999]))


def test_another_checkpoint_is_refused(gallery):
    with pytest.raises(GalleryMismatchError, match=r"built with checkpoint .* is loaded; leave"):
        gallery.require_fingerprint(FakeEncoder("other").fingerprint)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "there is no index at"),
        (Path.touch, "is a file; expected the folder"),
        (Path.mkdir, "is not an index: it has no manifest.json"),
    ],
)
def test_what_is_not_an_index_is_refused(tmp_path, make, sentence):
    make(tmp_path / "index")
    with pytest.raises(GalleryNotFoundError, match=sentence):
        EmbeddedGallery.open(tmp_path / "index")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format_version": "x"}', "{}"])
def test_a_damaged_manifest_is_named(index, text):
    (index / "manifest.json").write_text(text)
    with pytest.raises(StorageError, match=r"manifest.json is damaged"):
        EmbeddedGallery.open(index)


def test_an_index_of_a_newer_program_is_refused(index):
    (index / "manifest.json").write_text('{"format_version": 4, "future": true}')
    with pytest.raises(GalleryMismatchError, match=r"format 4, and this program reads up to 3"):
        EmbeddedGallery.open(index)


def test_a_missing_dataset_is_named(index):
    shutil.rmtree(index / "gallery.lance")
    with pytest.raises(StorageError, match="a file is missing"):
        EmbeddedGallery.open(index)


@pytest.mark.parametrize("part", ["data", "_versions"])
@pytest.mark.parametrize("cut", [0, 10])
def test_a_damaged_dataset_is_named(index, part, cut):
    for path in (index / "gallery.lance" / part).iterdir():
        path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(StorageError, match=r"gallery.lance.*--overwrite"):
        EmbeddedGallery.open(index)


def test_a_manifest_of_another_dataset_is_refused(index, tmp_path):
    text = (index / "manifest.json").read_text().replace('"global_dim": 4', '"global_dim": 5')
    (index / "manifest.json").write_text(text)
    with pytest.raises(StorageError, match=r"columns of .* are not those"):
        EmbeddedGallery.open(index)


@pytest.mark.parametrize("name", ["recall.faiss", "recall.json"])
def test_a_lost_recall_index_is_derived_again(index, gallery, name):
    query = np.ones((1, 4), np.float32)
    expected = gallery.recall(query, 5)[0]
    (index / name).unlink()
    with EmbeddedGallery.open(index) as opened:
        np.testing.assert_array_equal(opened.recall(query, 5)[0].rows, expected.rows)
    assert (index / name).exists()


def test_an_open_gallery_does_not_see_later_changes(photos, index, encoder):
    from indexer.update import remove

    with EmbeddedGallery.open(index, token_budget_mb=0) as before:
        remove(["part0/0000.jpg"], index)
        assert len(before) == 20
        assert before.read_items(np.array([0]))[0].item_id == "part0/0000.jpg"
        assert before.read_tokens(np.array([0])).tokens.any()
        with EmbeddedGallery.open(index) as after:
            assert (len(after), after.num_products()) == (19, 19)
            assert after.stamp.version > before.stamp.version


@pytest.fixture
def granular(photos, tmp_path):
    """An index whose first stage compares tokens: 4 tokens of 8."""
    encoder = FakeEncoder(recall_vector="granular")
    build_gallery(photos, tmp_path / "granular", encoder)
    return tmp_path / "granular"


def test_a_recall_vector_of_its_own_is_stored_and_recorded(granular, photos):
    with EmbeddedGallery.open(granular) as gallery:
        facts = gallery.manifest
        assert (facts.recall, facts.dims.recall_dim, facts.format_version) == ("granular", 32, 2)
        stored = gallery.read_encoded(gallery.find_row("part1/0007.jpg"))
        assert (stored.global_feature.shape, stored.recall.shape) == ((1, 4), (1, 32))
        [found] = gallery.recall(stored.recall, 3)
        assert gallery.read_items(found.rows)[0].item_id == "part1/0007.jpg"


@pytest.mark.parametrize("token_budget_mb", [0, 2048])
def test_global_features_come_with_the_tokens_where_recall_did_not_compare_them(
    granular, token_budget_mb
):
    with EmbeddedGallery.open(granular, token_budget_mb=token_budget_mb) as gallery:
        assert gallery.has_resident_tokens == bool(token_budget_mb)
        rows = np.array([11, 2, 2])
        found = gallery.read_tokens(rows).global_feature
        stored = [gallery.read_encoded(int(row)).global_feature[0] for row in rows]
        np.testing.assert_array_equal(found, stored)


def test_the_global_feature_is_not_stored_or_read_twice(gallery):
    assert "recall" not in gallery._store.schema.names
    assert gallery.read_tokens(np.array([1])).global_feature is None


def test_an_index_of_format_1_opens_as_one_that_recalls_by_the_global_feature(index, photos):
    facts = json.loads((index / "manifest.json").read_text())
    facts["format_version"] = 1
    del facts["recall"], facts["dims"]["recall_dim"]
    (index / "manifest.json").write_text(json.dumps(facts))
    with EmbeddedGallery.open(index) as gallery:
        assert gallery.manifest.recall == "global"
        [found] = gallery.recall(encode(photos / "part0/0004.jpg").recall, 1)
        assert gallery.read_items(found.rows)[0].item_id == "part0/0004.jpg"


def test_photos_added_to_it_get_the_recall_vector_of_the_gallery(granular, tmp_path):
    from indexer.checkpoint import GivenEncoder
    from indexer.update import add

    draw_photo(tmp_path / "new" / "new.jpg", 77)
    encoder = FakeEncoder(recall_vector="granular")
    add(tmp_path / "new", granular, GivenEncoder(encoder))
    with EmbeddedGallery.open(granular) as gallery:
        row = gallery.find_row("new.jpg")
        stored = gallery.read_encoded(row).recall
        np.testing.assert_allclose(stored, encode_with(encoder, tmp_path / "new/new.jpg").recall)
        assert gallery.recall(stored, 1)[0].rows.tolist() == [row]
    assert verify(granular).problems == []
