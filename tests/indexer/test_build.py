"""A build holds every photo once, reports the broken ones, and never mixes two galleries."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.build import BuildOptions, build_gallery
from indexer.failures import read_failures
from indexer.gallery import EmbeddedGallery
from indexer.pipeline import Loader
from model.errors import (
    GalleryBusyError,
    GalleryExistsError,
    GalleryMismatchError,
    GalleryNotFoundError,
    ParameterError,
    SourceError,
)
from tests.indexer.conftest import read_content, small
from tests.indexer.fakes import FakeEncoder, draw_photo, draw_photos


def test_a_gallery_holds_every_photo_in_the_order_of_the_source(index):
    names = [row["item_id"] for row in read_content(index)]
    assert names == sorted(f"part{number % 2}/{number:04}.jpg" for number in range(20))


def test_the_size_of_chunks_does_not_show_in_the_content(photos, index, encoder, tmp_path):
    build_gallery(photos, tmp_path / "other", encoder, options=small(chunk_size=20))
    other = read_content(tmp_path / "other")
    assert read_content(index) == other


def test_batches_fill_up_within_a_chunk_whatever_could_not_be_read(photos, tmp_path):
    for name in ("part0/0000.jpg", "part0/0006.jpg"):
        (photos / name).write_bytes(b"broken")
    encoder = FakeEncoder()
    build_gallery(photos, tmp_path / "index", encoder, options=small())
    probe = 1
    assert encoder.batches == [probe, 4, 2, 4, 4, 4]


def test_unreadable_photos_are_reported_and_do_not_stop_the_run(photos, encoder, tmp_path):
    (photos / "empty.jpg").touch()
    (photos / "text.png").write_text("not an image")
    (photos / "folder.jpg").mkdir()
    report = build_gallery(photos, tmp_path / "index", encoder, options=small())
    assert (report.items, report.failed) == (20, 2)
    found = {
        Path(failure.path).name: failure.reason for failure in read_failures(Path(report.failures))
    }
    assert "0 bytes" in found["empty.jpg"]
    assert found.keys() == {"empty.jpg", "text.png"}


def test_a_listed_photo_that_is_not_there_fails_alone(photos, encoder, tmp_path):
    (photos / "gallery.csv").write_text("image,sku\npart0/0000.jpg,A\nnope.jpg,B\n,C\n")
    report = build_gallery(photos, tmp_path / "index", encoder)
    reasons = [(failure.row, failure.reason) for failure in read_failures(Path(report.failures))]
    assert reasons == [(2, "no such file"), (3, "column image is empty")]
    assert report.items == 1


def test_too_many_failures_stop_the_run_and_a_repaired_run_goes_on(photos, tmp_path):
    good = {name: (photos / name).read_bytes() for name in ("part0/0018.jpg", "part1/0003.jpg")}
    for name in good:
        (photos / name).write_bytes(b"broken")
    index = tmp_path / "index"
    with pytest.raises(
        SourceError, match=r"2 photos could not be read, more than --max-failures 1"
    ):
        build_gallery(photos, index, FakeEncoder(), options=small(max_failures=1))
    for name, data in good.items():
        (photos / name).write_bytes(data)
    encoder = FakeEncoder()
    report = build_gallery(photos, index, encoder, options=small(max_failures=1))
    # Both lie in the second chunk, which is read again.
    assert (report.resumed_at, report.items, report.failed) == (8, 20, 0)


def test_a_gallery_of_nothing_but_broken_photos_is_refused(tmp_path, encoder):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"broken")
    with pytest.raises(SourceError, match=r"none of the 1 photos could be read"):
        build_gallery(tmp_path / "photos", tmp_path / "index", encoder)
    draw_photo(tmp_path / "photos" / "a.jpg", 1)
    assert build_gallery(tmp_path / "photos", tmp_path / "index", encoder).items == 1


def test_an_empty_folder_leaves_no_index_behind(tmp_path, encoder):
    (tmp_path / "photos").mkdir()
    with pytest.raises(SourceError, match="no photos"):
        build_gallery(tmp_path / "photos", tmp_path / "index", encoder)
    assert not (tmp_path / "index").exists()


def test_building_again_changes_nothing(photos, index):
    before = {path: path.stat().st_mtime_ns for path in index.rglob("*")}
    encoder = FakeEncoder()
    report = build_gallery(photos, index, encoder, options=small())
    assert report.up_to_date
    assert (report.added, report.items, encoder.batches) == (0, 20, [])
    assert {path: path.stat().st_mtime_ns for path in index.rglob("*")} == before


def test_another_checkpoint_of_equal_dimensions_is_refused(photos, index):
    with pytest.raises(GalleryMismatchError, match=r"built with other weights.*--overwrite"):
        build_gallery(photos, index, FakeEncoder("other"), options=small())


def test_other_photos_are_refused_unless_asked_for(photos, index, encoder):
    draw_photo(photos / "new.jpg", 77)
    with pytest.raises(GalleryExistsError, match=r"20 photos .*indexer add.*--overwrite"):
        build_gallery(photos, index, encoder, options=small())
    report = build_gallery(photos, index, encoder, options=small(overwrite=True))
    assert report.items == 21


def test_a_reader_of_an_overwritten_index_is_not_disturbed(photos, index):
    with EmbeddedGallery.open(index, token_budget_mb=0) as old:
        draw_photo(photos / "new.jpg", 77)
        build_gallery(photos, index, FakeEncoder("other"), options=small(overwrite=True))
        assert len(old) == 20
        assert old.read_tokens(np.array([3])).tokens.any()
        assert old.read_thumbnail("part0/0000.jpg")
    # Nobody reads it any more: the next overwrite clears it.
    build_gallery(photos, index, FakeEncoder("other"), options=small(overwrite=True))
    assert [path.name for path in index.glob("*.lance")] == ["gallery-3.lance"]


def test_versions_never_count_back_when_an_index_is_overwritten(photos, index, encoder):
    with EmbeddedGallery.open(index) as old:
        version = old.stamp.version
    build_gallery(photos, index, encoder, options=small(overwrite=True))
    with EmbeddedGallery.open(index) as new:
        assert new.stamp.version > version


def test_an_unfinished_build_of_other_photos_is_refused_unless_overwritten(photos, tmp_path):
    index = tmp_path / "index"
    begin_a_build(photos, index)
    draw_photo(photos / "new.jpg", 77)
    with pytest.raises(GalleryExistsError, match="20 photos"):
        build_gallery(photos, index, FakeEncoder(), options=small())
    assert build_gallery(photos, index, FakeEncoder(), options=small(overwrite=True)).items == 21


def begin_a_build(photos: Path, index: Path) -> None:
    """Leave a build that stopped in its first chunk."""
    first = photos / "part0" / "0000.jpg"
    data = first.read_bytes()
    first.write_bytes(b"broken")
    with pytest.raises(SourceError):
        build_gallery(photos, index, FakeEncoder(), options=small(max_failures=0))
    first.write_bytes(data)


def test_an_unfinished_build_cannot_be_opened(photos, tmp_path):
    begin_a_build(photos, tmp_path / "index")
    with pytest.raises(GalleryNotFoundError, match=r"is not finished; run the same .* build"):
        EmbeddedGallery.open(tmp_path / "index")


def test_a_folder_of_somebody_else_is_never_written_to(photos, encoder, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "letter.txt").write_text("dear")
    for overwrite in (False, True):
        with pytest.raises(GalleryExistsError, match=r"no index \(letter.txt\)"):
            build_gallery(photos, home, encoder, options=small(overwrite=overwrite))
    assert [path.name for path in home.iterdir()] == ["letter.txt"]


def test_a_damaged_index_can_be_overwritten(photos, index, encoder):
    (index / "manifest.json").write_text("{")
    build_gallery(photos, index, encoder, options=small(overwrite=True))
    assert len(read_content(index)) == 20


def test_two_writers_do_not_meet(photos, tmp_path):
    """The second writer comes while the first one encodes."""
    index, refused = tmp_path / "index", []

    class Meddler(FakeEncoder):
        def encode(self, prepared):
            if not refused:
                with pytest.raises(GalleryBusyError) as caught:
                    build_gallery(photos, index, FakeEncoder())
                refused.append(str(caught.value))
            return super().encode(prepared)

    build_gallery(photos, index, Meddler(), options=small())
    assert "another process is writing" in refused[0]


def test_the_number_of_photos_in_memory_does_not_grow_with_the_gallery(tmp_path):
    photos = draw_photos(tmp_path / "photos", 120)
    held, most, lock = 0, 0, threading.Lock()

    class Counting(FakeEncoder):
        def prepare(self, image):
            nonlocal held, most
            with lock:
                held += 1
                most = max(most, held)
            return super().prepare(image)

        def encode(self, prepared):
            nonlocal held
            with lock:
                held -= len(prepared)
            return super().encode(prepared)

    build_gallery(photos, tmp_path / "index", Counting(), options=small(workers=2, chunk_size=64))
    assert held == 0
    assert 4 <= most <= 4 + 2 * 4 + 2  # a batch, what is loaded ahead, one for each worker


def test_photos_come_in_order_however_many_threads_load_them(photos, encoder):
    from indexer.photos import open_source

    loaded = Loader(encoder, workers=8, ahead=8).load_all((p, None) for p in open_source(photos))
    assert [entry.photo.number for entry in loaded] == list(range(20))


def test_the_manifest_says_what_was_built(photos, index, encoder):
    facts = json.loads((index / "manifest.json").read_text())
    assert facts["fingerprint"] == encoder.fingerprint
    sizes = {
        "levels": 2,
        "num_tokens": 4,
        "token_dim": 8,
        "global_dim": 4,
        "recall_dim": None,
        "token_bytes": None,
    }
    assert (facts["dims"], facts["recall"]) == (sizes, "global")
    assert facts["source"]["num_photos"] == 20


def test_thumbnails_are_small_upright_jpegs(tmp_path, encoder):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (800, 400), "red").save(tmp_path / "photos" / "wide.jpg", exif=exif)
    build_gallery(tmp_path / "photos", tmp_path / "index", encoder)
    [row] = read_content(tmp_path / "index")
    (tmp_path / "thumbnail.jpg").write_bytes(row["thumbnail"])
    with Image.open(tmp_path / "thumbnail.jpg") as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("JPEG", (96, 192))
    assert (row["width"], row["height"]) == (400, 800)


@pytest.mark.parametrize("name", ["workers", "batch_size", "chunk_size"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(ParameterError, match=f"{name} is 0; expected 1 or more"):
        BuildOptions(**{name: 0})


def test_a_negative_limit_of_failures_is_refused(photos, encoder, tmp_path):
    with pytest.raises(ParameterError, match="--max-failures is -1"):
        build_gallery(photos, tmp_path / "index", encoder, options=small(max_failures=-1))
