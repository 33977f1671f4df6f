"""A sound index has no problems, and each kind of damage has its sentence."""

import json
from pathlib import Path

import pytest

from indexer.build import build_gallery
from indexer.checkpoint import GivenEncoder
from indexer.gallery import EmbeddedGallery
from indexer.manifest import Manifest
from indexer.recall import RecallIndex
from indexer.store import Store
from indexer.verify import verify
from model.errors import GalleryNotFoundError
from tests.indexer.conftest import small
from tests.indexer.fakes import FakeEncoder, draw_photo


def change_row(index, **columns):
    """Commit a changed first row behind the back of what is derived."""
    store = Store.open(index / "gallery.lance")
    table = store.take([0], store.schema.names)
    record = {**table.to_pylist()[0], **columns}
    store.upsert(type(table).from_pylist([record], schema=store.schema))


def test_a_sound_index_has_no_problems(index, encoder):
    found = verify(index, plan=GivenEncoder(encoder))
    assert found.problems == []
    assert (found.items, found.photos_checked, found.photos_missing) == (20, 20, 0)


def test_photos_that_moved_away_are_no_problem(index, photos):
    photos.rename(photos.with_name("elsewhere"))
    found = verify(index)
    assert (found.problems, found.photos_missing) == ([], 20)


def test_a_changed_photo_is_named(index, photos):
    draw_photo(photos / "part0" / "0004.jpg", 99)
    [problem] = verify(index).problems
    assert "photo of item part0/0004.jpg changed" in problem


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"thumbnail": b"broken"}, "thumbnail of item part0/0000.jpg is damaged"),
        ({"global": [float("nan")] * 4}, "part0/0000.jpg has numbers that are not finite"),
        ({"global": [1.0, 1.0, 0.0, 0.0]}, "global feature of item part0/0000.jpg is not of unit"),
    ],
)
def test_a_bad_row_is_named(index, columns, sentence):
    change_row(index, **columns)
    assert any(sentence in problem for problem in verify(index).problems)


def test_a_recall_index_of_an_older_version_is_caught_up(index):
    change_row(index, product_id="other")
    assert not any("recall index" in problem for problem in verify(index).problems)


@pytest.mark.parametrize("moment", ["before the rename", "after the rename"])
def test_a_kill_while_the_recall_index_is_exchanged_is_no_problem(index, monkeypatch, moment):
    class Killed(BaseException):
        """SIGKILL: nothing is tidied up."""

    def kill(*_: object) -> None:
        raise Killed

    manifest = Manifest.load(index)
    files = manifest.files(index)
    version = Store.open(files.dataset).version
    stored = RecallIndex.load(files, version, manifest.fingerprint)
    assert stored is not None
    if moment == "before the rename":
        monkeypatch.setattr(Path, "replace", kill)
        monkeypatch.setattr("indexer.files._forget", lambda path: None)
    else:
        monkeypatch.setattr("indexer.recall.write_text_atomic", kill)
    with pytest.raises(Killed):
        forge(stored).save(files, version, manifest.fingerprint)
    monkeypatch.undo()
    found = verify(index)
    assert found.problems == []
    assert "no recall index is stored" in found.notes[0]
    EmbeddedGallery.open(index).close()
    assert verify(index).notes == []


def test_a_recall_index_of_a_newer_version_is_noticed(index):
    tie = index / "recall.json"
    facts = json.loads(tie.read_text())
    tie.write_text(json.dumps({**facts, "version": facts["version"] + 1}))
    assert any("recall index is missing" in problem for problem in verify(index).problems)


@pytest.mark.parametrize("exact_limit", [50_000, 5])
def test_a_recall_index_with_other_vectors_is_noticed(photos, tmp_path, encoder, exact_limit):
    index = tmp_path / "index"
    build_gallery(photos, index, encoder, options=small(exact_limit=exact_limit))
    assert verify(index).problems == []
    manifest = Manifest.load(index)
    files = manifest.files(index)
    version = Store.open(files.dataset).version
    loaded = RecallIndex.load(files, version, manifest.fingerprint)
    assert loaded is not None
    assert loaded.is_exact == (exact_limit > 5)
    forge(loaded).save(files, version, manifest.fingerprint)
    assert any("recall index is missing" in problem for problem in verify(index).problems)


def forge(recall: RecallIndex) -> RecallIndex:
    """Turn all vectors around."""
    import numpy as np

    rows = np.arange(len(recall))
    recall.holds(rows, np.empty((0, 4), np.float32))
    vectors = -recall._index.reconstruct_batch(rows)
    return RecallIndex.build(lambda: [(rows, vectors)], len(rows), 4, recall.products)


def test_an_exchanged_checkpoint_file_is_noticed(photos, encoder, tmp_path):
    checkpoint = tmp_path / "weights.safetensors"
    checkpoint.write_bytes(b"weights")
    index = tmp_path / "index"
    build_gallery(photos, index, encoder, checkpoint=checkpoint, options=small())
    assert verify(index).problems == []
    (index / "checkpoint.safetensors").write_bytes(b"other weights")
    [problem] = verify(index).problems
    assert "checkpoint.safetensors is not the file" in problem


def test_a_program_that_reads_the_checkpoint_differently_is_noticed(index):
    [problem] = verify(index, plan=GivenEncoder(FakeEncoder("other"))).problems
    assert "as other weights" in problem


def test_a_folder_that_is_no_index_is_refused(tmp_path):
    with pytest.raises(GalleryNotFoundError):
        verify(tmp_path)
