"""Scores to probabilities: right on average, careful with little data."""

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression

from model.errors import ParameterError
from model.evaluation.calibration import (
    Calibration,
    cross_fit,
    expected_calibration_error,
    fit,
    reliability_bins,
)


def draw(count, slope=12.0, intercept=-6.0, seed=0):
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0, 1, count)
    return scores, rng.random(count) < 1 / (1 + np.exp(-(slope * scores + intercept)))


def test_the_curve_that_made_the_data_is_found():
    found = fit(*draw(20_000))
    assert found.slope == pytest.approx(12.0, rel=0.05)
    assert found.intercept == pytest.approx(-6.0, rel=0.05)


def test_with_much_data_it_equals_scikit_learn():
    scores, same = draw(5_000)
    ours = fit(scores, same).probability(scores)
    theirs = LogisticRegression(C=1e6).fit(scores[:, None], same)
    np.testing.assert_allclose(ours, theirs.predict_proba(scores[:, None])[:, 1], atol=5e-3)


def test_perfectly_separated_pairs_promise_no_certainty():
    few = fit([0.1, 0.2, 0.8, 0.9], [False, False, True, True])
    many = fit([0.1, 0.2, 0.8, 0.9] * 50, [False, False, True, True] * 50)
    assert 0.6 < few.probability(0.9) < 0.8 < 0.97 < many.probability(0.9) < 1


def test_a_score_that_misleads_gives_a_flat_curve():
    scores, same = draw(500)
    found = fit(-scores, same)
    assert found.slope == 0
    assert found.probability(0.3) == pytest.approx(same.mean(), abs=0.01)


@pytest.mark.parametrize("scores", [np.array([-1e9, 0.0, 1e9]), np.linspace(-1, 1, 9)])
def test_probability_rises_with_the_score_and_stays_a_probability(scores):
    said = fit(*draw(200)).probability(scores)
    assert (np.diff(said) >= 0).all()
    assert ((said >= 0) & (said <= 1)).all()


@pytest.mark.parametrize("same", [True, False])
def test_pairs_of_one_kind_alone_give_a_cautious_constant(same):
    said = fit([0.3, 0.5, 0.7], [same] * 3).probability([0.0, 1.0])
    np.testing.assert_allclose(said, 0.8 if same else 0.2)


def test_calibration_survives_json():
    found = fit(*draw(100))
    assert Calibration.model_validate_json(found.model_dump_json()) == found


def test_a_falling_curve_cannot_be_made():
    with pytest.raises(ValidationError):
        Calibration(slope=-1.0, intercept=0.0)


def test_reliability_of_true_probabilities_is_nearly_perfect():
    scores, same = draw(20_000)
    bins = reliability_bins(Calibration(slope=12.0, intercept=-6.0).probability(scores), same)
    assert sum(one.count for one in bins) == 20_000
    assert expected_calibration_error(bins) < 0.02


def test_overconfidence_is_seen():
    bins = reliability_bins([1.0] * 10, [True] * 5 + [False] * 5)
    assert expected_calibration_error(bins) == 0.5


def test_no_item_is_judged_by_a_curve_that_has_seen_it():
    scores, same = draw(60)
    items = np.repeat(np.arange(20), 3)
    before = cross_fit(scores, same, items)
    changed = same.copy()
    changed[:3] = ~changed[:3]
    after = cross_fit(scores, changed, items)
    np.testing.assert_array_equal(before[:3], after[:3])
    assert not np.array_equal(before[3:], after[3:])


@pytest.mark.parametrize(
    ("scores", "same"), [([], []), ([0.5], [True, False]), ([np.nan, 0.2], [True, False])]
)
def test_unusable_pairs_are_refused_with_a_sentence(scores, same):
    with pytest.raises(ParameterError):
        fit(scores, same)


def test_one_item_cannot_be_cross_fitted():
    with pytest.raises(ParameterError, match="single item"):
        cross_fit([0.1, 0.9], [False, True], [4, 4])
