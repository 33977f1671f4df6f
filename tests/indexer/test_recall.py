"""Recall is exact cosine, whatever the batch, and never trusts a stale file."""

from pathlib import Path

import faiss
import numpy as np
import pytest

from indexer.files import IndexFiles
from indexer.recall import RecallIndex
from model.errors import ParameterError, StorageError
from tests.indexer.fakes import unit

DIM = 16


@pytest.fixture
def vectors() -> np.ndarray:
    return unit(np.random.default_rng(0).normal(size=(600, DIM)).astype(np.float32))


def build(vectors: np.ndarray, exact_limit: int = 50_000) -> RecallIndex:
    """Rows are 1000, 1001, ...: nothing may take positions for rows."""

    def batches():
        for start in range(0, len(vectors), 100):
            part = vectors[start : start + 100]
            yield np.arange(1000 + start, 1000 + start + len(part)), part

    return RecallIndex.build(batches, len(vectors), DIM, products=7, exact_limit=exact_limit)


def test_recall_equals_brute_force(vectors):
    queries = unit(np.random.default_rng(1).normal(size=(30, DIM)).astype(np.float32))
    for query, found in zip(queries, build(vectors).search(queries, 10), strict=True):
        cosine = vectors @ query
        np.testing.assert_array_equal(found.rows, 1000 + np.argsort(-cosine)[:10])
        np.testing.assert_allclose(found.scores, np.sort(cosine)[::-1][:10], atol=1e-6)


@pytest.mark.parametrize("exact_limit", [50_000, 100])
def test_an_answer_does_not_depend_on_the_batch(vectors, exact_limit):
    index = build(vectors, exact_limit)
    together = index.search(vectors[:70], 20)
    for query, found in zip(vectors[:70], together, strict=True):
        [alone] = index.search(query[None], 20)
        np.testing.assert_array_equal(alone.rows, found.rows)
        np.testing.assert_array_equal(alone.scores, found.scores)


def test_a_large_gallery_is_searched_in_cells_and_still_finds_itself(vectors):
    index = build(vectors, exact_limit=100)
    assert not index.is_exact
    found = index.search(vectors, 1)
    assert [int(hit.rows[0]) for hit in found] == list(range(1000, 1600))


def test_scores_never_leave_the_range_of_a_cosine(vectors):
    slightly_long = vectors * np.float32(1.0001)
    scores = [hit.scores[0] for hit in build(slightly_long).search(slightly_long, 1)]
    assert max(scores) == 1.0


def test_equal_scores_come_in_the_order_of_rows():
    same = np.repeat(unit(np.ones((1, DIM), np.float32)), 9, axis=0)
    [found] = build(same).search(same[:1], 9)
    assert found.rows.tolist() == list(range(1000, 1009))


def test_asking_for_more_than_there_is_gives_all(vectors):
    [found] = build(vectors[:3]).search(vectors[:1], 50)
    assert sorted(found.rows) == [1000, 1001, 1002]


def test_an_empty_gallery_gives_nothing():
    [found] = build(np.empty((0, DIM), np.float32)).search(np.ones((1, DIM), np.float32), 5)
    assert len(found.rows) == len(found.scores) == 0


def test_a_query_of_another_width_is_refused(vectors):
    with pytest.raises(ParameterError, match=r"8 values, the gallery 16"):
        build(vectors).search(vectors[:, :8], 3)


@pytest.mark.parametrize("exact_limit", [50_000, 100])
def test_a_stored_index_answers_as_before(vectors, exact_limit, tmp_path):
    files, index = IndexFiles(tmp_path), build(vectors, exact_limit)
    index.save(files, version=3, fingerprint="f")
    loaded = RecallIndex.load(files, version=3, fingerprint="f")
    assert loaded is not None
    assert loaded.products == 7
    assert loaded.holds(np.arange(1000, 1600), vectors)
    np.testing.assert_array_equal(
        loaded.search(vectors[:1], 5)[0].rows, index.search(vectors[:1], 5)[0].rows
    )


@pytest.mark.parametrize(("version", "fingerprint"), [(4, "f"), (3, "g")])
def test_an_index_of_another_state_is_not_used(vectors, version, fingerprint, tmp_path):
    build(vectors).save(IndexFiles(tmp_path), version=3, fingerprint="f")
    assert RecallIndex.load(IndexFiles(tmp_path), version, fingerprint) is None


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


@pytest.mark.parametrize("damage", [flip_a_byte, cut, Path.unlink])
@pytest.mark.parametrize("name", ["recall", "recall_tie"])
def test_a_damaged_index_is_not_used(vectors, damage, name, tmp_path):
    files = IndexFiles(tmp_path)
    build(vectors).save(files, version=3, fingerprint="f")
    damage(getattr(files, name))
    assert RecallIndex.load(files, 3, "f") is None


def test_what_faiss_throws_becomes_a_sentence(vectors):
    index = build(vectors)
    index._searcher = faiss.IndexIVFFlat(faiss.IndexFlatIP(DIM), DIM, 4)
    with pytest.raises(StorageError, match=r"FAISS cannot search the gallery"):
        index.search(vectors[:1], 3)


def test_a_gpu_that_faiss_cannot_use_leaves_recall_on_the_host(vectors, monkeypatch):
    def refuse(*_):
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1, raising=False)
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", refuse, raising=False)
    index = build(vectors)
    index.move_to_gpu()
    assert index.search(vectors[:1], 1)[0].rows.tolist() == [1000]


def test_a_gpu_that_faiss_can_use_answers(vectors, monkeypatch):
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1, raising=False)
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    on_gpu = build(vectors[:1])
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", lambda *_: on_gpu._index, raising=False)
    index = build(vectors)
    index.move_to_gpu()
    assert index.search(vectors[5:6], 3)[0].rows.tolist() == [1000]
