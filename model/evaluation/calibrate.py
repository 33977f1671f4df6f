"""Fit what a checkpoint says about its own hits on held-out items (docs/math.md, Eq. 15).

The curve lies in the checkpoint's record: it orders nothing, so the fingerprint stays and
galleries that the checkpoint has made take it as their own.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from model.checkpoint import load_checkpoint, save_checkpoint
from model.data.records import RetrievalSet
from model.data.spec import name_without_folders
from model.devices import resolve_device
from model.errors import DataError
from model.evaluation.calibration import (
    Calibration,
    expected_calibration_error,
    fit,
    reliability_bins,
)
from model.evaluation.embedding import Progress, recall_vectors
from model.evaluation.evaluate import evaluate_model
from model.evaluation.results import Hits, Reliability
from model.evaluation.settings import Settings

# As a search does by default.
CANDIDATES = 100


class Calibrated(NamedTuple):
    """What was fitted, and where the checkpoint with it lies."""

    path: Path
    calibration: Calibration


def calibrate_checkpoint(
    path: Path,
    held_out: RetrievalSet,
    out: Path,
    *,
    name: str,
    settings: Settings | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Calibrated:
    """Fit the best hits' fused scores of `held_out` and write the checkpoint with the curve.

    Queries without a relevant item take part: their best hit is wrong, as a search for
    what a shop does not have.

    Args:
        path: the checkpoint; it stays as it is unless `out` is the same file.
        held_out: photos it was not trained on.
        out: the checkpoint with its calibration; written atomically.
        name: what the record calls the photos.
        settings: of batches and the seed; the ranking is always that of a search.
        device: auto, cpu, cuda or cuda:N.
        progress: called with (stage, done, in all).

    Raises:
        DataError: nothing to ask, nothing to find, or a single item.
    """
    loaded = load_checkpoint(path)
    model = loaded.model.to(resolve_device(device))
    recall = dict([next(iter(recall_vectors(model).items()))])
    as_searched = search_settings(settings or Settings())
    found = evaluate_model(model, held_out, as_searched, recall=recall, progress=progress)
    assert found.hits is not None
    if found.counts.items < 2:
        raise DataError(
            f"the queries of {name} show a single item, so no hit can be wrong; a calibration "
            "needs a data set with more items"
        )
    scores, same = _best(found.hits)
    calibration = fit(scores, same)
    update = {"calibration": calibration, "calibrated_on": name_without_folders(name)}
    save_checkpoint(out, model, loaded.record.model_copy(update=update), half=loaded.half)
    return Calibrated(out, calibration)


def search_settings(settings: Settings) -> Settings:
    """Rank as a search does by default, and measure nothing else."""
    return Settings.quick(
        candidates=(CANDIDATES,), main=CANDIDATES, int8=True, seed=settings.seed,
        batch=settings.batch, workers=settings.workers,
    )  # fmt: skip


def measure_reliability(calibration: Calibration, hits: Hits, source: str) -> Reliability:
    """Does a stored curve keep its word on these hits?"""
    scores, same = _best(hits)
    bins = reliability_bins(calibration.probability(scores), same)
    return Reliability(bins=tuple(bins), error=expected_calibration_error(bins), source=source)


def _best(hits: Hits) -> tuple[np.ndarray, np.ndarray]:
    """Score of each query's best hit and whether it is right; pairs left out do not count."""
    scores, same = hits.fused[:, 0], hits.same[:, 0]
    counts = np.isfinite(scores)
    return scores[counts], same[counts]
