"""The report of photos that could not be read: `failures.csv` (row, path, reason).

`row` counts the source's photos from 1; the report is of the last `build` or `add`.
What failed in a batch of photos is on disk before the batch is committed, so a
killed build loses no reason; what was written for a batch that was not committed
is dropped when the build resumes.
"""

import csv
import os
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from indexer.files import storage_errors, write_text_atomic
from indexer.photos import Photo, to_text
from model.errors import ParameterError, SourceError

HEADER = ("row", "path", "reason")


class Failure(NamedTuple):
    """One photo that could not be read; `row` counts from 1."""

    row: int
    path: str
    reason: str


class FailureReport:
    """Collects failures in a CSV; stops the run when there are more than `limit`."""

    def __init__(self, path: Path, limit: int | None = None, *, handled: int = 0) -> None:
        if limit is not None and limit < 0:
            raise ParameterError(f"--max-failures is {limit}; it counts photos, so use 0 or more")
        self.path = path
        self._limit = limit
        self._waiting: list[Failure] = []
        # Only the first `handled` photos are committed; the rest will be read again.
        kept = [failure for failure in read_failures(path) if failure.row <= handled]
        self.count = len(kept)
        write_text_atomic(path, _format([HEADER, *kept]))

    def add(self, photo: Photo, reason: str) -> None:
        """Note one failure; SourceError when it is one too many."""
        self._waiting.append(Failure(photo.number + 1, to_text(photo.path), reason))
        self.count += 1
        if self._limit is not None and self.count > self._limit:
            self.flush()
            raise SourceError(
                f"{self.count} photos could not be read, more than --max-failures {self._limit}; "
                f"the reasons are in {self.path}. Repair or remove them, or raise the limit, and "
                "run the same command again: it goes on where it stopped"
            )

    def flush(self) -> None:
        """Put what was noted on disk, before the batch is committed."""
        if not self._waiting:
            return
        with storage_errors(self.path, "writing"), self.path.open("a", encoding="utf-8") as stream:
            stream.write(_format(self._waiting))
            stream.flush()
            os.fsync(stream.fileno())
        self._waiting.clear()


def read_failures(path: Path) -> Iterator[Failure]:
    """Read a report; a last line torn by a kill is left out."""
    if not path.exists():
        return
    with storage_errors(path, "reading"):
        lines = list(csv.reader(StringIO(path.read_text(encoding="utf-8", errors="replace"))))
    for line in lines[1:]:
        if len(line) == len(HEADER) and line[0].isdecimal():
            yield Failure(int(line[0]), line[1], line[2])


def _format(lines: Sequence[tuple[object, ...]]) -> str:
    stream = StringIO()
    csv.writer(stream, lineterminator="\n").writerows(lines)
    return stream.getvalue()
