"""The latest filters are remembered, within a bound."""

from typing import Any

import numpy as np
import pytest

from indexer import selection
from indexer.requests import SearchRequest
from indexer.selection import Selector


class Gallery:
    """Every condition holds for rows 0 to 3; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def metadata_columns(self) -> dict[str, str]:
        return {"price": "int"}

    def find_rows(self, sql: str) -> Any:
        self.asked.append(sql)
        return np.arange(4)


def ask(selector: Selector, *prices: int) -> None:
    for price in prices:
        selector.select(SearchRequest(filter=f"price = {price}"))


@pytest.mark.parametrize(("rows", "conditions"), [(9, 1000), (1000, 2)])
def test_the_oldest_filters_are_forgotten_first(
    monkeypatch: pytest.MonkeyPatch, rows: int, conditions: int
) -> None:
    monkeypatch.setattr(selection, "KEPT_ROWS", rows)
    monkeypatch.setattr(selection, "KEPT_CONDITIONS", conditions)
    gallery = Gallery()
    selector = Selector(gallery)  # type: ignore[arg-type]
    ask(selector, 1, 2, 1, 3, 1, 2)
    assert [int(sql[-1]) for sql in gallery.asked] == [1, 2, 3, 2]


def test_what_is_excluded_is_taken_out_of_what_is_allowed() -> None:
    selector = Selector(Gallery())  # type: ignore[arg-type]
    nothing = selector.select(SearchRequest(filter="price = 1", exclude_items=("o'hara",)))
    assert nothing is not None
    assert (nothing.inside, len(nothing.rows)) == (True, 0)
    assert selector.select(SearchRequest()) is None
    left_out = selector.select(SearchRequest(), without="a")
    assert left_out is not None
    assert (left_out.inside, left_out.rows.tolist()) == (False, [0, 1, 2, 3])
