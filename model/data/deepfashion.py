"""What both DeepFashion benchmarks share: their text files, boxes and checks.

Each list file has the number of its rows in line 1, the column names in line 2
(item lists have none), then rows of columns separated by runs of spaces.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from model.data.records import Box
from model.errors import DataError


class Line(NamedTuple):
    """One row and where it stands."""

    number: int
    cells: list[str]


def read_list(path: Path, columns: tuple[str, ...]) -> list[Line]:
    """Read a list file whose columns have these names."""
    lines = _read_lines(path)
    found = tuple(lines[1].split()) if len(lines) > 1 else ()
    if found != columns:
        raise DataError(
            f"line 2 of {path} names the columns {' '.join(found) or '(none)'}; expected "
            f"{' '.join(columns)}. Unpack the official file again"
        )
    return _check_rows(path, _count(path, lines), lines, 2, len(columns))


def read_items(path: Path) -> list[str]:
    """Read an item list: line 1 the count, then an id a line, without column names."""
    lines = _read_lines(path)
    rows = _check_rows(path, _count(path, lines), lines, 1, 1)
    return [line.cells[0] for line in rows]


def check_counts(
    where: Path, found: Mapping[str, int], expected: Mapping[str, int], counts: str
) -> None:
    """Refuse a set that is not the whole official one, unless `counts` is "any"."""
    wrong = [name for name, value in expected.items() if found[name] != value]
    if counts == "any" or not wrong:
        return
    said = "; ".join(f"{found[name]:,} {name}, expected {expected[name]:,}" for name in wrong)
    raise DataError(
        f"{where} is not the whole benchmark: found {said}. Unpack the official files again, "
        "or say counts=any to read a part of it"
    )


def read_box(path: Path, line: Line, first: int) -> Box:
    """The four corners from column `first` on."""
    cells = line.cells[first : first + 4]
    try:
        box = Box(*(int(cell) for cell in cells))
    except ValueError:
        raise DataError(
            f"line {line.number} of {path} has the box {' '.join(cells)}; expected four whole "
            "numbers x_1 y_1 x_2 y_2"
        ) from None
    if box.x2 <= box.x1 or box.y2 <= box.y1:
        raise DataError(
            f"line {line.number} of {path} has the empty box {' '.join(cells)}; expected corners "
            "with x_1 < x_2 and y_1 < y_2. Correct it, or use crops=none"
        )
    return box


def find_file(root: Path, *names: str) -> Path:
    """The first of these files that exists."""
    for name in names:
        if (root / name).is_file():
            return root / name
    raise DataError(
        f"{root / names[0]} does not exist; expected the official folder with Anno/, Eval/ and "
        "Img/: download it and give its path"
    )


def find_images(root: Path, folder: str) -> Path:
    """The folder that image names are relative to: they begin with img/ themselves."""
    for place in (root / "Img", root):
        if (place / folder).is_dir():
            return place / folder
    raise DataError(
        f"{root / 'Img' / folder} does not exist; unpack {folder}.zip there, or choose another "
        "folder with images=NAME"
    )


def find_directory_id(name: str) -> str | None:
    """The item an image belongs to by its folder.

    >>> find_directory_id("img/WOMEN/Dresses/id_00000002/02_1_front.jpg")
    'id_00000002'
    """
    return next((part for part in name.split("/")[:-1] if part.startswith("id_")), None)


def strip_folder(name: str) -> str:
    """Image names begin with "img/", whatever folder they are looked up in."""
    return name.removeprefix("img/")


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path} cannot be read: {reason}; unpack the official file") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text ({error}); unpack the official file") from error


def _count(path: Path, lines: list[str]) -> int:
    first = lines[0].strip() if lines else ""
    if not first.isdecimal():
        raise DataError(
            f"line 1 of {path} is {first!r}; expected the number of rows. "
            "Unpack the official file again"
        )
    return int(first)


def _check_rows(path: Path, count: int, lines: list[str], skip: int, width: int) -> list[Line]:
    rows = [row for row in _cut(lines, skip) if row.cells]
    if len(rows) != count:
        raise DataError(
            f"{path} has {len(rows):,} rows, but its first line says {count:,}; "
            "it is cut short or edited: unpack the official file again"
        )
    for row in rows:
        if len(row.cells) != width:
            raise DataError(
                f"line {row.number} of {path} has {len(row.cells)} columns; expected {width}"
            )
    return rows


def _cut(lines: list[str], skip: int) -> Iterator[Line]:
    for number, line in enumerate(lines[skip:], start=skip + 1):
        yield Line(number, line.split())
