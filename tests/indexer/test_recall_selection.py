"""Recall within a selection: exactly its rows, and all of them when they are asked for."""

import numpy as np
import pytest

from indexer import recall
from indexer.protocols import Selection
from tests.indexer.fakes import unit
from tests.indexer.test_recall import DIM, build

COUNT = 600


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return unit(np.random.default_rng(0).normal(size=(COUNT, DIM)).astype(np.float32))


@pytest.fixture
def query() -> np.ndarray:
    return unit(np.random.default_rng(5).normal(size=(1, DIM)).astype(np.float32))


def choose(share: float) -> np.ndarray:
    return 1000 + np.flatnonzero(np.random.default_rng(3).random(COUNT) < share)


@pytest.mark.parametrize("exact_limit", [50_000, 100])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 1.0])
def test_a_selection_gives_its_nearest_rows_and_as_many_as_it_has(
    vectors, query, share, exact_limit
):
    rows = choose(share)
    index = build(vectors, exact_limit)
    [found] = index.search(query, 1000, Selection(rows, inside=True))
    assert sorted(found.rows) == rows.tolist()
    cosine = vectors[rows - 1000] @ query[0]
    np.testing.assert_array_equal(found.rows, rows[np.argsort(-cosine)])
    np.testing.assert_allclose(found.scores, np.sort(cosine)[::-1], atol=1e-6)


@pytest.mark.parametrize("exact_limit", [50_000, 100])
@pytest.mark.parametrize("share", [0.01, 0.9])
def test_rows_to_leave_out_never_come_back(vectors, query, share, exact_limit):
    rows = choose(share)
    index = build(vectors, exact_limit)
    [found] = index.search(query, 1000, Selection(rows, inside=False))
    assert sorted([*found.rows, *rows]) == list(range(1000, 1000 + COUNT))
    [first] = index.search(query, 5, Selection(rows, inside=False))
    assert first.rows.tolist() == found.rows[:5].tolist()


def test_nothing_selected_gives_nothing(vectors, query):
    nothing = Selection(np.empty(0, np.int64), inside=True)
    [found] = build(vectors).search(query, 5, nothing)
    assert len(found.rows) == 0


def test_a_wide_selection_of_a_large_gallery_is_still_searched_in_the_nearest_cells(
    vectors, query, monkeypatch
):
    index = build(vectors, exact_limit=100)
    probes = []
    monkeypatch.setattr(recall, "_LEAST_FOUND", 5)
    search = recall.RecallIndex._search

    def spy(self, searcher, queries, count, **how):
        probes.append(how["nprobe"])
        return search(self, searcher, queries, count, **how)

    monkeypatch.setattr(recall.RecallIndex, "_search", spy)
    cells = index._index.nlist
    [found] = index.search(query, 5, Selection(choose(0.9), inside=True))
    assert len(found.rows) == 5
    assert probes == [-(-8 * COUNT // len(choose(0.9)))]
    assert probes[0] < cells
    # Too few in those cells: all of them are searched.
    [found] = index.search(query, 500, Selection(choose(0.9), inside=True))
    assert len(found.rows) == 500
    assert probes[-1] == cells


def test_a_query_that_needs_more_cells_changes_nothing_for_the_others(vectors):
    index = build(vectors, exact_limit=100)
    queries = vectors[:40]
    for selection in (None, Selection(choose(0.9), inside=True)):
        together = index.search(queries, 330, selection)
        for query, found in zip(queries, together, strict=True):
            [alone] = index.search(query[None], 330, selection)
            np.testing.assert_array_equal(alone.rows, found.rows)
            assert len(found.rows) == 330


def test_without_a_selection_the_nearest_cells_do_until_they_hold_too_few(vectors, query):
    index = build(vectors, exact_limit=100)
    [found] = index.search(query, COUNT)
    assert sorted(found.rows) == list(range(1000, 1000 + COUNT))
