"""What a filter says, as a tree: read by `indexer.filters`, written in the words of an engine."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

Value = str | int | float | bool | date | datetime


class Predicate(NamedTuple):
    """One column compared.

    operator: = != <> < <= > >= IN BETWEEN LIKE, or IS NULL, which has no values.
    negated: NOT IN, NOT BETWEEN, NOT LIKE, IS NOT NULL.
    values: of the column's kind; a column of whole numbers may be compared with fractions.
    """

    column: str
    kind: str
    operator: str
    values: tuple[Value, ...] = ()
    negated: bool = False


class Not(NamedTuple):
    """The opposite; unknown stays unknown."""

    inner: "Condition"


class Group(NamedTuple):
    """What stands in parentheses."""

    inner: "Condition"


class Both(NamedTuple):
    """All of the parts hold."""

    parts: tuple["Condition", ...]


class Either(NamedTuple):
    """Any of the parts holds."""

    parts: tuple["Condition", ...]


Condition = Predicate | Not | Group | Both | Either


def write_sql(condition: Condition) -> str:
    """Write a condition as the dataset's SQL.

    >>> write_sql(Predicate("price", "int", "IN", (1, 2.5), negated=True))
    'CAST(`price` AS DOUBLE) NOT IN (1, 2.5)'
    """
    if isinstance(condition, Predicate):
        return _write_predicate(condition)
    if isinstance(condition, Not):
        return f"NOT ({write_sql(condition.inner)})"
    if isinstance(condition, Group):
        return f"({write_sql(condition.inner)})"
    word = " OR " if isinstance(condition, Either) else " AND "
    return word.join(write_sql(part) for part in condition.parts)


def _write_predicate(said: Predicate) -> str:
    column, values = f"`{said.column}`", [_write_value(value) for value in said.values]
    negated = "NOT " if said.negated else ""
    if said.operator == "IS NULL":
        return f"{column} IS {negated}NULL"
    # The dataset compares whole numbers with nothing else.
    if said.kind == "int" and not is_whole(said.values):
        column = f"CAST({column} AS DOUBLE)"
    if said.operator == "IN":
        return f"{column} {negated}IN ({', '.join(values)})"
    if said.operator == "BETWEEN":
        return f"{column} {negated}BETWEEN {' AND '.join(values)}"
    return f"{column} {negated}{said.operator} {values[0]}"


def is_whole(values: Sequence[Value]) -> bool:
    """True when all of the values are whole numbers that 64 bits hold."""
    return all(isinstance(value, int) for value in values)


def _write_value(value: Value) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime):
        return f"timestamp '{value.isoformat(sep=' ')}'"
    if isinstance(value, date):
        return f"date '{value.isoformat()}'"
    return repr(value)
