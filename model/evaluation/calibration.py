"""A score becomes the probability that the best hit shows the same product.

P(same) = 1 / (1 + exp(-(slope * score + intercept))), slope >= 0, fitted by Platt's
method on (query, best hit) pairs of held-out items. numpy only.

N pairs.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

from model.errors import ParameterError

Values = NDArray[np.float64]
_STEPS = 100
_FLAT = 1e-9


class Calibration(BaseModel):
    """A rising logistic curve; `num_pairs` and `num_same` say what it was fitted on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slope: float = Field(ge=0, allow_inf_nan=False)
    intercept: float = Field(allow_inf_nan=False)
    num_pairs: int = Field(default=0, ge=0)
    num_same: int = Field(default=0, ge=0)

    def probability(self, scores: ArrayLike) -> Values:
        """P(same product) of each score, rising with it.

        >>> Calibration(slope=2.0, intercept=-1.0).probability([0.5]).item()
        0.5
        """
        return _logistic(self.slope * np.asarray(scores, dtype=np.float64) + self.intercept)

    @classmethod
    def constant(cls, probability: float, **fitted_on: int) -> Self:
        """The same answer whatever the score."""
        intercept = float(np.log(probability / (1 - probability)))
        return cls(slope=0.0, intercept=intercept, **fitted_on)


class Bin(BaseModel):
    """Pairs of similar probability: what was said, and how often it was true."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int
    said: float
    true: float


def fit(scores: ArrayLike, same: ArrayLike) -> Calibration:
    """Fit to N scores and whether each pair shows the same product.

    Platt's targets, (n + 1) / (n + 2) and 1 / (m + 2) for n same and m other pairs, keep
    few pairs from promising certainty: ten perfect pairs say at most 11/12. Where a higher
    score would mean a lower probability, the score tells nothing and the curve is flat.

    >>> few = fit([0.9] * 10, [True] * 10)
    >>> round(few.probability(0.9).item(), 3) == round(11 / 12, 3)
    True
    """
    x, y = np.asarray(scores, dtype=np.float64), np.asarray(same, dtype=np.bool_)
    _check(x, y)
    num_same, num_other = int(y.sum()), int((~y).sum())
    target = np.where(y, (num_same + 1) / (num_same + 2), 1 / (num_other + 2))
    fitted_on = {"num_pairs": len(x), "num_same": num_same}
    centre, spread = float(x.mean()), float(x.std())
    if spread < _FLAT or not num_same or not num_other:
        return Calibration.constant(float(target.mean()), **fitted_on)
    slope, intercept = _newton((x - centre) / spread, target)
    if slope <= 0:
        return Calibration.constant(float(target.mean()), **fitted_on)
    slope /= spread
    return Calibration(slope=slope, intercept=intercept - slope * centre, **fitted_on)


def cross_fit(
    scores: ArrayLike, same: ArrayLike, groups: ArrayLike, folds: int = 5, seed: int = 0
) -> Values:
    """Probability (N,) of each pair by a curve fitted on other groups' pairs.

    `groups` are the queries' items: no item is judged by a curve that has seen it.
    """
    x, y = np.asarray(scores, dtype=np.float64), np.asarray(same, dtype=np.bool_)
    labels, member = np.unique(np.asarray(groups), return_inverse=True)
    folds = min(folds, len(labels))
    if folds < 2:
        raise ParameterError("the pairs are of a single item; two are needed to fit on others")
    fold = np.random.default_rng(seed).permutation(len(labels))[member] % folds
    found = np.empty(len(x))
    for k in range(folds):
        found[fold == k] = fit(x[fold != k], y[fold != k]).probability(x[fold == k])
    return found


def reliability_bins(probability: ArrayLike, same: ArrayLike, num_bins: int = 10) -> list[Bin]:
    """Group pairs into `num_bins` equal steps of probability; empty steps are left out.

    >>> reliability_bins([0.25, 0.25, 0.95], [True, False, True])
    [Bin(count=2, said=0.25, true=0.5), Bin(count=1, said=0.95, true=1.0)]
    """
    said, true = np.asarray(probability, dtype=np.float64), np.asarray(same, dtype=np.float64)
    step = np.minimum((said * num_bins).astype(np.int64), num_bins - 1)
    picks = [step == k for k in range(num_bins)]
    return [
        Bin(count=int(p.sum()), said=float(said[p].mean()), true=float(true[p].mean()))
        for p in picks
        if p.any()
    ]


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """Mean distance between said and true, weighted by the pairs of each bin.

    >>> expected_calibration_error([Bin(count=1, said=0.9, true=1.0), Bin(count=1, said=0.2,
    ...                             true=0.0)])
    0.15
    """
    total = sum(one.count for one in bins)
    return round(sum(one.count * abs(one.said - one.true) for one in bins) / total, 12)


def _newton(x: Values, target: Values) -> tuple[float, float]:
    """Least cross entropy of a logistic curve on standardised scores: slope, intercept."""
    design = np.stack([x, np.ones_like(x)], axis=1)
    theta = np.array([0.0, np.log(target.mean() / (1 - target.mean()))])
    loss = _loss(design @ theta, target)
    for _ in range(_STEPS):
        said = _logistic(design @ theta)
        slope = design.T @ (said - target)
        bend = (design * (said * (1 - said))[:, None]).T @ design
        step = np.linalg.solve(bend + 1e-9 * np.eye(2), slope)
        size = 1.0
        while size > _FLAT and _loss(design @ (theta - size * step), target) > loss:
            size /= 2
        theta = theta - size * step
        before, loss = loss, _loss(design @ theta, target)
        if before - loss < 1e-12:
            break
    return float(theta[0]), float(theta[1])


def _loss(logits: Values, target: Values) -> float:
    return float((np.logaddexp(0.0, logits) - target * logits).sum())


def _logistic(logits: Values) -> Values:
    # The negative half keeps exp from overflowing.
    small = np.exp(-np.abs(logits))
    found: Values = np.where(logits >= 0, 1.0, small) / (1.0 + small)
    return found


def _check(scores: Values, same: NDArray[np.bool_]) -> None:
    if scores.ndim != 1 or scores.shape != same.shape or not len(scores):
        raise ParameterError(
            f"scores have shape {scores.shape} and same {same.shape}; "
            "a calibration needs one of each for every pair, and at least one pair"
        )
    if not np.isfinite(scores).all():
        raise ParameterError("the scores to calibrate hold NaN or infinity")
