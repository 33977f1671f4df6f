"""Full and read-only disks: a sentence, and the last complete state stays."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from indexer.build import build_gallery
from indexer.files import storage_errors, write_text_atomic
from indexer.gallery import EmbeddedGallery
from model.errors import StorageError
from tests.indexer.conftest import read_content, remount, small
from tests.indexer.fakes import FakeEncoder, draw_photos
from tests.indexer.test_update import run_add


def test_a_full_disk_stops_a_build_that_resumes_once_there_is_space(small_disk, tmp_path):
    photos = draw_photos(tmp_path / "photos", 200)
    index = small_disk / "index"
    with pytest.raises(StorageError, match=r"the disk is full while .* free some space"):
        build_gallery(photos, index, FakeEncoder(), options=small())
    remount(small_disk, "size=8m")
    report = build_gallery(photos, index, FakeEncoder(), options=small())
    assert report.resumed_at > 0
    build_gallery(photos, tmp_path / "whole", FakeEncoder(), options=small())
    assert read_content(index) == read_content(tmp_path / "whole")


def test_a_full_disk_leaves_the_last_state_of_a_gallery(small_disk, photos, tmp_path):
    index = small_disk / "index"
    build_gallery(photos, index, FakeEncoder(), options=small(chunk_size=20))
    with EmbeddedGallery.open(index), pytest.raises(StorageError, match="the disk is full"):
        run_add(draw_photos(tmp_path / "more", 300), index)
    with EmbeddedGallery.open(index) as gallery:
        assert len(gallery) in (20, 276)
        assert gallery.recall(np.ones((1, 4), np.float32), 1)[0].rows.size == 1


def test_a_read_only_index_answers_and_refuses_to_be_changed(small_disk, photos, tmp_path):
    index = small_disk / "index"
    build_gallery(photos, index, FakeEncoder(), options=small(chunk_size=20))
    (index / "recall.faiss").unlink()
    remount(small_disk, "ro")
    with EmbeddedGallery.open(index) as gallery:
        assert gallery.recall(np.ones((1, 4), np.float32), 1)[0].rows.size == 1
    with pytest.raises(StorageError, match="the file system is read-only while"):
        run_add(draw_photos(tmp_path / "more", 2), index)
    with pytest.raises(StorageError, match="the file system is read-only while"):
        build_gallery(photos, small_disk / "other", FakeEncoder())
    remount(small_disk, "rw")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full while writing"),
        (OSError("LanceError(IO): No space left on device (os error 28)"), "the disk is full"),
        (OSError(errno.EROFS, "Read-only"), "the file system is read-only while writing"),
        (PermissionError(errno.EACCES, "denied"), "permission denied while writing"),
        (ValueError("Dataset at path x was not found"), "a file is missing while writing"),
        (RuntimeError("strange\nsecond line"), r"failed \(strange\)"),
    ],
)
def test_what_a_disk_refuses_becomes_a_sentence(error, sentence):
    with pytest.raises(StorageError, match=sentence), storage_errors(Path("x"), "writing"):
        raise error


def test_a_rust_panic_becomes_a_sentence():
    panic = type("PanicException", (BaseException,), {})
    with (
        pytest.raises(StorageError, match="reading x failed"),
        storage_errors(Path("x"), "reading"),
    ):
        raise panic("called Option::unwrap() on a None value")


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "facts.json"
    write_text_atomic(path, "old")

    def fail(self, *args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(StorageError, match="the disk is full"):
        write_text_atomic(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["facts.json"]
