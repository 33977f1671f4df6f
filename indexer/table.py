"""Photos listed in a CSV, with metadata columns of any type.

The file is read twice, block by block: once to find out the kind of every column
over all rows, once to hand out the photos. Kinds: bool (true/false), int, float,
date (2024-05-31), timestamp (2024-05-31 12:00:00), string. Numbers with leading
zeros or more than 18 digits stay strings: they are codes. An empty cell is null.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as pacsv

from indexer.manifest import Kind
from indexer.photos import RESERVED, SUFFIXES, Photo
from model.errors import SourceError

ARROW_TYPES: dict[Kind, pa.DataType] = {
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "string": pa.string(),
}
_NULLS = ["", "NA", "N/A", "n/a", "NULL", "null", "NaN", "nan", "#N/A"]


class CsvSource:
    """Photos as rows of a CSV; paths in it are relative to its folder."""

    def __init__(
        self,
        path: Path,
        table: Path,
        columns: dict[str, str | None],
        metadata: dict[str, Kind] | None = None,
    ) -> None:
        self.path, self._table = path.absolute(), table.absolute()
        self.root = self._table.parent
        self._delimiter, self._names = _read_header(table)
        self.image_column = columns["image"] or self._guess_image_column()
        self.product_column = columns["product"] or self._find("product_id")
        self.id_column = columns["id"]
        for role in (self.image_column, self.product_column, self.id_column):
            self._require(role)
        used = {self.image_column, self.product_column, self.id_column}
        names = [name for name in self._names if name not in used]
        _refuse_bad_names(self._table, names)
        self._check_ids()
        self.metadata = self._infer(names) if metadata is None else self._expect(names, metadata)

    def __iter__(self) -> Iterator[Photo]:
        number = 0
        for block in self._read_blocks():
            metadata = self._cast(block)
            images = block[self.image_column].to_pylist()
            products = self._column_or_none(block, self.product_column)
            ids = self._column_or_none(block, self.id_column)
            for i, image in enumerate(images):
                values = {name: column[i] for name, column in metadata.items()}
                yield self._make_photo(number, image.strip(), ids[i], products[i], values)
                number += 1

    def _make_photo(
        self, number: int, image: str, item_id: str | None, product_id: str | None, values: Any
    ) -> Photo:
        problem = _find_problem(image, item_id, self.image_column, self.id_column)
        path = self.root / image
        # "" is no id; a row without a photo keeps its number as a name for the report.
        name = item_id or image or f"row {number + 1}"
        return Photo(number, name, product_id or name, path, problem, values)

    def _infer(self, names: list[str]) -> dict[str, Kind]:
        possible: dict[str, list[Kind]] = {name: list(ARROW_TYPES) for name in names}
        seen: dict[str, bool] = dict.fromkeys(names, False)
        for block in self._read_blocks():
            for name in names:
                column = _with_nulls(block[name])
                seen[name] = seen[name] or column.null_count < len(column)
                possible[name] = [kind for kind in possible[name] if _fits(column, kind)]
        return {name: possible[name][0] if seen[name] else "string" for name in names}

    def _expect(self, names: list[str], metadata: dict[str, Kind]) -> dict[str, Kind]:
        """Take the kinds of an existing gallery; a column it does not know is refused."""
        if unknown := [name for name in names if name not in metadata]:
            raise SourceError(
                f"{self._table} has columns that the gallery does not know: "
                f"{', '.join(unknown)}; it has {', '.join(metadata) or 'none'}. Remove them, or "
                "build the gallery again with --overwrite"
            )
        for block in self._read_blocks():
            for name in names:
                if not _fits(_with_nulls(block[name]), metadata[name]):
                    raise SourceError(
                        f"column {name} of {self._table} holds a value that is no "
                        f"{metadata[name]}, as the gallery expects; correct it, or build the "
                        "gallery again with --overwrite"
                    )
        return {name: kind for name, kind in metadata.items() if name in names}

    def _cast(self, block: pa.RecordBatch) -> dict[str, list[Any]]:
        return {
            name: _cast(_with_nulls(block[name], text=kind == "string"), kind).to_pylist()
            for name, kind in self.metadata.items()
        }

    def _check_ids(self) -> None:
        """Refuse duplicate ids, remembering eight bytes a row."""
        name = self.id_column or self.image_column
        blocks = [_hash_texts(block[name]) for block in self._read_blocks()]
        hashes = np.concatenate(blocks) if blocks else np.empty(0, np.int64)
        values, counts = np.unique(hashes, return_counts=True)
        suspects = set(values[counts > 1].tolist())
        seen: dict[str, int] = {}
        for number, text in self._find_suspects(name, suspects):
            if text in seen:
                raise SourceError(
                    f"{self._table} has the id {text!r} twice, in rows {seen[text] + 1} and "
                    f"{number + 1}; ids must be unique, so remove one or name another --id-column"
                )
            seen[text] = number

    def _find_suspects(self, name: str, suspects: set[int]) -> Iterator[tuple[int, str]]:
        number = 0
        for block in self._read_blocks() if suspects else ():
            texts = block[name].to_pylist()
            for text, code in zip(texts, _hash_texts(block[name]).tolist(), strict=True):
                if text.strip() and code in suspects:
                    yield number, text.strip()
                number += 1

    def _column_or_none(self, block: pa.RecordBatch, name: str | None) -> list[str | None]:
        if name is None:
            return [None] * block.num_rows
        return [text.strip() for text in block[name].to_pylist()]

    def _read_blocks(self) -> Iterator[pa.RecordBatch]:
        """Read all cells as text, block by block."""
        try:
            with pacsv.open_csv(
                self._table,
                parse_options=pacsv.ParseOptions(
                    delimiter=self._delimiter, newlines_in_values=True
                ),
                convert_options=pacsv.ConvertOptions(
                    column_types=dict.fromkeys(self._names, pa.string()), strings_can_be_null=False
                ),
            ) as reader:
                yield from reader
        except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
            raise SourceError(_explain_broken(self._table, error)) from error

    def _guess_image_column(self) -> str:
        if "image" in self._names:
            return "image"
        first = next(iter(self._read_blocks()), None)
        row = {name: first[name][0].as_py() for name in self._names} if first else {}
        found = [name for name, text in row.items() if Path(text).suffix.lower() in SUFFIXES]
        if len(found) == 1:
            return found[0]
        raise SourceError(
            f"{self._table} has no column image ({', '.join(self._names)}); say which column "
            "holds the path of the photo with --image-column"
        )

    def _find(self, name: str) -> str | None:
        return name if name in self._names else None

    def _require(self, name: str | None) -> None:
        if name is not None and name not in self._names:
            raise SourceError(
                f"{self._table} has no column {name!r}; its columns are {', '.join(self._names)}"
            )


def _read_header(table: Path) -> tuple[str, list[str]]:
    """Return the delimiter and the column names."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            line = stream.readline()
            delimiter = max(",;\t", key=line.count)
            stream.seek(0)
            names = next(csv.reader(stream, delimiter=delimiter), [])
    except UnicodeDecodeError as error:
        raise SourceError(_explain_broken(table, error)) from error
    except (OSError, csv.Error) as error:
        raise SourceError(f"{table} cannot be read as CSV: {error}") from error
    if not names:
        raise SourceError(f"{table} is empty; expected a header line and one row a photo")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise SourceError(
            f"{table} has the column {repeated[0]!r} twice; column names must be unique"
        )
    return delimiter, names


def _refuse_bad_names(table: Path, names: list[str]) -> None:
    for name in names:
        if name.lower() in RESERVED or name.startswith("_row"):
            hint = f"use --id-column {name} or " if name == "item_id" else ""
            raise SourceError(
                f"{table} has a column {name!r}, a name the gallery keeps for itself; "
                f"{hint}rename it"
            )
        if not name.strip() or any(sign in name for sign in ".`\n"):
            raise SourceError(
                f"{table} has a column named {name!r}; a name needs a letter and may not contain "
                "a dot, a backtick or a line break, so rename it"
            )


def _find_problem(
    image: str, item_id: str | None, image_column: str, id_column: str | None
) -> str | None:
    if not image:
        return f"column {image_column} is empty"
    if id_column is not None and not item_id:
        return f"column {id_column} is empty"
    if "://" in image:
        return "a web address is not a photo on this machine; download it first"
    return "its name contains a zero byte" if "\0" in image else None


def _with_nulls(column: pa.Array, *, text: bool = False) -> pa.Array:
    """Turn empty cells, and in non-text columns the usual words for nothing, into nulls."""
    words = pa.array([""] if text else _NULLS)
    return pc.if_else(pc.is_in(column, words), pa.scalar(None, pa.string()), column)


def _fits(column: pa.Array, kind: Kind) -> bool:
    if kind in ("int", "float") and _any_match(column, r"^\s*[+-]?(0\d|\d{19})"):
        return False
    if kind == "bool" and not _all_match(column, r"^(?i:true|false)$"):
        return False
    try:
        cast = _cast(column, kind)
    except pa.ArrowInvalid:
        return False
    return kind != "float" or bool(pc.all(pc.is_finite(cast)).as_py() is not False)


def _cast(column: pa.Array, kind: Kind) -> pa.Array:
    return column if kind == "string" else column.cast(ARROW_TYPES[kind])


def _any_match(column: pa.Array, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(column, pattern)).as_py())


def _all_match(column: pa.Array, pattern: str) -> bool:
    return pc.all(pc.match_substring_regex(column, pattern)).as_py() is not False


def _hash_texts(column: pa.Array) -> Any:
    return np.fromiter(
        (hash(text.strip()) for text in column.to_pylist()), np.int64, count=len(column)
    )


def _explain_broken(table: Path, error: Exception) -> str:
    text = str(error).splitlines()[0]
    if isinstance(error, UnicodeDecodeError) or "UTF8" in text or "utf-8" in text.lower():
        return f"{table} is not UTF-8 text; save it again as CSV in UTF-8"
    return f"{table} cannot be read as CSV: {text}"
