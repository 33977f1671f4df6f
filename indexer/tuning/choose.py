"""From a sweep to settings: the best in time, chosen on one half and reported on the other."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.requests import DEFAULT_CANDIDATES
from indexer.tuning.sweep import (
    Query,
    Scored,
    Searched,
    find_ranks,
    score_queries,
    time_searches,
)
from model.errors import ParameterError
from model.evaluation.metrics import bootstrap_interval, paired_interval

COUNTS = (10, 20, 50, 100, 200, 400, 1000)
ALPHAS = tuple(round(0.05 * step, 2) for step in range(21))
# Fewer say nothing of the other half.
MIN_QUERIES = 8
_TIMED = 20
_ROUNDS, _LEVEL = 2000, 0.95


class Quality(NamedTuple):
    """A share of queries with its 95 % interval over products."""

    value: float
    low: float
    high: float


class Setting(NamedTuple):
    """One choice of K and alpha, on one half of the queries; p95 of a search in milliseconds."""

    candidates: int
    alpha: float
    p95_ms: float
    r1: Quality
    r10: Quality


class Tuned(NamedTuple):
    """What was found.

    front: for each K the best alpha on the choosing half, cheapest first.
    chosen, default: on the other half, which had no say.
    gain: R@1 of chosen minus default there, paired by query.
    """

    front: list[Setting]
    chosen: Setting
    default: Setting
    gain: Quality
    runtime: str
    limit_ms: float
    in_time: bool
    choosing: int
    reporting: int


def tune(searched: Searched, queries: Sequence[Query], limit_ms: float, seed: int = 0) -> Tuned:
    """Choose K and alpha so that 95 % of the searches take at most `limit_ms`.

    Raises:
        ParameterError: too few queries, or none whose product is in the gallery.
    """
    if limit_ms <= 0:
        raise ParameterError(f"--p95-ms is {limit_ms:g}; expected milliseconds above 0")
    parts = split(queries, seed)
    counts = [k for k in COUNTS if k <= len(searched.gallery)] or [len(searched.gallery)]
    choosing, reporting = (score_queries(searched, part, counts[-1]) for part in parts)
    _require_found([*choosing, *reporting])
    times = {k: _p95(searched, choosing, k) for k in counts}
    own = searched.encoder.config.alpha
    front = [_best(choosing, k, times[k], own, seed) for k in counts]
    in_time = [one for one in front if one.p95_ms <= limit_ms]
    # Where nothing is fast enough, the fastest; otherwise the best, and the cheapest of equals.
    picked = max(in_time, key=_rank) if in_time else min(front, key=lambda one: one.p95_ms)
    usual = min(DEFAULT_CANDIDATES, counts[-1])
    usual_p95 = times.get(usual) or _p95(searched, choosing, usual)
    chosen = _look(reporting, picked.candidates, picked.alpha, picked.p95_ms, seed)
    default = _look(reporting, usual, own, usual_p95, seed)
    return Tuned(
        front, chosen, default, _compare(reporting, chosen, default, seed),
        searched.encoder.runtime, limit_ms, bool(in_time), len(choosing), len(reporting),
    )  # fmt: skip


def split(queries: Sequence[Query], seed: int = 0) -> tuple[list[Query], list[Query]]:
    """Two halves that share no product; ParameterError where that leaves too few."""
    products = sorted({query.product for query in queries})
    mixed = np.random.default_rng(seed).permutation(len(products))
    first = {products[k] for k in mixed[::2]}
    halves = (
        [query for query in queries if query.product in first],
        [query for query in queries if query.product not in first],
    )
    if min(map(len, halves)) < MIN_QUERIES:
        raise ParameterError(
            f"{len(queries)} queries of {len(products)} products leave "
            f"{min(map(len, halves))} in one half; expected at least {MIN_QUERIES} in each, one to "
            "choose by and one to report: add queries of other products"
        )
    return halves


def _best(
    scored: Sequence[Scored], candidates: int, p95_ms: float, own: float, seed: int
) -> Setting:
    """The alpha with the best R@1, of equals with the best R@10, of those nearest to `own`."""

    def rank(alpha: float) -> tuple[float, float, float]:
        ranks = find_ranks(scored, candidates, alpha)
        return (ranks == 1).mean(), (ranks > 0).mean(), -abs(alpha - own)

    alpha = max(sorted({*ALPHAS, own}), key=rank)
    return _look(scored, candidates, alpha, p95_ms, seed)


def _rank(one: Setting) -> tuple[float, float, float]:
    return one.r1.value, one.r10.value, -one.p95_ms


def _look(
    scored: Sequence[Scored], candidates: int, alpha: float, p95_ms: float, seed: int
) -> Setting:
    ranks = find_ranks(scored, candidates, alpha)
    found = [(ranks == 1).astype(np.float64), (ranks > 0).astype(np.float64)]
    qualities = (_measure(values, scored, seed) for values in found)
    return Setting(candidates, alpha, p95_ms, *qualities)


def _measure(values: NDArray[np.float64], scored: Sequence[Scored], seed: int) -> Quality:
    low, high = bootstrap_interval(values, _groups(scored), seed, _ROUNDS, _LEVEL)
    return Quality(float(values.mean()), low, high)


def _compare(scored: Sequence[Scored], one: Setting, other: Setting, seed: int) -> Quality:
    first, second = (
        (find_ranks(scored, each.candidates, each.alpha) == 1).astype(np.float64)
        for each in (one, other)
    )
    low, high = paired_interval(first, second, _groups(scored), seed, _ROUNDS, _LEVEL)
    return Quality(float((first - second).mean()), low, high)


def _groups(scored: Sequence[Scored]) -> NDArray[Any]:
    return np.unique([one.query.product for one in scored], return_inverse=True)[1]


def _p95(searched: Searched, scored: Sequence[Scored], candidates: int) -> float:
    """Over some queries, as the gallery answers them."""
    return float(np.percentile(time_searches(searched, scored[:_TIMED], candidates), 95))


def _require_found(scored: Sequence[Scored]) -> None:
    if not any(one.query.product in one.products for one in scored):
        raise ParameterError(
            "no query's product_id is among its candidates in the gallery; check that the column "
            "product_id of the CSV names products as the gallery does"
        )
