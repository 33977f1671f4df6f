"""Metadata of a single item, brought into the types of a gallery's columns."""

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from indexer.manifest import Kind
from model.errors import ParameterError

_EXPECTED: dict[Kind, str] = {
    "string": "text",
    "int": "a whole number of 64 bits",
    "float": "a finite number",
    "bool": "true or false",
    "date": "a date such as 2024-05-31",
    "timestamp": "a date and time such as 2024-05-31T12:00:00",
}


def convert_metadata(
    item_id: str, values: Mapping[str, Any], kinds: Mapping[str, Kind]
) -> dict[str, Any]:
    """Return the values in the types of their columns; None stays None.

    Raises:
        ParameterError: a column that the gallery lacks, or a value that does not fit.
    """
    if unknown := sorted(set(values) - set(kinds)):
        known = ", ".join(f"{name} ({kind})" for name, kind in kinds.items()) or "none"
        raise ParameterError(
            f"item {item_id!r} has metadata the gallery does not know: {', '.join(unknown)}; "
            f"its columns are: {known}"
        )
    return {name: _convert(item_id, name, value, kinds[name]) for name, value in values.items()}


def _convert(item_id: str, name: str, value: Any, kind: Kind) -> Any:
    if value is None:
        return None
    try:
        return _CONVERTERS[kind](value)
    except (TypeError, ValueError, OverflowError):
        raise ParameterError(
            f"column {name} of item {item_id!r} is {value!r}; expected {_EXPECTED[kind]}"
        ) from None


def _to_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # refuses half a surrogate pair
    return value


def _to_int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise TypeError
    if not -(2**63) <= value < 2**63:
        raise OverflowError
    return int(value)


def _to_float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _to_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _to_date(value: Any) -> date:
    if isinstance(value, str):
        return date.fromisoformat(value)
    if isinstance(value, datetime) or not isinstance(value, date):
        raise TypeError
    return value


def _to_timestamp(value: Any) -> datetime:
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(found, datetime) or found.tzinfo is not None:
        raise TypeError
    return found


_CONVERTERS: dict[Kind, Callable[[Any], Any]] = {
    "string": _to_text,
    "int": _to_int,
    "float": _to_float,
    "bool": _to_bool,
    "date": _to_date,
    "timestamp": _to_timestamp,
}
