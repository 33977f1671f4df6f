"""Where photos come from: a folder tree, a folder with `gallery.csv`, a CSV, or one photo.

Photos come in a fixed order (sorted paths, or the rows of the CSV), one after the
other: a source is never held in memory as a whole. A photo that cannot be used
(no file, no id) is still in the sequence and carries its `problem`: it fails
alone, not the run.

An item's id is its path relative to the source's folder, with `/`, unless a CSV
column gives it. A CSV may name files outside its own folder: whoever runs the
command can read them anyway, and shops keep tables and photos apart.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from indexer.manifest import Kind, Source
from model.errors import SourceError

SUFFIXES = (
    ".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif",
)  # fmt: skip
RESERVED = (
    "item_id", "product_id", "uri", "width", "height", "global", "recall", "tokens",
    "token_scales", "geometry", "thumbnail", "content_hash",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Photo:
    """One entry of a source; `number` counts from 0 in the source's order."""

    number: int
    item_id: str
    product_id: str
    path: Path
    problem: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


class PhotoSource(Protocol):
    """A sequence of photos that can be walked again and again."""

    @property
    def path(self) -> Path: ...
    @property
    def root(self) -> Path: ...
    @property
    def metadata(self) -> dict[str, Kind]: ...
    @property
    def image_column(self) -> str | None: ...
    @property
    def product_column(self) -> str | None: ...
    @property
    def id_column(self) -> str | None: ...

    def __iter__(self) -> Iterator[Photo]: ...


def open_source(
    path: Path,
    *,
    image_column: str | None = None,
    product_column: str | None = None,
    id_column: str | None = None,
    metadata: dict[str, Kind] | None = None,
) -> PhotoSource:
    """Open a source of photos.

    `metadata` fixes the kinds of the CSV's columns (they are found out otherwise).

    Raises:
        SourceError: nothing there, no photos in it, or a CSV that cannot be used.
    """
    from indexer.table import CsvSource

    columns = {"image": image_column, "product": product_column, "id": id_column}
    table = _find_table(path)
    if table is not None:
        return CsvSource(path, table, columns, metadata)
    if given := [f"--{role}-column {name}" for role, name in columns.items() if name]:
        raise SourceError(
            f"{path} is not a CSV and has no gallery.csv, but {', '.join(given)} names a column; "
            "leave it out, or give the CSV"
        )
    return FileSource(path) if path.is_file() else FolderSource(path)


def is_table(path: Path) -> bool:
    """Say whether `path` means a CSV: the file itself, or a folder with gallery.csv."""
    return _find_table(path) is not None


class FolderSource:
    """All images of a folder tree, sorted; each is its own product."""

    image_column = product_column = id_column = None

    def __init__(self, path: Path) -> None:
        self.path = self.root = path.absolute()
        self.metadata: dict[str, Kind] = {}

    def __iter__(self) -> Iterator[Photo]:
        for number, path in enumerate(_walk(self.root, ())):
            item_id = to_text(path.relative_to(self.root))
            yield Photo(number, item_id, item_id, path)


class FileSource:
    """A single image; its id is its name."""

    image_column = product_column = id_column = None

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.root = self.path.parent
        self.metadata: dict[str, Kind] = {}

    def __iter__(self) -> Iterator[Photo]:
        yield Photo(0, to_text(Path(self.path.name)), to_text(Path(self.path.name)), self.path)


def describe_source(source: PhotoSource, num_photos: int, digest: str) -> Source:
    """Write down which photos these are."""
    return Source(
        path=to_text(source.path),
        photo_root=to_text(source.root),
        num_photos=num_photos,
        digest=digest,
        image_column=source.image_column,
        product_column=source.product_column,
        id_column=source.id_column,
        metadata=source.metadata,
    )


class SourceDigest:
    """Hash of the ids, paths and metadata of a source, in order; contents are not read."""

    def __init__(self, source: PhotoSource) -> None:
        self._hash = hashlib.sha256()
        self._root = source.root
        self._add([source.image_column, source.product_column, source.id_column, source.metadata])

    def update(self, photo: Photo) -> None:
        uri = to_uri(photo.path, self._root)
        self._add([photo.item_id, photo.product_id, uri, photo.metadata])

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

    def _add(self, facts: list[Any]) -> None:
        self._hash.update(json.dumps(facts, default=str).encode() + b"\n")


def to_uri(path: Path, root: Path) -> str:
    """Name a photo relative to the photos' folder, or absolutely when it lies elsewhere."""
    return to_text(path.relative_to(root) if path.is_relative_to(root) else path)


def to_text(path: Path) -> str:
    """Write a path with `/`; bytes that are not UTF-8 become `\\xNN`."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _find_table(path: Path) -> Path | None:
    """Return the CSV that `path` means, None when it means image files."""
    if path.is_dir():
        table = path / "gallery.csv"
        return table if table.is_file() else None
    if not path.is_file():
        kind = "is neither a file nor a folder" if path.exists() else "does not exist"
        raise SourceError(f"{path} {kind}; expected a folder of photos or a CSV")
    return None if path.suffix.lower() in SUFFIXES else path


def _walk(folder: Path, parents: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    """Yield the images below a folder; links are followed, but never in a circle."""
    try:
        status = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise SourceError(f"{folder} cannot be listed: {error.strerror}") from error
    here = (status.st_dev, status.st_ino)
    if here in parents:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(Path(entry.path), (*parents, here))
        elif Path(entry.name).suffix.lower() in SUFFIXES:
            yield Path(entry.path)
