"""Which items a search may return: the rows of its filter, without its exclusions."""

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.filters import to_sql
from indexer.protocols import Gallery, Selection
from indexer.requests import SearchRequest

KEPT_FILTERS = 64


class Selector:
    """Turns filters and exclusions into rows of one gallery, remembering the latest filters."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._known: OrderedDict[str, NDArray[np.int64]] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, request: SearchRequest) -> str | None:
        """Check the filter and write it as SQL; ParameterError says what is wrong with it."""
        if request.filter is None:
            return None
        return to_sql(request.filter, filter_columns(self._gallery))

    def select(self, request: SearchRequest, without: str | None = None) -> Selection | None:
        """Rows that may be found, or those that may not; None where every item may.

        `without` is one more item to leave out.
        """
        left_out = self._find_excluded(request, without)
        sql = self.check(request)
        if sql is not None:
            allowed = self._find(sql)
            return Selection(np.setdiff1d(allowed, left_out, assume_unique=True), inside=True)
        return Selection(left_out, inside=False) if len(left_out) else None

    def _find_excluded(self, request: SearchRequest, without: str | None) -> NDArray[np.int64]:
        items = request.exclude_items if without is None else (*request.exclude_items, without)
        named = {"item_id": items, "product_id": request.exclude_products}
        terms = [_is_one_of(column, names) for column, names in named.items() if names]
        return self._find(" OR ".join(terms)) if terms else np.empty(0, np.int64)

    def _find(self, sql: str) -> NDArray[np.int64]:
        """Rows of a filter, from memory where it was asked for lately."""
        with self._lock:
            if sql in self._known:
                self._known.move_to_end(sql)
                return self._known[sql]
        rows = self._gallery.find_rows(sql)
        with self._lock:
            self._known[sql] = rows
            while len(self._known) > KEPT_FILTERS:
                self._known.popitem(last=False)
        return rows


def filter_columns(gallery: Gallery) -> dict[str, str]:
    """Name the columns that a filter may use, and their kinds."""
    return {"item_id": "string", "product_id": "string", **gallery.metadata_columns()}


def _is_one_of(column: str, names: Sequence[str]) -> str:
    quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in names)
    return f"{column} IN ({quoted})"
