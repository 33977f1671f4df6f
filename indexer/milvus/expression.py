"""A filter in the words of Milvus, meaning exactly what SQL means by it.

Milvus knows no NULL before version 2.5, and versions differ in what NOT does to it. Every item
therefore lists the numbers of its columns without a value in `nulls`, every comparison asks for
a value first, and NOT is moved inwards to the comparisons: what SQL leaves unknown is not found.
"""

import json
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

from indexer.conditions import Condition, Either, Group, Not, Predicate, Value
from model.errors import ParameterError

NOTHING = 'item_id == ""'
_OPPOSITE = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_COMPARE: dict[str, Callable[[bool, bool], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt,
    "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_EPOCH_DAY = date(1970, 1, 1)
_MAX_INT = 2**63 - 1
_MIN_INT = -(2**63)


class Column(NamedTuple):
    """A column as Milvus stores it; `number` is what `nulls` lists, None: never without a value."""

    field: str
    number: int | None = None


def write_expression(
    condition: Condition, columns: Mapping[str, Column], *, any_pattern: bool = True
) -> str:
    """Write a condition as an expression of Milvus.

    Args:
        condition: what `indexer.filters` read.
        columns: by the name that the condition uses.
        any_pattern: whether the server understands LIKE beyond `text%` (from version 2.4).

    Raises:
        ParameterError: a LIKE that the server would misunderstand.

    >>> price = Predicate("price", "float", "<", (60,))
    >>> write_expression(Not(price), {"price": Column("c0_price", 0)})
    '(not array_contains(nulls, 0) and c0_price >= 60.0)'
    """
    return _Writer(columns, any_pattern).write(condition, True)


def write_in(field: str, values: Sequence[str | int]) -> str:
    """Write that a field is one of these values."""
    return f"{field} in [{', '.join(_quote(value) for value in values)}]"


def to_stored(value: Value) -> str | int | float | bool:
    """A value as it is stored: dates as days, times as microseconds since 1970."""
    if isinstance(value, datetime):
        span = value.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds
    if isinstance(value, date):
        return (value - _EPOCH_DAY).days
    return value


class _Writer:
    def __init__(self, columns: Mapping[str, Column], any_pattern: bool) -> None:
        self._columns, self._any_pattern = columns, any_pattern

    def write(self, said: Condition, holds: bool) -> str:
        """Write where a condition is true, or where it is false."""
        if isinstance(said, Not):
            return self.write(said.inner, not holds)
        if isinstance(said, Group):
            return self.write(said.inner, holds)
        if isinstance(said, Predicate):
            return self._predicate(said, holds)
        # De Morgan: where a conjunction is false, any of its parts is.
        word = " or " if isinstance(said, Either) == holds else " and "
        return f"({word.join(self.write(part, holds) for part in said.parts)})"

    def _predicate(self, said: Predicate, holds: bool) -> str:
        field, number = self._columns[said.column]
        holds = holds != said.negated
        without = NOTHING if number is None else f"array_contains(nulls, {number})"
        if said.operator == "IS NULL":
            return without if holds else f"not ({without})"
        compared = self._compare(field, said, holds)
        return compared if number is None else f"(not {without} and {compared})"

    def _compare(self, field: str, said: Predicate, holds: bool) -> str:
        if said.operator == "LIKE":
            return self._like(field, str(said.values[0]), holds)
        if said.kind == "bool":
            return _compare_truth(field, said, holds)
        if said.operator == "BETWEEN":
            ends = zip((">=", "<="), said.values, strict=True)
            parts = [_compare_one(field, sign, end, said.kind, holds) for sign, end in ends]
            return f"({(' and ' if holds else ' or ').join(parts)})"
        if said.operator == "IN":
            return _compare_list(field, said, holds)
        sign = "!=" if said.operator == "<>" else said.operator
        return _compare_one(field, sign, said.values[0], said.kind, holds)

    def _like(self, field: str, pattern: str, holds: bool) -> str:
        body = pattern.removesuffix("%")
        if not self._any_pattern and any(sign in body for sign in "%_\\"):
            raise ParameterError(
                f"the filter has LIKE {pattern!r}, and this Milvus server is older than 2.4 and "
                "understands only 'text%'; write it so, or update the server"
            )
        if not any(sign in pattern for sign in "%_\\"):
            return f"{field} {'==' if holds else '!='} {_quote(pattern)}"
        like = f"{field} like {_quote(pattern)}"
        return like if holds else f"not ({like})"


def _compare_truth(field: str, said: Predicate, holds: bool) -> str:
    """Truth values have no order in Milvus: name those for which it holds."""
    found = [value for value in (False, True) if _is_so(value, said) == holds]
    if len(found) == 1:
        return f"{field} == {_quote(found[0])}"
    return f"({field} == true or {field} == false)" if found else NOTHING


def _is_so(value: bool, said: Predicate) -> bool:
    values = [bool(each) for each in said.values]
    if said.operator == "IN":
        return value in values
    if said.operator == "BETWEEN":
        return values[0] <= value <= values[1]
    return _COMPARE["!=" if said.operator == "<>" else said.operator](value, values[0])


def _compare_list(field: str, said: Predicate, holds: bool) -> str:
    values = [_to_number(value, said.kind) for value in said.values]
    if said.kind == "int":
        values = [int(v) for v in values if float(v).is_integer() and _fits(int(v))]
    if not values:
        return NOTHING if holds else f"not ({NOTHING})"
    return f"{field} {'' if holds else 'not '}in [{', '.join(map(_quote, values))}]"


def _compare_one(field: str, sign: str, value: Value, kind: str, holds: bool) -> str:
    sign = sign if holds else _OPPOSITE[sign]
    number = _to_number(value, kind)
    if kind == "int" and isinstance(number, float):
        return _compare_fraction(field, sign, number)
    return f"{field} {'==' if sign == '=' else sign} {_quote(number)}"


def _compare_fraction(field: str, sign: str, value: float) -> str:
    """A column of whole numbers against a fraction: Milvus compares those with whole ones only."""
    if sign in ("=", "!="):
        if value.is_integer() and _fits(int(value)):
            return f"{field} {'==' if sign == '=' else sign} {int(value)}"
        return NOTHING if sign == "=" else f"not ({NOTHING})"
    # x < 1.5 is x < 2, and x >= 1.5 is x >= 2; x <= 1.5 is x <= 1, and x > 1.5 is x > 1.
    bound = math.ceil(value) if sign in ("<", ">=") else math.floor(value)
    if _fits(bound):
        return f"{field} {sign} {bound}"
    return f"not ({NOTHING})" if (bound > 0) == (sign in ("<", "<=")) else NOTHING


def _to_number(value: Value, kind: str) -> str | int | float | bool:
    return float(value) if kind == "float" else to_stored(value)  # type: ignore[arg-type]


def _fits(value: int) -> bool:
    return _MIN_INT <= value <= _MAX_INT


def _quote(value: str | int | float | bool) -> str:
    """A literal of Milvus; texts are escaped as in JSON."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else repr(value)
