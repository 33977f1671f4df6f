"""Two-stage ranking on the five items of the module's example."""

import numpy as np
import pytest

from model.evaluation.metrics import positive_ranks
from model.evaluation.ranking import Shortlist, make_shortlist, rerank, two_stage_ranks

RECALL = np.array([[0.9, 0.8, 0.7, 0.6, 0.5]], dtype=np.float32)
FUSED = np.array([[0.2, 0.6, 0.4, 0.9, 0.1]], dtype=np.float32)


def ranks_after(relevant, count, recall=RECALL, fused=FUSED):
    relevant = np.asarray(relevant, dtype=bool)
    shortlist = make_shortlist(recall, relevant, count)
    near = np.take_along_axis(fused, shortlist.places, axis=1)
    return two_stage_ranks(positive_ranks(recall, relevant), near, shortlist)


@pytest.mark.parametrize(
    ("count", "order"),
    [(1, "abcde"), (2, "bacde"), (3, "bcade"), (4, "dbcae"), (5, "dbcae")],
)
def test_candidates_are_permuted_and_the_tail_is_untouched(count, order):
    assert "".join("abcde"[k] for k in rerank(RECALL, FUSED, count)[0]) == order


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("relevant", [[1, 0, 0, 1, 0], [0, 1, 0, 0, 1], [1, 1, 1, 1, 1]])
def test_ranks_are_the_places_in_the_reranked_order(count, relevant):
    order = rerank(RECALL, FUSED, count)[0]
    expected = [place for place, k in enumerate(order, start=1) if relevant[k]]
    assert ranks_after([relevant], count)[0].tolist() == expected


def test_what_recall_loses_is_lost():
    assert ranks_after([[0, 0, 0, 1, 0]], 3).tolist() == [[4]]
    assert ranks_after([[0, 0, 0, 1, 0]], 4).tolist() == [[1]]


@pytest.mark.parametrize("seed", range(4))
def test_all_candidates_equal_an_exhaustive_ranking_and_one_equals_recall(seed):
    rng = np.random.default_rng(seed)
    recall, fused = (rng.random((9, 40)).astype(np.float32).round(1) for _ in range(2))
    relevant = rng.random((9, 40)) < 0.1
    everything = ranks_after(relevant, 40, recall, fused)
    np.testing.assert_array_equal(everything, positive_ranks(fused, relevant))
    single = ranks_after(relevant, 1, recall, fused)
    np.testing.assert_array_equal(single, positive_ranks(recall, relevant))


def test_recall_at_k_stays_whatever_the_fused_scores_say():
    rng = np.random.default_rng(0)
    recall, fused = (rng.random((30, 50)).astype(np.float32) for _ in range(2))
    relevant = rng.random((30, 50)) < 0.05
    before = positive_ranks(recall, relevant)
    after = ranks_after(relevant, 10, recall, fused)
    np.testing.assert_array_equal((before > 0) & (before <= 10), (after > 0) & (after <= 10))


def test_a_tie_at_the_border_keeps_the_relevant_item_out():
    recall = np.array([[0.9, 0.5, 0.5]], dtype=np.float32)
    shortlist = make_shortlist(recall, np.array([[False, True, False]]), 2)
    assert shortlist.places.tolist() == [[0, 2]]


@pytest.mark.parametrize("count", [1, 3, 9])
def test_a_short_list_of_a_long_gallery_equals_a_full_sort(count):
    rng = np.random.default_rng(1)
    recall = rng.random((6, 60)).astype(np.float32).round(1)
    relevant = rng.random((6, 60)) < 0.3
    order = np.lexsort((relevant, -recall), axis=-1)[:, :count]
    assert isinstance(make_shortlist(recall, relevant, count), Shortlist)
    np.testing.assert_array_equal(make_shortlist(recall, relevant, count).places, order)
