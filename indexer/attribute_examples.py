"""Examples of an attribute from a CSV: a column of items or of photos, and their values."""

import csv
from dataclasses import dataclass
from pathlib import Path

from model.errors import SourceError

ITEM, IMAGE, VALUE = "item_id", "image", "value"


@dataclass(frozen=True)
class Examples:
    """Value by item id, or by photo; one of the two is empty."""

    items: dict[str, str]
    photos: dict[Path, str]


def read_examples(table: Path) -> Examples:
    """Read a CSV with the columns item_id or image, and value; others are ignored.

    Photos are relative to the CSV. A row that says the same again is left out.

    Raises:
        SourceError: not a CSV, a column is missing, a cell is empty, or two values for one.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            names = list(reader.fieldnames or [])
            _require_columns(table, names)
            key = ITEM if ITEM in names else IMAGE
            found: dict[str, str] = {}
            for row in reader:
                _add(found, table, reader.line_num, row.get(key), row.get(VALUE), key)
    except OSError as error:
        raise SourceError(f"{table} cannot be read ({error.strerror}); check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{table} is not a CSV in UTF-8 ({error}); save it as one") from error
    if key == ITEM:
        return Examples(found, {})
    return Examples({}, {table.parent / name: value for name, value in found.items()})


def _require_columns(table: Path, names: list[str]) -> None:
    if VALUE not in names or not {ITEM, IMAGE} & set(names):
        raise SourceError(
            f"{table} has the columns {', '.join(names) or 'none'}; expected {ITEM} or {IMAGE}, "
            f"and {VALUE}"
        )


def _add(
    found: dict[str, str], table: Path, line: int, name: str | None, value: str | None, key: str
) -> None:
    name, value = (name or "").strip(), (value or "").strip()
    if not name or not value:
        lacks = VALUE if name else key
        raise SourceError(f"line {line} of {table} has no {lacks}; fill it in, or remove the line")
    if found.setdefault(name, value) != value:
        raise SourceError(
            f"line {line} of {table} says {value!r} of {name}, and another line {found[name]!r}; "
            "an example has one value"
        )
