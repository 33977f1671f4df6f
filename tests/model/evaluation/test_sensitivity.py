"""The sweeps contain the checkpoint's own setting, and that point is the plain result."""

import numpy as np
import pytest

from model.evaluation.evaluate import evaluate_embedded
from model.evaluation.sensitivity import TOKENS_ONLY, keep_largest, token_sensitivity
from model.evaluation.settings import Settings

SETTINGS = Settings(candidates=(50,), main=50, rounds=20)


@pytest.fixture
def curves(make, alignment):
    found = token_sensitivity(alignment, *make(6), SETTINGS, alpha=0.4)
    return {curve.setting: curve for curve in found}


def test_each_setting_is_swept_and_its_own_value_is_marked_once(curves):
    assert list(curves) == ["tau", "reduction", "M"]
    for curve in curves.values():
        assert sum(point.chosen for point in curve.points) == 1
    assert [point.value for point in curves["M"].points] == ["1", "2", "3"]


def test_the_marked_point_is_the_checkpoints_own_result(make, alignment, curves):
    queries, gallery, pairing = make(6)
    plain = evaluate_embedded(queries, gallery, pairing, alignment, SETTINGS, alpha=0.4)
    for curve in curves.values():
        own = next(point for point in curve.points if point.chosen)
        assert own.metrics["mAP"] == plain.main_row.metrics["mAP"]
        assert own.metrics[TOKENS_ONLY] == plain.row("token").metrics["R@1"]


def test_sweeping_leaves_the_network_alone(make, alignment):
    before = (float(alignment.temperature), alignment.options)
    token_sensitivity(alignment, *make(3), SETTINGS, alpha=0.4)
    assert (float(alignment.temperature), alignment.options) == before


def test_dropped_tokens_are_the_smallest_and_become_padding(make):
    queries, _, _ = make(3)
    kept = keep_largest(queries, 2)
    gone = kept.mass == 0
    assert (gone.sum(-1) == 1).all()
    assert (queries.mass[gone] == queries.mass.min(-1)[gone.any(-1)]).all()
    assert not np.abs(kept.tokens[gone]).any()
