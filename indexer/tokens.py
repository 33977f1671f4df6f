"""What stage two needs, in memory: tokens and geometry of every item, as they are stored.

n items, L levels, M tokens a level, d token width, D width of the global feature.

A `ResidentTokens` never changes. `with_items` returns the next state, which shares the
arrays: new items are written behind the last one, and only the map from row to place
grows. A replaced item gets a new place; the old one stays until `merged` is called.
"""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from indexer.growing import GrowingArray, with_headroom
from indexer.manifest import Dims
from indexer.protocols import TokenBlock
from indexer.store import ROW_ID, token_columns
from indexer.token_codec import TokenCodec
from model.errors import StorageError

# Copying everything to win back unused places needs twice the memory for a moment.
_MOST_UNUSED = 0.25


class RowMap(NamedTuple):
    """Where each row lies: rows ascending, and their places."""

    rows: NDArray[np.int64]
    places: NDArray[np.int64]

    @classmethod
    def sort(cls, rows: NDArray[np.int64], places: NDArray[np.int64]) -> "RowMap":
        order = np.argsort(rows, kind="stable")
        return cls(rows[order], places[order])

    def find(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the place of each row, -1 where it is not here."""
        if not len(self.rows):
            return np.full(len(rows), -1, np.int64)
        at = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return np.where(self.rows[at] == rows, self.places[at], -1)

    def without(self, rows: NDArray[np.int64]) -> "RowMap":
        kept = ~np.isin(self.rows, rows)
        return RowMap(self.rows[kept], self.places[kept])


class ResidentTokens:
    """Tokens of one state of a gallery; safe to read from many threads."""

    def __init__(
        self,
        arrays: tuple[GrowingArray, ...],
        used: int,
        base: RowMap,
        added: RowMap,
        codec: TokenCodec,
    ) -> None:
        self._arrays, self._used, self._codec = arrays, used, codec
        self._base, self._added = base, added

    @classmethod
    def load(
        cls, batches: Iterable[pa.RecordBatch], count: int, dims: Dims, codec: TokenCodec
    ) -> "ResidentTokens":
        """Fill from `count` items, handed out in batches with `stage_two_columns` and row ids."""
        arrays = _make_arrays(dims, with_headroom(count))
        rows, start = np.empty(count, np.int64), 0
        for batch in batches:
            end = start + batch.num_rows
            rows[start:end] = batch[ROW_ID].to_numpy()
            arrays = _write(arrays, read_arrays(batch, dims), start)
            start = end
        nothing = np.empty(0, np.int64)
        base = RowMap.sort(rows, np.arange(count))
        return cls(arrays, count, base, RowMap(nothing, nothing), codec)

    @property
    def key(self) -> int:
        """Equal for states that share their memory."""
        return id(self._arrays[0])

    @property
    def num_bytes(self) -> int:
        """Bytes of the items held, those of replaced ones included."""
        maps = 16 * (len(self._base.rows) + len(self._added.rows))
        return self._used * sum(array.row_bytes for array in self._arrays) + maps

    def with_items(
        self, rows: NDArray[np.int64], items: tuple[NDArray[Any], ...]
    ) -> "ResidentTokens":
        """Add or replace items; `items` is what `read_arrays` returns."""
        places = np.arange(self._used, self._used + len(rows))
        kept = self._added.without(rows)
        added = RowMap.sort(
            np.concatenate([kept.rows, rows]), np.concatenate([kept.places, places])
        )
        arrays = _write(self._arrays, items, self._used)
        return ResidentTokens(arrays, self._used + len(rows), self._base, added, self._codec)

    def merged(self, rows: NDArray[np.int64]) -> "ResidentTokens":
        """Keep these rows in one map; when many places are unused, copy into new arrays."""
        places = self._find(rows)
        nothing = RowMap(np.empty(0, np.int64), np.empty(0, np.int64))
        if self._used - len(rows) <= _MOST_UNUSED * self._used:
            base = RowMap.sort(rows, places)
            return ResidentTokens(self._arrays, self._used, base, nothing, self._codec)
        arrays = tuple(array.copy_of(places) for array in self._arrays)
        base = RowMap.sort(rows, np.arange(len(rows)))
        return ResidentTokens(arrays, len(rows), base, nothing, self._codec)

    def read(self, rows: NDArray[np.int64]) -> TokenBlock:
        """Read these rows, in their order."""
        places = self._find(rows)
        arrays = tuple(array.view(self._used)[places] for array in self._arrays)
        return self._codec.to_block(arrays)

    def _find(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        places = self._base.find(rows)
        if len(self._added.rows):
            newer = self._added.find(rows)
            places = np.where(newer >= 0, newer, places)
        if (places < 0).any():
            raise StorageError("a row asked for is not in this gallery; open the index again")
        return places


def stage_two_columns(dims: Dims) -> tuple[str, ...]:
    """Columns that re-ranking reads: the global feature too, unless recall compared it."""
    return tuple(_stage_two(dims))


def bytes_per_item(dims: Dims) -> int:
    """Memory that one resident item takes."""
    parts = _stage_two(dims).values()
    return 16 + sum(math.prod(shape) * int(np.dtype(dtype).itemsize) for shape, dtype in parts)


def read_arrays(table: Any, dims: Dims) -> tuple[NDArray[Any], ...]:
    """Return `stage_two_columns` as arrays, such as codes (n, L, M, d), scales (n, L, M),
    geometry (n, L, M, 6), in the order in which a codec's `to_block` takes them.
    """
    return tuple(
        to_matrix(table[name], math.prod(shape)).reshape(-1, *shape)
        for name, (shape, _) in _stage_two(dims).items()
    )


def _stage_two(dims: Dims) -> dict[str, tuple[tuple[int, ...], Any]]:
    columns = token_columns(dims)
    if dims.recall_dim is None or "global_code" in columns:
        return columns
    return {**columns, "global": ((dims.global_dim,), np.float32)}


def to_matrix(column: Any, width: int) -> NDArray[Any]:
    """View a column of fixed-size lists as an (n, width) array."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    matrix: NDArray[Any] = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    return matrix


def _make_arrays(dims: Dims, capacity: int) -> tuple[GrowingArray, ...]:
    return tuple(GrowingArray(*each, capacity) for each in _stage_two(dims).values())


def _write(
    arrays: tuple[GrowingArray, ...], items: tuple[NDArray[Any], ...], at: int
) -> tuple[GrowingArray, ...]:
    return tuple(array.write(part, at) for array, part in zip(arrays, items, strict=True))
