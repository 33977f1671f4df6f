"""Orders by a column and counts of its values, over items a person can count."""

import datetime as dt
from typing import Any

import pytest

from indexer.facets import count_facet, order_by
from indexer.results import Bin, Item, ValueCount


def make(*values: Any) -> list[Item]:
    return [Item(str(i), "p", "u", {"x": value}) for i, value in enumerate(values)]


@pytest.mark.parametrize(
    ("descending", "order"), [(False, [1, 4, 0, 3, 2, 5]), (True, [0, 3, 1, 4, 2, 5])]
)
def test_items_without_a_value_come_last_and_equal_ones_stay(
    descending: bool, order: list[int]
) -> None:
    assert order_by(make(2.0, 1.0, None, 2.0, 1.0, float("nan")), "x", descending) == order


def test_texts_are_counted_most_frequent_first() -> None:
    facet = count_facet(make("b", "a", None, "b", "c"), "x", "string")
    assert facet.values == (ValueCount("b", 2), ValueCount("a", 1), ValueCount("c", 1))
    assert (facet.missing, facet.distinct) == (1, 3)


def test_of_many_texts_the_first_twenty_are_listed() -> None:
    facet = count_facet(make(*(f"{i:02}" for i in range(30))), "x", "string")
    assert (len(facet.values), facet.distinct) == (20, 30)


def test_few_numbers_have_a_bin_each_and_many_have_ten() -> None:
    assert count_facet(make(3, 1, 3), "x", "int").bins == (Bin(1, 1, 1), Bin(3, 3, 2))
    facet = count_facet(make(*range(100)), "x", "int")
    assert [entry.count for entry in facet.bins] == [10] * 10
    assert (facet.bins[0].low, facet.bins[-1].high) == (0, 99)
    assert (facet.minimum, facet.maximum) == (0, 99)


def test_numbers_too_large_to_subtract_are_still_counted() -> None:
    values = [-1.7e308, 1.7e308, *range(20)]
    assert sum(entry.count for entry in count_facet(make(*values), "x", "float").bins) == 22


def test_dates_have_a_first_and_a_last() -> None:
    days = [dt.date(2026, 1, day) for day in (5, 2, 9)]
    facet = count_facet(make(*days), "x", "date")
    assert (facet.minimum, facet.maximum, facet.bins) == (days[1], days[2], ())


def test_a_column_without_values_says_how_many_are_missing() -> None:
    for kind in ("int", "string", "date"):
        facet = count_facet(make(None, None), "x", kind)
        assert (facet.missing, facet.distinct, facet.minimum, facet.values) == (2, 0, None, ())
