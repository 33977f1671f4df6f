"""How well a ranking finds a query's relevant items, and how sure one can be of it.

Q queries, G gallery items, P the largest number of relevant items a query has.

Everything follows from the ranks of the relevant items. Ties are pessimistic: among
items of equal score the irrelevant ones rank first, so that a collapsed network, which
gives every pair the same score, finds nothing. numpy only.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.errors import ParameterError

Scores = NDArray[np.float32]
Relevant = NDArray[np.bool_]
Ranks = NDArray[np.int64]
Values = NDArray[np.float64]

# Bounds the memory of a bootstrap: resampled groups held at once.
_DRAWS = 4_000_000


class Interval(NamedTuple):
    """Both ends belong to it."""

    low: float
    high: float


def positive_ranks(scores: Scores, relevant: Relevant) -> Ranks:
    """Rank, from 1, of every relevant item: (Q, P) rising, 0 where a query has fewer.

    >>> scores = np.array([[0.9, 0.8, 0.8, 0.1]], dtype=np.float32)
    >>> positive_ranks(scores, np.array([[True, True, False, False]]))
    array([[1, 3]])
    """
    if np.isnan(scores).any():
        raise ParameterError("the scores to rank hold NaN; look at the features they come from")
    width = int(relevant.sum(1).max(initial=0))
    ranks = np.zeros((len(scores), width), dtype=np.int64)
    for row, score, right in zip(ranks, scores, relevant, strict=True):
        found = np.sort(score[right])[::-1]
        others = np.sort(score[~right])
        above = len(others) - np.searchsorted(others, found, side="left")
        row[: len(found)] = above + np.arange(1, len(found) + 1)
    return ranks


def average_precision(scores: Scores, relevant: Relevant) -> Values:
    """AP of each query over the whole gallery: (Q,), NaN where nothing is relevant.

    AP = (1 / R) sum over the R relevant items of (relevant up to it) / (its rank).

    >>> scores = np.array([[0.9, 0.8, 0.7, 0.6]], dtype=np.float32)
    >>> average_precision(scores, np.array([[True, False, False, True]]))
    array([0.75])
    """
    return average_precision_of(positive_ranks(scores, relevant))


def r_precision_ap(scores: Scores, relevant: Relevant) -> Values:
    """AP@R of each query: (Q,), NaN where nothing is relevant.

    Unlike AP, only the first R ranks count, R being the query's number of relevant items.

    >>> scores = np.array([[0.9, 0.8, 0.7, 0.6]], dtype=np.float32)
    >>> r_precision_ap(scores, np.array([[True, False, False, True]]))
    array([0.5])
    """
    return r_precision_ap_of(positive_ranks(scores, relevant))


def recall_at(
    scores: Scores, relevant: Relevant, ks: Iterable[int]
) -> dict[int, NDArray[np.bool_]]:
    """Whether each query has a relevant item among its first k, for every k.

    >>> scores = np.array([[0.9, 0.8, 0.8]], dtype=np.float32)
    >>> recall_at(scores, np.array([[False, True, False]]), (2, 3))
    {2: array([False]), 3: array([ True])}
    """
    ranks = positive_ranks(scores, relevant)
    return {k: recall_of(ranks, k) for k in ks}


def average_precision_of(ranks: Ranks) -> Values:
    """AP from the ranks of the relevant items (Q, P)."""
    return _mean_precision(ranks, ranks > 0)


def r_precision_ap_of(ranks: Ranks) -> Values:
    """AP@R from the ranks of the relevant items (Q, P)."""
    num_relevant = (ranks > 0).sum(1, keepdims=True)
    return _mean_precision(ranks, (ranks > 0) & (ranks <= num_relevant))


def recall_of(ranks: Ranks, k: int) -> NDArray[np.bool_]:
    """Whether the best rank (Q, P) is among the first k; False where nothing is relevant."""
    if not ranks.shape[1]:
        return np.zeros(len(ranks), dtype=np.bool_)
    return (ranks[:, 0] > 0) & (ranks[:, 0] <= k)


def bootstrap_interval(
    values: ArrayLike,
    groups: ArrayLike | None = None,
    seed: int = 0,
    rounds: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of the mean of values in [0, 1].

    Queries of one product are not independent: with `groups` (one label a value) whole
    groups are drawn. When every value is 0, or every value is 1, resampling shows no
    spread at all; then the exact binomial bound for as many groups is given instead.

    >>> bootstrap_interval([1.0] * 20).low > 0.8, bootstrap_interval([1.0] * 20).high
    (True, 1.0)
    """
    data, totals, counts = _grouped(values, groups)
    if data.size and (np.all(data == 0.0) or np.all(data == 1.0)):
        doubt = 1.0 - ((1.0 - level) / 2) ** (1.0 / len(totals))
        return Interval(0.0, doubt) if data[0] == 0.0 else Interval(1.0 - doubt, 1.0)
    return _resample(totals, counts, seed, rounds, level)


def paired_interval(
    values: ArrayLike,
    others: ArrayLike,
    groups: ArrayLike | None = None,
    seed: int = 0,
    rounds: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of the mean of `values - others`, query by query.

    Much narrower than the two intervals apart: both rankings answer the same queries.

    >>> paired_interval([0.5, 0.7, 0.9], [0.25, 0.45, 0.65])
    Interval(low=0.25, high=0.25)
    """
    change = np.asarray(values, dtype=np.float64) - np.asarray(others, dtype=np.float64)
    _, totals, counts = _grouped(change.round(12), groups)
    low, high = _resample(totals, counts, seed, rounds, level)
    return Interval(round(low, 9), round(high, 9))


def _mean_precision(ranks: Ranks, counted: NDArray[np.bool_]) -> Values:
    """Sum the precision at the counted ranks, over the number of relevant items."""
    place = np.arange(1, ranks.shape[1] + 1)
    precision = np.divide(place, ranks, out=np.zeros(ranks.shape), where=counted)
    num_relevant = (ranks > 0).sum(1)
    nothing = np.full(len(ranks), np.nan)
    found: Values = np.divide(precision.sum(1), num_relevant, out=nothing, where=num_relevant > 0)
    return found


def _grouped(values: ArrayLike, groups: ArrayLike | None) -> tuple[Values, Values, Values]:
    """The values, and each group's sum and size."""
    data = np.asarray(values, dtype=np.float64)
    if not data.size:
        raise ParameterError("there are no values to draw from; an interval needs at least one")
    if groups is None:
        return data, data, np.ones_like(data)
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    totals, counts = np.bincount(member, weights=data), np.bincount(member)
    return data, totals.astype(np.float64), counts.astype(np.float64)


def _resample(totals: Values, counts: Values, seed: int, rounds: int, level: float) -> Interval:
    """Draw groups with replacement; the mean of a draw is its sum over its size."""
    if rounds < 1 or not 0.0 < level < 1.0:
        raise ParameterError(f"rounds is {rounds} and level {level}; want >= 1, and inside (0, 1)")
    rng, num_groups = np.random.default_rng(seed), len(totals)
    step = max(1, _DRAWS // num_groups)
    means = []
    for start in range(0, rounds, step):
        drawn = rng.integers(num_groups, size=(min(step, rounds - start), num_groups))
        means.append(totals[drawn].sum(1) / counts[drawn].sum(1))
    tail = 100.0 * (1.0 - level) / 2
    low, high = np.percentile(np.concatenate(means), [tail, 100.0 - tail])
    return Interval(float(low), float(high))
