"""Filters are understood, written anew, and refused in sentences that give the place."""

import datetime as dt
import random
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
import pytest

from indexer.conditions import write_sql
from indexer.filters import MAX_LENGTH, read_condition, to_sql
from indexer.table import ARROW_TYPES
from model.errors import ParameterError

COLUMNS = {
    "item_id": "string",
    "price": "int",
    "rating": "float",
    "since": "date",
    "seen": "timestamp",
    "sale": "bool",
    "dress size": "string",
    "Größe": "string",
}


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("price=60", "`price` = 60"),
        ("price <> +60 or price >= -5", "`price` <> 60 OR `price` >= -5"),
        ("price < 19.5", "CAST(`price` AS DOUBLE) < 19.5"),
        ("price IN (1, 2.5)", "CAST(`price` AS DOUBLE) IN (1, 2.5)"),
        ("price < 99999999999999999999", "CAST(`price` AS DOUBLE) < 1e+20"),
        ("rating < .5 and rating > 1e-5", "`rating` < 0.5 AND `rating` > 1e-05"),
        ("sale", "`sale` = TRUE"),
        ("not sale = false", "NOT (`sale` = FALSE)"),
        ("\"dress size\" = 'm' or `dress size` like 'x%'", None),
        ("Größe NOT IN ('38', '40')", "`Größe` NOT IN ('38', '40')"),
        ("item_id = 'o''hara; --'", "`item_id` = 'o''hara; --'"),
        ("since between '2026-01-01' and '2026-02-01'", None),
        ("seen < '2026-01-01'", "`seen` < timestamp '2026-01-01 00:00:00'"),
        ("price is not null AND (price = 1)", "`price` IS NOT NULL AND (`price` = 1)"),
        ("price NOT BETWEEN 1 AND 2 AND sale", "`price` NOT BETWEEN 1 AND 2 AND `sale` = TRUE"),
    ],
)
def test_a_filter_is_written_anew(text: str, sql: str | None) -> None:
    written = to_sql(text, COLUMNS)
    assert sql is None or written == sql


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"at character 1: it ends, where a column was expected"),
        ("price <", r"at character 8: it ends, where a number after < was expected"),
        ("price = 'a'", r"at character 9: there is \"'a'\", where a number after ="),
        ("price = NULL", r"write IS NULL or IS NOT NULL"),
        ("sale = 1", r"TRUE or FALSE after ="),
        ("since = 'soon'", r"a date such as '2026-03-01'"),
        ("seen = '2026-01-01T00:00:00+02:00'", r"a time such as '2026-03-01 12:00:00'"),
        ("rating = 1e999", r"a number after ="),
        ("(price = 1", r"at character 11: it ends, where \) was expected"),
        ("price = 1)", r"there is '\)', where AND, OR or the end was expected"),
        ("price = 1 price = 2", r"there is 'price', where AND, OR or the end"),
        ("price NOT = 1", r"there is '=', where IN, BETWEEN or LIKE"),
        ("price LIKE '1%'", r"LIKE is for columns of texts"),
        ("price BETWEEN 1 OR 2", r"there is 'OR', where AND was expected"),
        ("price IN ()", r"a number after IN \("),
        ("price", r"=, <, IN, BETWEEN, LIKE or IS NULL was expected"),
        ("price = 1; DROP TABLE x", r"at character 10, from '; DROP TABLE x'"),
        ("item_id = 'open", r"at character 11, from \"'open\""),
        ("AND", r"there is 'AND', where a column was expected"),
        ("1 = 1", r"there is '1', where a column was expected"),
        ("price = 1 -- rest", r"from '-- rest'"),
    ],
)
def test_a_filter_that_cannot_be_read_says_where(text: str, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        to_sql(text, COLUMNS)


@pytest.mark.parametrize(
    "text",
    ["tokens IS NULL", "length(item_id) = 1", "thumbnail = 'x'", "_rowid = 1", "Price = 1",
     "item_id IN (SELECT item_id)", "`a``b` = 1"],
)  # fmt: skip
def test_only_the_gallerys_own_columns_can_be_named_and_nothing_called(text: str) -> None:
    with pytest.raises(ParameterError):
        to_sql(text, COLUMNS)


def test_an_unknown_column_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ParameterError, match=r"'colour', .*; it has item_id, price, rating"):
        to_sql("price < 1 AND colour = 'red'", COLUMNS)


def test_endless_filters_are_refused() -> None:
    with pytest.raises(ParameterError, match="expected at most 4,000"):
        to_sql("sale" + " " * MAX_LENGTH, COLUMNS)
    with pytest.raises(ParameterError, match="nested more than 16 deep"):
        to_sql("(" * 40 + "sale" + ")" * 40, COLUMNS)
    with pytest.raises(ParameterError, match="nested more than 16 deep"):
        to_sql("NOT " * 40 + "sale", COLUMNS)


VALUES = {
    "int": ["0", "-5", "19.5", "1e3", "9223372036854775807", "9223372036854775808", "1e308", "007"],
    "float": ["0", "-5", "2.5", "1e-300", "-1e308", "12345678901234567890123"],
    "string": ["'a'", "''", "'%'", "'c''d'", "'\\'", "'👗'", "'\n'", "'--'", "'\"'", "'\0'"],
    "date": ["'2026-01-01'", "'0001-01-01'", "'9999-12-31'"],
    "timestamp": ["'2026-01-01'", "'0001-01-01'", "'9999-12-31'", "'2026-01-01 10:00:00.123456'"],
    "bool": ["TRUE", "false"],
}


def make_filter(choose: random.Random, depth: int = 0) -> str:
    """A random filter over COLUMNS."""
    kind = choose.random()
    if depth < 4 and kind < 0.4:
        operator = choose.choice(["AND", "OR"])
        return f"({make_filter(choose, depth + 1)} {operator} {make_filter(choose, depth + 1)})"
    if depth < 4 and kind < 0.5:
        return f"NOT {make_filter(choose, depth + 1)}"
    name = choose.choice(list(COLUMNS))
    one, other, third = choose.choices(VALUES[COLUMNS[name]], k=3)
    like = [f"LIKE {one}"] if COLUMNS[name] == "string" else []
    rest = choose.choice(
        [f"<= {one}", f"!= {one}", f"IN ({one}, {other}, {third})", f"NOT IN ({one})",
         f"BETWEEN {one} AND {other}", f"NOT BETWEEN {one} AND {other}", "IS NOT NULL", *like]
    )  # fmt: skip
    return f"`{name}` {rest}"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two rows, one of them empty."""
    schema = pa.schema([pa.field(name, ARROW_TYPES[kind]) for name, kind in COLUMNS.items()])  # type: ignore[index]
    row = {
        "item_id": "a", "price": 10, "rating": 1.5, "since": dt.date(2026, 1, 1),
        "seen": dt.datetime(2026, 1, 1), "sale": True, "dress size": "m", "Größe": "38",
    }  # fmt: skip
    table = pa.Table.from_pylist([row, {}], schema=schema)
    folder: Path = tmp_path_factory.mktemp("filters")
    return lance.write_dataset(table, folder / "items.lance")


def count(dataset: Any, text: str) -> int:
    return len(dataset.scanner(columns=["item_id"], filter=to_sql(text, COLUMNS)).to_table())


def test_the_dataset_takes_whatever_was_understood(dataset: Any) -> None:
    choose = random.Random(0)
    for _ in range(300):
        assert count(dataset, make_filter(choose)) <= 2


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(" * 15 + "sale" + ")" * 15, 1),
        ("NOT " * 14 + "sale", 1),
        ("NOT (sale AND " * 7 + "sale" + ")" * 7, 0),
        (" OR ".join(["sale"] * 490), 1),
    ],
)
def test_the_deepest_and_the_longest_filters_are_answered(
    dataset: Any, text: str, found: int
) -> None:
    assert count(dataset, text) == found


def test_what_was_written_is_read_again_and_comes_to_the_same() -> None:
    choose = random.Random(1)
    for _ in range(300):
        sql = to_sql(make_filter(choose), COLUMNS)
        assert write_sql(read_condition(sql, COLUMNS)) == sql
