"""Values of any type as something JSON can say."""

import base64
import datetime as dt
import math
from decimal import Decimal
from typing import Any

_PLAIN = {str, int, bool, type(None)}


def to_json_safe(value: object) -> Any:
    """Return `value` as something JSON can say.

    >>> to_json_safe({"since": dt.date(2026, 3, 1), "rating": float("nan"), "tags": ("a", "b")})
    {'since': '2026-03-01', 'rating': None, 'tags': ['a', 'b']}
    """
    # Asked first: nearly all values are of these, and a search's answer has a hundred.
    if type(value) in _PLAIN:
        return value
    match value:
        case bool() | int() | str():
            return value
        case float():
            return to_finite(value)
        case Decimal():
            return to_finite(float(value))
        case dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return value.total_seconds()
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(value).decode("ascii")
        case dict():
            return {str(key): to_json_safe(entry) for key, entry in value.items()}
        case list() | tuple() | set() | frozenset():
            return [to_json_safe(entry) for entry in value]
    # numpy and pyarrow scalars and arrays know how to become Python values.
    for convert in ("tolist", "as_py"):
        if hasattr(value, convert):
            return to_json_safe(getattr(value, convert)())
    return str(value)


def to_finite(value: float | None) -> float | None:
    """Return None for what JSON lacks: NaN and infinity."""
    return float(value) if value is not None and math.isfinite(value) else None
