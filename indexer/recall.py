"""Recall: the nearest items by cosine of their recall vectors, with FAISS.

B queries, D width of the recall vector. The index is derived from the dataset
and keyed by row ids. Small galleries are searched exactly; above `EXACT_LIMIT`
items, vectors are sorted into cells (IVF) and a query looks into the nearest
ones. What a search needs is passed with the call: nothing shared changes.
"""

import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from indexer.cells import TRAINING_PER_CELL, count_cells, count_probed
from indexer.files import IndexFiles, write_atomic, write_text_atomic
from indexer.protocols import Recalled, Selection
from model.errors import ParameterError, StorageError

EXACT_LIMIT = 50_000
# From 20 queries on, FAISS multiplies matrices, and rounding then depends on the batch.
QUERIES_AT_ONCE = 16
# FAISS finds no more than this on a GPU.
_MOST_ON_GPU = 2048
_LEAST_FOUND = 1000
# So few rows to leave out are found as well and dropped: no selector slows the search down.
_FEW = 100
# Some wheels of FAISS ship partial type stubs, others none.
_faiss: Any = faiss
# Pages of the file are read when they are searched: a large index opens at once.
_MAPPED: int = getattr(faiss, "IO_FLAG_MMAP_IFC", 0)
# Above this, reading the file to check it would cost more than opening it may.
_MAX_CHECKED_BYTES = 256_000_000

Vectors = Callable[[], Iterable[tuple[NDArray[np.int64], NDArray[np.float32]]]]


class RecallTie(BaseModel):
    """Which state of the dataset a stored index belongs to, and its checksum."""

    model_config = ConfigDict(frozen=True)

    version: int
    fingerprint: str
    items: int
    products: int
    num_bytes: int
    crc32: int


class RecallIndex:
    """Nearest rows by cosine; answers do not depend on what else is in the batch."""

    def __init__(self, index: Any, products: int) -> None:
        self._index = index
        self._searcher = index
        self.products = products

    @classmethod
    def build(
        cls, vectors: Vectors, count: int, dim: int, products: int, exact_limit: int = EXACT_LIMIT
    ) -> "RecallIndex":
        """Index `count` unit vectors, handed out in batches of (rows, vectors)."""
        try:
            index = _make_index(vectors, count, dim, exact_limit)
            for rows, batch in vectors():
                index.add_with_ids(np.ascontiguousarray(batch), rows)
        except RuntimeError as error:
            raise StorageError(f"FAISS cannot index {count} items: {_first(error)}") from error
        return cls(index, products)

    def __len__(self) -> int:
        items: int = self._index.ntotal
        return items

    @property
    def dim(self) -> int:
        """Width of the recall vector."""
        dim: int = self._index.d
        return dim

    def rows(self) -> NDArray[np.int64]:
        """All rows, in no particular order."""
        if self.is_exact:
            rows: NDArray[np.int64] = _faiss.vector_to_array(self._index.id_map)
            return rows
        cells = _faiss.extract_index_ivf(self._index).invlists
        parts = [_read_cell(cells, cell) for cell in range(cells.nlist)]
        return np.concatenate([np.empty(0, np.int64), *parts])

    @property
    def is_exact(self) -> bool:
        """True when every item is compared."""
        return not isinstance(self._index, faiss.IndexIVF)

    def search(
        self, vectors: NDArray[np.float32], count: int, selection: Selection | None = None
    ) -> list[Recalled]:
        """Find the `count` best rows of each (D,) unit vector among the selection, best first.

        Fewer come back only where there are fewer.
        """
        queries = np.ascontiguousarray(np.atleast_2d(vectors), dtype=np.float32)
        if queries.shape[1] != self._index.d:
            raise ParameterError(
                f"a query has {queries.shape[1]} values, the gallery {self._index.d}; "
                "encode it with the gallery's own checkpoint"
            )
        if selection and not selection.inside and len(selection.rows) <= _FEW:
            more = self.search(queries, count + len(selection.rows))
            return [_without(selection.rows, found, count) for found in more]
        count = min(count, self._count_within(selection))
        if count < 1:
            return [Recalled(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
        found: list[Recalled] = []
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            batch = queries[start : start + QUERIES_AT_ONCE]
            scores, rows = self._search_within(batch, count, selection)
            found += [order_hits(*pair) for pair in zip(rows, scores, strict=True)]
        return found

    def _count_within(self, selection: Selection | None) -> int:
        if selection is None:
            return len(self)
        return len(selection.rows) if selection.inside else len(self) - len(selection.rows)

    def _search_within(
        self, queries: NDArray[np.float32], count: int, selection: Selection | None
    ) -> tuple[Any, Any]:
        """Search in more cells where the nearest hold too few: (B, count) scores and rows."""
        chosen = None if selection is None else _make_selector(selection)
        # A GPU knows no selectors.
        on_host = chosen is not None or count > _MOST_ON_GPU
        searcher = self._index if on_host else self._searcher
        if self.is_exact:
            return self._search(searcher, queries, count, sel=chosen)
        cells = self._index.nlist
        # About as many vectors are compared as without a selection.
        share = self._count_within(selection) / len(self)
        probes = min(cells, math.ceil(count_probed(cells) / share))
        # The same cells for every count that one page or the next may ask for.
        least = 0 if selection is None else min(_LEAST_FOUND, self._count_within(selection))
        most = max(count, least)
        scores, rows = self._search(searcher, queries, most, sel=chosen, nprobe=probes)
        few = (rows < 0).any(axis=1)
        if probes < cells and few.any():
            # Only those queries: an answer must not depend on what else is in the batch.
            more = self._search(searcher, queries[few], most, sel=chosen, nprobe=cells)
            scores[few], rows[few] = more
        return scores[:, :count], rows[:, :count]

    def holds(self, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> bool:
        """Say whether these rows are indexed with exactly these vectors."""
        try:
            if not self.is_exact:
                self._index.set_direct_map_type(_faiss.DirectMap.Hashtable)
            stored = self._index.reconstruct_batch(rows.astype(np.int64))
        except RuntimeError:
            return False
        return np.array_equal(stored, vectors)

    def move_to_gpu(self) -> None:
        """Search on the first GPU when FAISS has one; the copy on the host stays."""
        if not len(self) or not getattr(faiss, "get_num_gpus", lambda: 0)():
            return
        try:
            self._resources = faiss.StandardGpuResources()
            self._searcher = faiss.index_cpu_to_gpu(self._resources, 0, self._index)
        except RuntimeError:  # does not fit, or a card this build of FAISS has no code for
            self._searcher = self._index

    def save(self, files: IndexFiles, version: int, fingerprint: str) -> None:
        """Store the index and tie it to a version; at no moment a tie covers other bytes."""

        def write(path: Path) -> None:
            faiss.write_index(self._index, str(path))
            files.recall_tie.unlink(missing_ok=True)

        write_atomic(files.recall, write)
        tie = RecallTie(
            version=version,
            fingerprint=fingerprint,
            items=len(self),
            products=self.products,
            num_bytes=files.recall.stat().st_size,
            crc32=_checksum(files.recall),
        )
        write_text_atomic(files.recall_tie, tie.model_dump_json() + "\n")

    @classmethod
    def load(cls, files: IndexFiles, version: int, fingerprint: str) -> "RecallIndex | None":
        """Load the stored index; None when it is missing, stale or damaged."""
        found = cls.load_any(files, fingerprint)
        return found[0] if found and found[1] == version else None

    @classmethod
    def load_any(cls, files: IndexFiles, fingerprint: str) -> "tuple[RecallIndex, int] | None":
        """Load the stored index and its version; None when it is missing or damaged."""
        try:
            tie = RecallTie.model_validate_json(files.recall_tie.read_bytes())
            if tie.fingerprint != fingerprint or not _is_whole(files.recall, tie):
                return None
            index = faiss.read_index(str(files.recall), _MAPPED)
            return cls(index, tie.products), tie.version
        except (OSError, ValidationError, RuntimeError):
            return None

    def _search(
        self, searcher: Any, queries: NDArray[np.float32], count: int, **how: Any
    ) -> tuple[Any, Any]:
        kind = _faiss.SearchParameters if self.is_exact else _faiss.SearchParametersIVF
        how = {name: value for name, value in how.items() if value is not None}
        try:
            return searcher.search(queries, count, params=kind(**how) if how else None)  # type: ignore[no-any-return]
        except RuntimeError as error:
            raise StorageError(
                f"FAISS cannot search the gallery: {_first(error)}; delete its recall.faiss, "
                "which is rebuilt when the index is opened"
            ) from error


def _make_index(vectors: Vectors, count: int, dim: int, exact_limit: int) -> Any:
    if count <= exact_limit:
        return faiss.IndexIDMap2(faiss.IndexFlatIP(dim))
    cells = count_cells(count)
    index = faiss.index_factory(dim, f"IVF{cells},Flat", faiss.METRIC_INNER_PRODUCT)
    step = max(1, count // (cells * TRAINING_PER_CELL))
    index.train(np.concatenate(list(_sample(vectors, step))))
    return index


def _sample(vectors: Vectors, step: int) -> Iterator[NDArray[np.float32]]:
    """Take every step-th vector: the same ones every time."""
    passed = 0
    for _, batch in vectors():
        yield batch[(-passed) % step :: step]
        passed += len(batch)


def _make_selector(selection: Selection) -> Any:
    """One bit a row, up to the last one selected: rows are small numbers."""
    mask = np.zeros(int(selection.rows.max(initial=0)) + 1, np.bool_)
    mask[selection.rows] = True
    chosen = _faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
    return chosen if selection.inside else _faiss.IDSelectorNot(chosen)


def _without(rows: NDArray[np.int64], found: Recalled, count: int) -> Recalled:
    keep = np.flatnonzero(~np.isin(found.rows, rows))[:count]
    return Recalled(found.rows[keep], found.scores[keep])


def order_hits(rows: NDArray[np.int64], scores: NDArray[np.float32]) -> Recalled:
    """Sort by score, equal scores by row, without the gaps FAISS leaves as -1."""
    found = rows >= 0
    rows, scores = rows[found], np.clip(scores[found], -1, 1)
    order = np.lexsort((rows, -scores))
    return Recalled(rows[order], scores[order])


def _read_cell(cells: Any, cell: int) -> NDArray[np.int64]:
    size = cells.list_size(cell)
    if not size:
        return np.empty(0, np.int64)
    rows: NDArray[np.int64] = _faiss.rev_swig_ptr(cells.get_ids(cell), size).copy()
    return rows


def _is_whole(path: Path, tie: RecallTie) -> bool:
    num_bytes = path.stat().st_size
    if num_bytes != tie.num_bytes:
        return False
    return num_bytes > _MAX_CHECKED_BYTES or _checksum(path) == tie.crc32


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            value = zlib.crc32(block, value)
    return value


def _first(error: RuntimeError) -> str:
    return str(error).splitlines()[-1][:200]
