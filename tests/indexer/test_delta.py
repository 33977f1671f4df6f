"""A recall index with changes beside it equals one that is built anew."""

import numpy as np
import pytest

from indexer.delta import DeltaRecall
from indexer.protocols import Selection
from indexer.recall import RecallIndex
from tests.indexer.fakes import unit

DIM = 16
NONE = np.empty(0, np.int64)


def make_vectors(count: int, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32))


def index(rows: np.ndarray, vectors: np.ndarray, exact_limit: int = 50_000) -> RecallIndex:
    def batches():
        yield rows, vectors

    return RecallIndex.build(batches, len(rows), DIM, products=1, exact_limit=exact_limit)


def start(count: int, exact_limit: int = 50_000) -> tuple[DeltaRecall, dict[int, np.ndarray]]:
    rows, vectors = np.arange(count, dtype=np.int64), make_vectors(count)
    recall = DeltaRecall(index(rows, vectors, exact_limit), products=1)
    return recall, dict(enumerate(vectors))


def change(recall, content, replaced, rows, seed):
    vectors = make_vectors(len(rows), seed)
    for row in replaced:
        del content[row]
    content.update(zip(rows, vectors, strict=True))
    return recall.with_changes(
        replaced=np.array(sorted(replaced), np.int64),
        rows=np.array(rows, np.int64),
        vectors=vectors,
        products=1,
    )


@pytest.mark.parametrize("seed", range(4))
def test_hits_equal_those_of_an_index_built_anew(seed):
    random = np.random.default_rng(seed)
    recall, content = start(200)
    queries = make_vectors(40, 1000 + seed)
    for step in range(12):
        known = random.choice(list(content), size=15, replace=False).tolist()
        new = list(range(1000 + 20 * step, 1000 + 20 * step + random.integers(0, 6)))
        recall = change(recall, content, known, known[:7] + new, seed=500 + step)
        rows = np.array(sorted(content), np.int64)
        vectors = np.stack([content[row] for row in rows])
        fresh = index(rows, vectors)
        assert len(recall) == len(fresh)
        np.testing.assert_array_equal(recall.rows(), rows)
        assert recall.holds(rows, vectors)
        for count in (1, 10, 500):
            pairs = zip(recall.search(queries, count), fresh.search(queries, count), strict=True)
            for one, other in pairs:
                np.testing.assert_array_equal(one.rows, other.rows)
                np.testing.assert_array_equal(one.scores, other.scores)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("inside", [True, False])
def test_a_selection_equals_that_of_an_index_built_anew(share, inside):
    random = np.random.default_rng(7)
    recall, content = start(300)
    for step in range(8):
        known = random.choice(list(content), size=20, replace=False).tolist()
        recall = change(recall, content, known, [*known[:9], 1000 + step], seed=80 + step)
        rows = np.array(sorted(content), np.int64)
        fresh = index(rows, np.stack([content[row] for row in rows]))
        selection = Selection(rows[random.random(len(rows)) < share], inside)
        for count in (1, 10, 500):
            queries = make_vectors(20, step)
            now, then = (each.search(queries, count, selection) for each in (recall, fresh))
            for one, other in zip(now, then, strict=True):
                np.testing.assert_array_equal(one.rows, other.rows)
                np.testing.assert_array_equal(one.scores, other.scores)


def test_hits_are_complete_when_the_nearest_are_all_gone():
    recall, content = start(400)
    query = make_vectors(1, 5)
    nearest = recall.search(query, 300)[0].rows.tolist()
    after = change(recall, content, nearest, [], seed=1)
    assert len(after.search(query, 50)[0].rows) == 50
    assert len(after.search(query, 400)[0].rows) == 100


def test_an_older_state_does_not_see_later_changes():
    recall, content = start(50)
    one = change(recall, dict(content), [3], [3, 100], seed=1)
    before = one.search(make_vectors(3, 9), 60)
    change(one, {**content, 100: content[1]}, [4, 100], [4, 100, 101], seed=2)
    for now, then in zip(one.search(make_vectors(3, 9), 60), before, strict=True):
        np.testing.assert_array_equal(now.rows, then.rows)
        np.testing.assert_array_equal(now.scores, then.scores)


def test_an_index_in_cells_knows_its_rows_and_takes_changes():
    recall, content = start(600, exact_limit=100)
    assert not recall.is_exact
    np.testing.assert_array_equal(recall.rows(), np.arange(600))
    after = change(recall, content, [7, 8], [7, 900], seed=3)
    assert len(after) == 600
    [found] = after.search(content[900][None], 3)
    assert found.rows[0] == 900
    assert 8 not in np.concatenate([hit.rows for hit in after.search(make_vectors(30, 4), 600)])


def test_vectors_that_are_not_those_indexed_are_noticed():
    recall, content = start(50)
    after = change(recall, content, [3, 9], [3, 100], seed=1)
    rows = np.array(sorted(content), np.int64)
    vectors = np.stack([content[row] for row in rows])
    assert after.holds(rows, vectors)
    assert not after.holds(np.array([9]), make_vectors(50)[9:10])
    assert not after.holds(np.array([3]), make_vectors(50)[3:4])
    assert not after.holds(np.array([100]), make_vectors(1, 77))


def test_everything_may_go():
    recall, content = start(20)
    empty = change(recall, content, list(content), [], seed=1)
    assert len(empty) == 0
    assert len(empty.search(make_vectors(1), 5)[0].rows) == 0
