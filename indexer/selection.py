"""Which items a search may return: the rows of its filter, without its exclusions."""

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.filters import to_sql
from indexer.protocols import Gallery, Narrowing, Selection
from indexer.requests import SearchRequest

# Rows of the latest conditions that stay in memory: 128 MB at most.
KEPT_ROWS = 16_000_000
KEPT_CONDITIONS = 1000


class Selector:
    """Turns filters and exclusions into rows of one gallery, remembering the latest ones."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._known: OrderedDict[str, NDArray[np.int64]] = OrderedDict()
        self._num_rows = 0
        self._lock = threading.Lock()

    def check(self, request: SearchRequest) -> str | None:
        """Check the filter and write it as SQL; ParameterError says what is wrong with it."""
        if request.filter is None:
            return None
        names = {"item_id": "string", "product_id": "string"}
        return to_sql(request.filter, {**names, **self._gallery.metadata_columns()})

    def select(self, request: SearchRequest, without: str | None = None) -> Selection | None:
        """Rows that may be found, or those that may not; None where every item may.

        `without` is one more item to leave out.
        """
        sql, excluded = self.check(request), _write_excluded(request, without)
        # A search by attributes compares all items, and has to know which.
        if isinstance(self._gallery, Narrowing) and not request.attributes:
            terms = [f"({sql})" if sql else "", f"NOT ({excluded})" if excluded else ""]
            joined = " AND ".join(filter(None, terms))
            return self._gallery.narrow(joined) if joined else None
        left_out = self._find(excluded) if excluded else np.empty(0, np.int64)
        if sql is not None:
            allowed = self._find(sql)
            return Selection(np.setdiff1d(allowed, left_out, assume_unique=True), inside=True)
        return Selection(left_out, inside=False) if len(left_out) else None

    def _find(self, sql: str) -> NDArray[np.int64]:
        """Rows of a condition, from memory where it was asked for lately."""
        with self._lock:
            if sql in self._known:
                self._known.move_to_end(sql)
                return self._known[sql]
        rows = self._gallery.find_rows(sql)
        with self._lock:
            if sql not in self._known:
                self._known[sql] = rows
                self._num_rows += len(rows)
            while self._num_rows > KEPT_ROWS or len(self._known) > KEPT_CONDITIONS:
                self._num_rows -= len(self._known.popitem(last=False)[1])
        return rows


def _write_excluded(request: SearchRequest, without: str | None) -> str:
    """What may not be found, as SQL; empty where everything may."""
    items = request.exclude_items if without is None else (*request.exclude_items, without)
    named = {"item_id": items, "product_id": request.exclude_products}
    return " OR ".join(_is_one_of(column, names) for column, names in named.items() if names)


def _is_one_of(column: str, names: Sequence[str]) -> str:
    quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in names)
    return f"{column} IN ({quoted})"
