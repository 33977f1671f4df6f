"""What the metadata of candidates holds: an order by one column, and counts of values."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from indexer.filters import unknown_column
from indexer.results import Bin, Facet, Item, ValueCount

MAX_VALUES = 20
MAX_BINS = 10


def check_columns(
    sort: str | None, facets: Sequence[str], columns: Mapping[str, str]
) -> tuple[str | None, bool]:
    """Return the column to sort by (None: by score) and whether it descends.

    Raises ParameterError for a column that the gallery lacks.

    >>> check_columns("-price", [], {"price": "float"}), check_columns("score", [], {})
    (('price', True), (None, False))
    """
    for name in facets:
        if name not in columns:
            raise unknown_column("facets", name, columns)
    if sort is None or sort == "score":
        return None, False
    if sort in columns:
        return sort, False
    if sort.removeprefix("-") in columns:
        return sort.removeprefix("-"), True
    raise unknown_column("sort", sort.removeprefix("-"), columns)


def order_by(items: Sequence[Item], column: str, descending: bool) -> list[int]:
    """Places of the items by one column; without a value last, equal ones as they stand."""
    values = [_present(item.metadata.get(column)) for item in items]
    known = [place for place, value in enumerate(values) if value is not None]
    # Stable in both directions: `reverse` keeps equal values as they stand.
    known.sort(key=lambda place: values[place], reverse=descending)
    return known + [place for place, value in enumerate(values) if value is None]


def count_facet(items: Sequence[Item], column: str, kind: str) -> Facet:
    """Count the values of one column."""
    values = [value for item in items if (value := _present(item.metadata.get(column))) is not None]
    counts, missing = Counter(values), len(items) - len(values)
    if kind in ("string", "bool"):
        ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MAX_VALUES]
        return Facet(kind, missing, len(counts), tuple(ValueCount(*pair) for pair in ranked))
    if not values:
        return Facet(kind, missing, 0)
    bins = _count_bins(values, counts) if kind in ("int", "float") else ()
    return Facet(kind, missing, len(counts), (), min(values), max(values), bins)


def _present(value: Any) -> Any:
    """None for what is no value: missing, or not a number."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _count_bins(values: list[float], counts: Counter[float]) -> tuple[Bin, ...]:
    """A bin a value where there are few, otherwise ten of one width."""
    if len(counts) <= MAX_BINS:
        return tuple(Bin(value, value, counts[value]) for value in sorted(counts))
    # Shares of both ends: their difference may be more than a float holds.
    steps = np.arange(MAX_BINS + 1) / MAX_BINS
    edges = (1 - steps) * float(min(values)) + steps * float(max(values))
    place = np.searchsorted(edges[1:-1], np.asarray(values, np.float64), side="right")
    found = np.bincount(place, minlength=MAX_BINS).tolist()
    ends = zip(edges[:-1].tolist(), edges[1:].tolist(), found, strict=True)
    return tuple(Bin(low, high, count) for low, high, count in ends)
