"""Arrays that grow at the end while older readers keep their own shorter view.

A reader knows how many rows are its own and never looks behind them, so rows may
be added behind without a copy and without a lock. Only one writer may add.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class GrowingArray:
    """Rows of one shape and type; memory behind the last row is reserved, not yet used."""

    def __init__(self, shape: tuple[int, ...], dtype: Any, capacity: int = 0) -> None:
        self._array: NDArray[Any] = np.empty((capacity, *shape), dtype)

    @property
    def capacity(self) -> int:
        return len(self._array)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self._array.itemsize * int(np.prod(self._array.shape[1:]))

    def view(self, count: int) -> NDArray[Any]:
        """The first `count` rows, without a copy."""
        return self._array[:count]

    def write(self, rows: NDArray[Any], at: int) -> "GrowingArray":
        """Put rows behind the first `at`; a full array is copied into a larger one."""
        end = at + len(rows)
        target = self if end <= self.capacity else self._grown(at, end)
        target._array[at:end] = rows
        return target

    def copy_of(self, places: NDArray[np.int64]) -> "GrowingArray":
        """Copy these rows into an array of their own."""
        copy = GrowingArray(self._array.shape[1:], self._array.dtype, with_headroom(len(places)))
        np.take(self._array, places, axis=0, out=copy._array[: len(places)])
        return copy

    def _grown(self, used: int, needed: int) -> "GrowingArray":
        larger = GrowingArray(self._array.shape[1:], self._array.dtype, with_headroom(needed))
        larger._array[:used] = self._array[:used]
        return larger


def with_headroom(count: int) -> int:
    """Rows to reserve for `count` of them: an eighth more; pages nobody wrote cost no memory.

    >>> with_headroom(8000)
    9256
    """
    return count + count // 8 + 256
