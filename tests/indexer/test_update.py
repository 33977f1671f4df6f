"""Items are added, replaced and removed; the rest stays as it was."""

import shutil

import numpy as np
import pytest

from indexer.build import build_gallery
from indexer.checkpoint import GivenEncoder
from indexer.failures import read_failures
from indexer.gallery import EmbeddedGallery
from indexer.update import add, remove
from model.errors import (
    GalleryBusyError,
    GalleryMismatchError,
    GalleryNotFoundError,
    ItemNotFoundError,
    SourceError,
)
from tests.indexer.conftest import read_content, small
from tests.indexer.fakes import FakeEncoder, draw_photo


def run_add(source, index, encoder=None, **options):
    return add(source, index, GivenEncoder(encoder or FakeEncoder()), options=small(**options))


def by_id(index):
    return {row["item_id"]: row for row in read_content(index)}


def test_adding_the_same_photos_changes_nothing(photos, index):
    before, encoder = read_content(index), FakeEncoder()
    report = run_add(photos, index, encoder)
    assert (report.added, report.updated, report.unchanged) == (0, 0, 20)
    assert encoder.batches == []
    assert read_content(index) == before


def test_new_photos_are_added_and_changed_ones_replaced(photos, index):
    before = by_id(index)
    draw_photo(photos / "new.jpg", 70)
    draw_photo(photos / "part0" / "0004.jpg", 71)
    report = run_add(photos, index)
    after = by_id(index)
    assert (report.added, report.updated, report.unchanged, report.items) == (1, 1, 19, 21)
    assert after["part0/0004.jpg"]["global"] != before["part0/0004.jpg"]["global"]
    assert after["part0/0004.jpg"]["_rowid"] == before["part0/0004.jpg"]["_rowid"]
    assert after["part0/0006.jpg"] == before["part0/0006.jpg"]


def test_added_photos_are_found_by_recall(photos, index):
    draw_photo(photos / "new.jpg", 70)
    run_add(photos, index)
    with EmbeddedGallery.open(index) as gallery:
        row = gallery.find_row("new.jpg")
        [found] = gallery.recall(gallery.read_encoded(row).global_feature, 1)
        assert found.rows.tolist() == [row]


def test_a_single_photo_can_be_added(index, tmp_path):
    report = run_add(draw_photo(tmp_path / "one.png", 5), index)
    assert report.added == 1
    assert by_id(index)["one.png"]["uri"] == str(tmp_path / "one.png")


@pytest.fixture
def priced(photos, encoder, tmp_path):
    """An index with prices; returns the CSV and the index."""
    table = photos / "gallery.csv"
    table.write_text("image,product_id,price\npart0/0000.jpg,P1,5\npart0/0002.jpg,P2,6\n")
    build_gallery(photos, tmp_path / "priced", encoder, options=small())
    return table, tmp_path / "priced"


def test_new_metadata_is_stored_without_encoding(priced):
    table, index = priced
    before, encoder = by_id(index), FakeEncoder()
    table.write_text("image,product_id,price\npart0/0000.jpg,P9,7\npart0/0002.jpg,P2,6\n")
    report = run_add(table, index, encoder)
    after = by_id(index)["part0/0000.jpg"]
    assert (report.updated, report.unchanged, encoder.batches) == (1, 1, [])
    assert after == {**before["part0/0000.jpg"], "product_id": "P9", "price": 7}


def test_columns_that_a_source_lacks_keep_their_values(priced, photos):
    _, index = priced
    (photos / "gallery.csv").unlink()
    draw_photo(photos / "part0" / "0000.jpg", 90)
    report = run_add(photos, index)
    assert (report.added, report.updated, report.unchanged) == (18, 1, 1)
    assert by_id(index)["part0/0000.jpg"]["price"] == 5
    assert by_id(index)["part0/0000.jpg"]["product_id"] == "P1"
    assert by_id(index)["part0/0004.jpg"]["price"] is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("image,colour\npart0/0004.jpg,red\n", r"does not know: colour; it has price"),
        ("image,price\npart0/0004.jpg,cheap\n", r"column price .* is no int"),
    ],
)
def test_metadata_that_does_not_fit_is_refused(priced, text, sentence):
    table, index = priced
    table.write_text(text.replace("image,", "image,product_id,").replace(".jpg,", ".jpg,P,"))
    with pytest.raises(SourceError, match=sentence):
        run_add(table, index)


def test_another_checkpoint_of_equal_dimensions_is_refused(photos, index):
    with pytest.raises(GalleryMismatchError, match="was built with checkpoint"):
        run_add(photos, index, FakeEncoder("other"))


def test_unreadable_photos_are_reported(photos, index):
    (photos / "bad.jpg").write_bytes(b"broken")
    report = run_add(photos, index)
    assert (report.failed, report.items) == (1, 20)
    assert [failure.row for failure in read_failures(index / "failures.csv")] == [1]
    with pytest.raises(SourceError, match="--max-failures 0"):
        run_add(photos, index, max_failures=0)


def test_adding_to_nothing_is_refused(photos, tmp_path):
    with pytest.raises(GalleryNotFoundError, match="there is no index"):
        run_add(photos, tmp_path / "nowhere")


def test_removed_items_are_gone_and_the_rest_stays(index):
    before = by_id(index)
    report = remove(["part0/0004.jpg", "part1/0001.jpg", "part0/0004.jpg"], index)
    after = by_id(index)
    assert (report.removed, report.items) == (2, 18)
    assert after == {name: row for name, row in before.items() if name in after}
    with EmbeddedGallery.open(index) as gallery:
        [found] = gallery.recall(np.ones((1, 4), np.float32), 50)
        assert set(found.rows) == {row["_rowid"] for row in after.values()}


def test_removing_an_unknown_item_removes_nothing(index):
    with pytest.raises(ItemNotFoundError, match=r"no item of 2 of these ids \(x, y\)"):
        remove(["part0/0000.jpg", "x", "y"], index)
    assert len(read_content(index)) == 20


def test_a_gallery_may_become_empty_and_full_again(photos, index):
    remove([row["item_id"] for row in read_content(index)], index)
    with EmbeddedGallery.open(index) as gallery:
        assert (len(gallery), gallery.num_products()) == (0, 0)
        assert len(gallery.recall(np.ones((1, 4), np.float32), 5)[0].rows) == 0
        assert gallery.read_tokens(np.empty(0, np.int64)).tokens.shape == (0, 2, 4, 8)
    assert run_add(photos, index).items == 20


def test_writers_wait_for_each_other(photos, index):
    from indexer.files import lock_for_writing

    with lock_for_writing(index), pytest.raises(GalleryBusyError, match="another process"):
        remove(["part0/0000.jpg"], index)


def test_old_versions_are_cleared_when_nobody_reads_them(photos, index):
    versions = index / "gallery.lance" / "_versions"
    with EmbeddedGallery.open(index):
        remove(["part0/0000.jpg"], index)
        assert len(list(versions.glob("*.manifest"))) > 1
    remove(["part0/0002.jpg"], index)
    assert len(list(versions.glob("*.manifest"))) == 1


def test_an_interrupted_add_is_completed_by_running_it_again(photos, index, monkeypatch):
    shutil.copytree(photos / "part0", photos / "part2")

    class Dying(FakeEncoder):
        def encode(self, prepared):
            if len(self.batches) == 1:
                raise KeyboardInterrupt
            return super().encode(prepared)

    monkeypatch.setattr("indexer.update.CHUNK_SIZE", 4)
    with pytest.raises(KeyboardInterrupt):
        run_add(photos, index, Dying())
    report = run_add(photos, index)
    assert (report.items, report.added, report.unchanged) == (30, 6, 24)
