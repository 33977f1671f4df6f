"""Numbers as people write them: 10M items, 24G of memory."""

import re

from model.errors import ParameterError

_STEPS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", re.IGNORECASE)
_SHORT_NAMES = ((10**9, "G"), (10**6, "M"), (10**3, "k"))
# Row ids of FAISS have 63 bits, but disks end long before.
MAX_ITEMS = 10**10


def parse_items(text: str) -> int:
    """Read a number of items: 12612, 100k or 10M; ParameterError says what else it is.

    >>> parse_items("2.5k")
    2500
    """
    count = _parse(text)
    if count is None or count != int(count):
        raise ParameterError(
            f"--items is {text!r}; expected a whole number, such as 12612, 100k or 10M"
        )
    if not 1 <= count <= MAX_ITEMS:
        raise ParameterError(f"--items is {text!r}; expected 1 to {format_count(MAX_ITEMS)}")
    return int(count)


def parse_memory(text: str) -> int:
    """Read a size in bytes: 24G is 24,000,000,000; ParameterError where it is none.

    >>> parse_memory("512M"), parse_memory("1.5 GB")
    (512000000, 1500000000)
    """
    size = _parse(text)
    if size is None or size < 10**6:
        raise ParameterError(
            f"--memory is {text!r}; expected at least a megabyte, such as 512M or 24G"
        )
    return int(size)


def format_count(count: int) -> str:
    """Write a count shortly where that loses nothing.

    >>> format_count(10_000_000), format_count(2500), format_count(12612)
    ('10M', '2500', '12,612')
    """
    for step, name in _SHORT_NAMES:
        if count >= step and not count % step:
            return f"{count // step}{name}"
    return f"{count:,}" if count >= 10_000 else str(count)


def format_bytes(size: float) -> str:
    """Write a size with three digits and a decimal unit.

    >>> format_bytes(23_100_000_000), format_bytes(850)
    ('23.1 GB', '850 B')
    """
    for step, name in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= step:
            return f"{size / step:.3g} {name}"
    return f"{size:.0f} B"


def format_seconds(seconds: float) -> str:
    """Write a time in the unit that people would use.

    >>> format_seconds(0.0312), format_seconds(95), format_seconds(9000), format_seconds(200_000)
    ('31.2 ms', '1.6 min', '2.5 h', '2.3 days')
    """
    for step, name in ((86_400 * 1.5, "days"), (3600, "h"), (60, "min"), (1, "s")):
        if seconds >= step:
            return f"{seconds / (86_400 if name == 'days' else step):.1f} {name}"
    return f"{1000 * seconds:.3g} ms"


def _parse(text: str) -> float | None:
    found = _NUMBER.fullmatch(text.strip())
    return float(found[1]) * _STEPS[found[2].lower()] if found else None
