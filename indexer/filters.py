"""Filters: a small part of SQL, checked here and handed to the dataset as SQL again.

    expression  price < 60 AND (category IN ('dress', 'skirt') OR NOT sale)
    operators   =  !=  <>  <  <=  >  >=  IN  BETWEEN  LIKE  IS NULL, each also with NOT
    columns     plain (price), or quoted where they hold other signs ("dress size")
    values      60   -1.5   'text'   TRUE   FALSE   dates and times as 'YYYY-MM-DD HH:MM:SS'

Only the columns that are handed in can be named, and nothing can be called: what reaches
the dataset is written anew from what was understood.
"""

import math
import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import NamedTuple, NoReturn

from indexer.conditions import Both, Condition, Either, Group, Not, Predicate, Value, write_sql
from model.errors import ParameterError

MAX_LENGTH = 4000
# The dataset's own reader gives up at about 24.
MAX_DEPTH = 16

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<string>'(?:[^']|'')*')
    | (?P<quoted>"[^"]+"|`[^`]+`)
    | (?P<word>[^\W\d]\w*)
    | (?P<sign><=|>=|<>|!=|[=<>(),])""",
    re.VERBOSE,
)
_COMPARISONS = {"=", "!=", "<>", "<", "<=", ">", ">="}
_KEYWORDS = {"AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "IS", "NULL", "TRUE", "FALSE"}
_EXPECTED_VALUE = {
    "string": "a text in single quotes",
    "int": "a number",
    "float": "a number",
    "bool": "TRUE or FALSE",
    "date": "a date such as '2026-03-01'",
    "timestamp": "a time such as '2026-03-01 12:00:00'",
}


class _Token(NamedTuple):
    kind: str
    text: str
    place: int

    @property
    def keyword(self) -> str:
        """The word in capitals where it is one of the language, or the sign."""
        upper = self.text.upper()
        if self.kind == "word":
            return upper if upper in _KEYWORDS else ""
        return self.text if self.kind == "sign" else ""


def to_sql(text: str, columns: Mapping[str, str]) -> str:
    """Check a filter over `columns` (names and their kinds) and write it as the dataset's SQL.

    Raises:
        ParameterError: too long, not understood (with the place), or an unknown column.

    >>> to_sql("price <= 19.9 and `dress size`='m'", {"price": "float", "dress size": "string"})
    "`price` <= 19.9 AND `dress size` = 'm'"
    """
    return write_sql(read_filter(text, columns))


def read_filter(text: str, columns: Mapping[str, str]) -> Condition:
    """Check a filter over `columns` (names and their kinds); ParameterError as for `to_sql`.

    What `to_sql` wrote is understood too, and comes to the same.
    """
    if len(text) > MAX_LENGTH:
        raise ParameterError(
            f"the filter has {len(text):,} characters; expected at most {MAX_LENGTH:,}"
        )
    return _Parser(text, columns, MAX_DEPTH).parse()


def read_condition(sql: str, columns: Mapping[str, str]) -> Condition:
    """Read what this program put together: longer and deeper than what a person may send."""
    return _Parser(sql, columns, max_depth=4 * MAX_DEPTH).parse()


class _Parser:
    """Recursive descent, one method a rule; each returns what it understood."""

    def __init__(self, text: str, columns: Mapping[str, str], max_depth: int) -> None:
        self._columns = columns
        self._max_depth = max_depth
        self._tokens = _split(text)
        self._at = 0
        self._depth = 0

    def parse(self) -> Condition:
        found = self._either()
        if self._next.kind != "end":
            self._refuse("AND, OR or the end")
        return found

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, *keywords: str) -> str | None:
        """Go past the next token if it is one of these."""
        word = self._next.keyword
        if not word or word not in keywords:
            return None
        self._at += 1
        return word

    def _require(self, keyword: str) -> None:
        if not self._take(keyword):
            self._refuse(keyword)

    def _refuse(self, expected: str) -> NoReturn:
        token = self._next
        found = "it ends" if token.kind == "end" else f"there is {token.text[:40]!r}"
        raise ParameterError(
            f"the filter cannot be read at character {token.place + 1}: {found}, where {expected} "
            "was expected"
        )

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._take("OR"):
            parts.append(self._both())
        return Either(tuple(parts)) if len(parts) > 1 else parts[0]

    def _both(self) -> Condition:
        parts = [self._factor()]
        while self._take("AND"):
            parts.append(self._factor())
        return Both(tuple(parts)) if len(parts) > 1 else parts[0]

    def _factor(self) -> Condition:
        self._depth += 1
        if self._depth > self._max_depth:
            raise ParameterError(
                f"the filter is nested more than {self._max_depth} deep; write it with fewer "
                "parentheses"
            )
        try:
            if self._take("NOT"):
                inner = self._factor()
                return Not(inner.inner if isinstance(inner, Group) else inner)
            if self._take("("):
                inner = self._either()
                self._require(")")
                return Group(inner)
            return self._predicate()
        finally:
            self._depth -= 1

    def _predicate(self) -> Condition:
        column, kind = self._column()
        if operator := self._take(*_COMPARISONS):
            return Predicate(column, kind, operator, (self._value(kind, operator),))
        if self._take("IS"):
            negated = self._take("NOT") is not None
            self._require("NULL")
            return Predicate(column, kind, "IS NULL", (), negated)
        negated = self._take("NOT") is not None
        if self._take("IN"):
            return Predicate(column, kind, "IN", self._list(kind), negated)
        if self._take("BETWEEN"):
            low = self._value(kind, "BETWEEN")
            self._require("AND")
            ends = (low, self._value(kind, "AND"))
            return Predicate(column, kind, "BETWEEN", ends, negated)
        if self._next.keyword == "LIKE" and kind != "string":
            self._refuse("=, <, IN or BETWEEN (LIKE is for columns of texts)")
        if self._take("LIKE"):
            return Predicate(column, kind, "LIKE", (self._value(kind, "LIKE"),), negated)
        if kind == "bool" and not negated:
            return Predicate(column, kind, "=", (True,))
        self._refuse("IN, BETWEEN or LIKE" if negated else "=, <, IN, BETWEEN, LIKE or IS NULL")

    def _column(self) -> tuple[str, str]:
        """A column, or one that `to_sql` cast to compare it with fractions."""
        if not self._is_ours("CAST", "("):
            return self._name()
        self._at += 2
        found = self._name()
        self._at += 2  # AS DOUBLE
        self._require(")")
        return found

    def _name(self) -> tuple[str, str]:
        token = self._next
        if token.kind not in ("word", "quoted") or token.keyword:
            self._refuse("a column")
        name = token.text[1:-1] if token.kind == "quoted" else token.text
        if name not in self._columns:
            raise unknown_column("the filter", name, self._columns)
        self._at += 1
        return name, self._columns[name]

    def _is_ours(self, word: str, follower: str) -> bool:
        """True where a word that `to_sql` writes stands, before a sign or a kind of token."""
        after = self._tokens[min(self._at + 1, len(self._tokens) - 1)]
        return self._next.text == word and follower in (after.text, after.kind)

    def _list(self, kind: str) -> tuple[Value, ...]:
        self._require("(")
        values = [self._value(kind, "IN (")]
        while self._take(","):
            values.append(self._value(kind, ","))
        self._require(")")
        return tuple(values)

    def _value(self, kind: str, after: str) -> Value:
        if kind in ("date", "timestamp") and self._is_ours(kind, "string"):
            self._at += 1
        token = self._next
        if token.keyword == "NULL":
            self._refuse("a value (write IS NULL or IS NOT NULL)")
        value = _read_value(token, kind)
        if value is None:
            self._refuse(f"{_EXPECTED_VALUE[kind]} after {after}")
        self._at += 1
        return value


def unknown_column(who: str, name: str, columns: Mapping[str, str]) -> ParameterError:
    """Build the error of a column that is not there, naming those that are."""
    known = ", ".join(columns) or "none"
    return ParameterError(
        f"{who} names the column {name!r}, which this gallery lacks; it has {known}"
    )


def _split(text: str) -> list[_Token]:
    tokens, place = [], 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ParameterError(
                f"the filter cannot be read at character {place + 1}, from {text[place:][:20]!r}; "
                "expected columns, values, comparisons, AND, OR, NOT and parentheses"
            )
        if match.lastgroup != "space":
            tokens.append(_Token(str(match.lastgroup), match[0], place))
        place = match.end()
    return [*tokens, _Token("end", "", len(text))]


def _read_value(token: _Token, kind: str) -> Value | None:
    """Read a value for a column of this kind; None when it is of another kind."""
    if kind in ("int", "float"):
        return _read_number(token.text) if token.kind == "number" else None
    if kind == "bool":
        return token.keyword == "TRUE" if token.keyword in ("TRUE", "FALSE") else None
    if token.kind != "string":
        return None
    said = token.text[1:-1]
    if kind == "string":
        return said.replace("''", "'")
    try:
        if kind == "date":
            return date.fromisoformat(said.strip())
        when = datetime.fromisoformat(said.strip())
    except ValueError:
        return None
    return None if when.tzinfo else when


def _read_number(text: str) -> int | float | None:
    """Whole numbers as they are where 64 bits hold them, others as a float; None: too large."""
    if text.lstrip("+-").isdigit() and abs(int(text)) < 2**63:
        return int(text)
    number = float(text)
    return None if math.isinf(number) else number
