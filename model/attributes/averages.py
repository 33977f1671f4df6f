"""Both averages over attributes, with intervals that draw whole items.

One photo asks for several attributes, and an item has several photos: none of those
queries are independent, so an item is drawn with all of them or not at all.

A attributes, I items, B draws.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from model.evaluation.metrics import Interval, bootstrap_interval, paired_interval
from model.evaluation.results import Measured

Values = NDArray[np.float64]
_DRAWS = 2_000_000


def weigh(
    values: Mapping[str, Values],
    items: Mapping[str, Sequence[str]],
    *,
    seed: int,
    rounds: int,
    level: float,
    differences: bool = False,
) -> Measured:
    """Mean over all queries of all attributes, which weights attributes by their queries."""
    every = np.concatenate([values[name] for name in values])
    owners = [item for name in values for item in items[name]]
    low, high = _find_interval(every, owners, seed, rounds, level, differences)
    return Measured(value=float(every.mean()), low=low, high=high)


def average(
    values: Mapping[str, Values],
    items: Mapping[str, Sequence[str]],
    *,
    seed: int,
    rounds: int,
    level: float,
    differences: bool = False,
) -> Measured:
    """Mean over attributes of their means, each attribute counting alike.

    A draw that leaves an attribute without queries averages the others.
    """
    every = np.concatenate(list(values.values()))
    value = float(np.mean([found.mean() for found in values.values()]))
    if len(set(every.tolist())) == 1:
        owners = [item for name in values for item in items[name]]
        low, high = _find_interval(every, owners, seed, rounds, level, differences)
        return Measured(value=value, low=low, high=high)
    totals, counts = _sum_by_item(values, items)
    rng = np.random.default_rng(seed)
    num_items, step = len(totals), max(1, _DRAWS // len(totals))
    means = []
    for start in range(0, rounds, step):
        size = min(step, rounds - start)
        drawn = rng.multinomial(num_items, np.full(num_items, 1 / num_items), size)  # (B, I)
        weight = drawn.astype(np.float64)
        asked = weight @ counts  # (B, A)
        mean = np.divide(weight @ totals, asked, out=np.full(asked.shape, np.nan), where=asked > 0)
        means.append(np.nanmean(mean, axis=1))
    tail = 100.0 * (1.0 - level) / 2
    low, high = np.percentile(np.concatenate(means), [tail, 100.0 - tail])
    return Measured(value=value, low=float(low), high=float(high))


def measure_one(
    values: Values,
    items: Sequence[str],
    *,
    seed: int,
    rounds: int,
    level: float,
    differences: bool = False,
) -> Measured:
    """Mean over one attribute's queries."""
    low, high = _find_interval(values, items, seed, rounds, level, differences)
    return Measured(value=float(values.mean()), low=low, high=high)


def _find_interval(
    values: Values, items: Sequence[str], seed: int, rounds: int, level: float, differences: bool
) -> Interval:
    if differences:
        return paired_interval(values, np.zeros_like(values), items, seed, rounds, level)
    return bootstrap_interval(values, items, seed, rounds, level)


def _sum_by_item(
    values: Mapping[str, Values], items: Mapping[str, Sequence[str]]
) -> tuple[Values, Values]:
    """Sum and number of each item's queries by attribute, (I, A) each."""
    names = sorted({item for name in values for item in items[name]})
    place = {item: k for k, item in enumerate(names)}
    totals = np.zeros((len(names), len(values)))
    counts = np.zeros_like(totals)
    for column, name in enumerate(values):
        rows = np.array([place[item] for item in items[name]])
        np.add.at(totals[:, column], rows, values[name])
        np.add.at(counts[:, column], rows, 1)
    return totals, counts
