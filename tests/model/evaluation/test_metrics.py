"""Measures, by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from model.errors import ParameterError
from model.evaluation.metrics import (
    average_precision,
    bootstrap_interval,
    paired_interval,
    positive_ranks,
    r_precision_ap,
    recall_at,
)


def random_case(seed: int, share: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((20, 30)).astype(np.float32), rng.random((20, 30)) < share


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_equals_scikit_learn(seed):
    scores, relevant = random_case(seed)
    relevant[:, 0] = True
    expected = [average_precision_score(r, s) for r, s in zip(relevant, scores, strict=True)]
    np.testing.assert_allclose(average_precision(scores, relevant), expected)


def test_measures_of_one_ranking_worked_out_by_hand():
    # relevant at ranks 1, 3 and 5 of 6
    scores = np.array([[0.9, 0.8, 0.7, 0.6, 0.5, 0.4]], dtype=np.float32)
    relevant = np.array([[1, 0, 1, 0, 1, 0]], dtype=bool)
    assert positive_ranks(scores, relevant).tolist() == [[1, 3, 5]]
    assert average_precision(scores, relevant)[0] == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    assert r_precision_ap(scores, relevant)[0] == pytest.approx((1 + 2 / 3) / 3)


def test_ranks_equal_a_slow_sort():
    scores, relevant = random_case(7)
    scores = scores.round(1)  # many ties
    for ranks, score, right in zip(positive_ranks(scores, relevant), scores, relevant, strict=True):
        order = sorted(range(len(score)), key=lambda k: (-score[k], right[k]))
        slow = [place for place, k in enumerate(order, start=1) if right[k]]
        assert ranks[ranks > 0].tolist() == slow


def test_collapsed_features_find_nothing():
    scores, relevant = np.ones((4, 10), dtype=np.float32), np.zeros((4, 10), dtype=bool)
    relevant[:, 3] = True
    assert not recall_at(scores, relevant, [1, 9])[9].any()
    assert recall_at(scores, relevant, [10])[10].all()


def test_a_query_without_a_positive_has_no_precision_and_no_recall():
    scores, relevant = np.ones((1, 3), dtype=np.float32), np.zeros((1, 3), dtype=bool)
    assert np.isnan(average_precision(scores, relevant)).all()
    assert np.isnan(r_precision_ap(scores, relevant)).all()
    assert not recall_at(scores, relevant, [3])[3].any()


def test_nan_scores_are_refused():
    scores = np.array([[np.nan, 1.0]], dtype=np.float32)
    with pytest.raises(ParameterError, match="NaN"):
        positive_ranks(scores, np.array([[True, False]]))


def test_nineteen_of_twenty_intervals_hold_the_truth():
    rng, truth, held = np.random.default_rng(0), 0.3, 0
    for trial in range(200):
        values = rng.random(80) < truth
        low, high = bootstrap_interval(values, seed=trial, rounds=300)
        held += low <= truth <= high
    assert 0.89 <= held / 200 <= 0.99


def test_items_with_several_queries_count_once():
    rng = np.random.default_rng(0)
    item_value = rng.random(30) < 0.5
    values, items = np.repeat(item_value, 10), np.repeat(np.arange(30), 10)
    single, by_item = bootstrap_interval(values), bootstrap_interval(values, items)
    once = bootstrap_interval(item_value)
    assert by_item.high - by_item.low > 2 * (single.high - single.low)
    assert by_item.high - by_item.low == pytest.approx(once.high - once.low, abs=0.04)


def test_perfect_results_on_few_items_keep_a_doubt():
    assert bootstrap_interval([1.0] * 5).low == pytest.approx(0.025 ** (1 / 5))
    assert bootstrap_interval([0.0] * 5).high == pytest.approx(1 - 0.025 ** (1 / 5))


def test_a_constant_gain_is_certain_when_paired_though_each_mean_is_not():
    before = np.random.default_rng(0).random(50) * 0.8
    low, high = paired_interval(before + 0.1, before)
    assert (low, high) == (0.1, 0.1)
    assert bootstrap_interval(before).high - bootstrap_interval(before).low > 0.05


def test_the_same_seed_draws_the_same_interval():
    values = np.random.default_rng(0).random(40)
    assert bootstrap_interval(values, seed=4) == bootstrap_interval(values, seed=4)
    assert bootstrap_interval(values, seed=4) != bootstrap_interval(values, seed=5)


@pytest.mark.parametrize(
    ("values", "options"), [([], {}), ([1.0, 0.5], {"rounds": 0}), ([1.0, 0.5], {"level": 1.0})]
)
def test_an_interval_that_cannot_be_drawn_is_refused(values, options):
    with pytest.raises(ParameterError):
        bootstrap_interval(values, **options)
