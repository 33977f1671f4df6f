"""Recall in a gallery that changes: a FAISS index as it was built, and what changed since.

Items added since are compared one by one (the *delta*); items removed or replaced since
are *gone*: the FAISS index still returns them, and they are left out of its answer. The
result equals that of an index built anew. A `DeltaRecall` never changes; `with_changes`
returns the next state, which shares the FAISS index and the vectors.
"""

from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from indexer.growing import GrowingArray
from indexer.protocols import Recalled, Selection
from indexer.recall import QUERIES_AT_ONCE, RecallIndex, order_hits

# Some wheels of FAISS ship partial type stubs, others none.
_faiss: Any = faiss


class Delta(NamedTuple):
    """Items added since the index was built; one that changed again is no longer valid."""

    rows: NDArray[np.int64]
    valid: NDArray[np.bool_]
    vectors: GrowingArray

    @classmethod
    def empty(cls, dim: int) -> "Delta":
        return cls(np.empty(0, np.int64), np.empty(0, np.bool_), GrowingArray((dim,), np.float32))

    def with_changes(
        self, replaced: NDArray[np.int64], rows: NDArray[np.int64], vectors: NDArray[np.float32]
    ) -> "Delta":
        valid = self.valid & ~np.isin(self.rows, replaced)
        return Delta(
            np.concatenate([self.rows, rows]),
            np.concatenate([valid, np.ones(len(rows), np.bool_)]),
            self.vectors.write(vectors, len(self.rows)),
        )

    def search(
        self, queries: NDArray[np.float32], count: int, selection: Selection | None = None
    ) -> list[Recalled]:
        """Find the `count` best valid rows of each query by comparing them all."""
        if selection is not None:
            return self._search_within(queries, count, selection)
        invalid = len(self.valid) - int(np.count_nonzero(self.valid))
        rows = np.where(self.valid, self.rows, -1)
        return _compare(queries, rows, self.vectors.view(len(rows)), count + invalid)

    def _search_within(
        self, queries: NDArray[np.float32], count: int, selection: Selection
    ) -> list[Recalled]:
        chosen = self.valid & (np.isin(self.rows, selection.rows) == selection.inside)
        rows, vectors = self.rows[chosen], self.vectors.view(len(self.rows))[chosen]
        return _compare(queries, rows, vectors, count)


class DeltaRecall:
    """Nearest rows by cosine in one state of a gallery."""

    def __init__(
        self,
        base: RecallIndex,
        *,
        products: int,
        gone: NDArray[np.int64] | None = None,
        delta: Delta | None = None,
    ) -> None:
        """`gone` are rows of `base`, ascending; `products` counts the distinct products."""
        self.base = base
        self.products = products
        self._gone = np.empty(0, np.int64) if gone is None else gone
        self._delta = delta or Delta.empty(base.dim)

    def __len__(self) -> int:
        return len(self.base) - len(self._gone) + int(np.count_nonzero(self._delta.valid))

    @property
    def is_exact(self) -> bool:
        """True when every item is compared."""
        return self.base.is_exact

    @property
    def num_added(self) -> int:
        """Vectors in the delta, those that changed again included."""
        return len(self._delta.rows)

    @property
    def num_gone(self) -> int:
        """Rows of the FAISS index that are removed or replaced."""
        return len(self._gone)

    @property
    def num_bytes(self) -> int:
        """Bytes of all vectors held."""
        return 4 * self.base.dim * (len(self.base) + self.num_added)

    def search(
        self, vectors: NDArray[np.float32], count: int, selection: Selection | None = None
    ) -> list[Recalled]:
        """Find the `count` best rows of each (R,) unit vector among the selection, best first."""
        found = self._search_base(vectors, count, selection)
        if not self.num_added or count < 1:
            return found
        queries = np.ascontiguousarray(np.atleast_2d(vectors), dtype=np.float32)
        added = self._delta.search(queries, count, selection)
        return [_merge(*pair, count) for pair in zip(found, added, strict=True)]

    def with_changes(
        self,
        *,
        replaced: NDArray[np.int64],
        rows: NDArray[np.int64],
        vectors: NDArray[np.float32],
        products: int,
    ) -> "DeltaRecall":
        """Leave out `replaced`, which are rows of this state; add `rows` with their vectors.

        An item that gets another vector is in both.
        """
        indexed = replaced[~np.isin(replaced, self._delta.rows)]
        gone = np.union1d(self._gone, indexed)
        delta = self._delta.with_changes(replaced, rows, vectors)
        return DeltaRecall(self.base, products=products, gone=gone, delta=delta)

    def rows(self) -> NDArray[np.int64]:
        """All rows of this state, ascending."""
        kept = np.setdiff1d(self.base.rows(), self._gone, assume_unique=True)
        return np.union1d(kept, self._delta.rows[self._delta.valid])

    def holds(self, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> bool:
        """Say whether these rows are indexed with exactly these vectors."""
        if np.isin(rows, np.setdiff1d(self._gone, self._valid_rows())).any():
            return False
        added = np.isin(rows, self._valid_rows())
        if not self.base.holds(rows[~added], vectors[~added]):
            return False
        places = np.flatnonzero(self._delta.valid)
        places = places[np.argsort(self._delta.rows[places])]
        at = np.searchsorted(self._delta.rows[places], rows[added])
        stored = self._delta.vectors.view(self.num_added)[places[at]]
        return np.array_equal(stored, vectors[added])

    def move_to_gpu(self) -> None:
        """Search the FAISS index on the first GPU when there is one."""
        self.base.move_to_gpu()

    def _valid_rows(self) -> NDArray[np.int64]:
        return self._delta.rows[self._delta.valid]

    def _search_base(
        self, vectors: NDArray[np.float32], count: int, selection: Selection | None
    ) -> list[Recalled]:
        """Ask for some more than `count`, and for more again where too many of them are gone."""
        if selection is not None:
            selection = self._select_base(selection)
            if selection.inside:
                return self.base.search(vectors, count, selection)
        extra = min(self.num_gone, count // 8 + 16)
        while True:
            found = self.base.search(vectors, count + extra, selection)
            if not self.num_gone:
                return found
            found = [_leave_out(recalled, self._gone, count) for recalled in found]
            enough = all(len(recalled.rows) == count for recalled in found)
            if enough or extra == self.num_gone:
                return found
            extra = min(self.num_gone, 4 * extra)

    def _select_base(self, selection: Selection) -> Selection:
        """Only rows that the FAISS index has and may return: those of the delta are not in it."""
        rows = selection.rows[~np.isin(selection.rows, self._delta.rows)]
        if selection.inside:
            rows = rows[~np.isin(rows, self._gone)]
        return Selection(rows, selection.inside)


def _compare(
    queries: NDArray[np.float32],
    rows: NDArray[np.int64],
    vectors: NDArray[np.float32],
    count: int,
) -> list[Recalled]:
    """Find the `count` nearest of all vectors; rows of -1 are left out."""
    found: list[Recalled] = []
    count = min(count, len(rows))
    if not count:
        return [order_hits(rows, np.empty(0, np.float32)) for _ in queries]
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        part = queries[start : start + QUERIES_AT_ONCE]
        # The same kernel as a flat index: scores agree to the last bit.
        scores, places = _faiss.knn(part, vectors, count, metric=faiss.METRIC_INNER_PRODUCT)
        found += [order_hits(*pair) for pair in zip(rows[places], scores, strict=True)]
    return found


def _leave_out(found: Recalled, gone: NDArray[np.int64], count: int) -> Recalled:
    at = np.minimum(np.searchsorted(gone, found.rows), len(gone) - 1)
    kept = np.flatnonzero(gone[at] != found.rows)[:count]
    return Recalled(found.rows[kept], found.scores[kept])


def _merge(one: Recalled, other: Recalled, count: int) -> Recalled:
    rows = np.concatenate([one.rows, other.rows])
    both = order_hits(rows, np.concatenate([one.scores, other.scores]))
    return Recalled(both.rows[:count], both.scores[:count])
