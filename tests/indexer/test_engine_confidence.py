"""How sure a hit is: the calibrated fused score, and hits that are left out by it."""

from typing import Any

import pytest

from indexer.engine import SearchEngine
from indexer.requests import SearchRequest
from model.errors import ParameterError
from model.evaluation.calibration import Calibration
from tests import reference
from tests.indexer.aligner import Aligner


@pytest.fixture
def sure(engine: SearchEngine, monkeypatch: pytest.MonkeyPatch) -> SearchEngine:
    """An engine whose checkpoint is calibrated: a fused score of 0.7 is as good as not."""
    monkeypatch.setattr(Aligner, "calibration", Calibration(slope=20.0, intercept=-14.0))
    return engine


def test_confidence_is_the_calibrated_fused_score(sure: SearchEngine, photo: bytes) -> None:
    for hit in sure.search(photo, SearchRequest(k=20)).hits:
        expected = reference.confidence(hit.scores.fused, 20.0, -14.0)
        assert hit.confidence == pytest.approx(expected, abs=1e-5)


def test_without_a_calibration_or_at_another_alpha_confidence_is_not_known(
    engine: SearchEngine, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {hit.confidence for hit in engine.search(photo).hits} == {None}
    monkeypatch.setattr(Aligner, "calibration", Calibration(slope=20.0, intercept=-14.0))
    assert {hit.confidence for hit in engine.search(photo, SearchRequest(alpha=0.4)).hits} == {None}


@pytest.mark.parametrize("group_by", ["item", "product"])
def test_hits_below_min_confidence_are_left_out_and_the_others_keep_their_rank(
    sure: SearchEngine, photo: bytes, group_by: Any
) -> None:
    every = sure.search(photo, SearchRequest(k=20, group_by=group_by)).hits
    least = every[6].confidence
    assert least is not None
    found = sure.search(photo, SearchRequest(k=20, group_by=group_by, min_confidence=least))
    assert found.hits == [hit for hit in every if (hit.confidence or 0) >= least]
    assert 7 <= len(found.hits) < 20
    assert not found.no_confident_match


def test_no_confident_match_is_said(sure: SearchEngine, photo: bytes) -> None:
    found = sure.search(photo, SearchRequest(min_confidence=1.0))
    assert (found.hits, found.no_confident_match) == ([], True)
    assert not sure.search(photo).no_confident_match


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"min_confidence": 1.5}, "min_confidence is 1.5; expected a number from 0 to 1"),
        ({"min_confidence": float("nan")}, "min_confidence is nan"),
        ({"min_confidence": 0.5, "alpha": 0.4}, "calibrated at 0.5; leave one of the two out"),
    ],
)
def test_a_min_confidence_that_means_nothing_is_refused(
    sure: SearchEngine, photo: bytes, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ParameterError, match=words):
        sure.search(photo, SearchRequest(**options))


def test_min_confidence_without_a_calibration_says_how_to_get_one(
    engine: SearchEngine, photo: bytes
) -> None:
    with pytest.raises(ParameterError, match=r"no calibration; .*python -m model calibrate"):
        engine.search(photo, SearchRequest(min_confidence=0.5))
