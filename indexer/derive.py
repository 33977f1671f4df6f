"""What is derived from the items: the recall index, loaded, caught up or built anew.

A stored index may belong to an older version of the dataset. Lance remembers for each
row at which version it last changed, so what the index lacks is read
without walking over all vectors.
"""

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from indexer.delta import DeltaRecall
from indexer.manifest import Manifest
from indexer.recall import EXACT_LIMIT, RecallIndex
from indexer.store import ROW_ID, Store
from indexer.tokens import to_matrix
from model.errors import StorageError

# An index that lacks more than this share of the items is built anew.
_MOST_CHANGED = 0.3


class Changes(NamedTuple):
    """What differs between two versions, in rows.

    `items` are those added or changed, with the columns asked for. `replaced` are rows of the
    older version that are changed or removed.
    """

    items: pa.Table
    rows: NDArray[np.int64]
    replaced: NDArray[np.int64]


def find_changes(
    store: Store, since: int, rows_before: NDArray[np.int64], columns: Iterable[str]
) -> Changes:
    """Compare `store` to its older version `since`, which had `rows_before`."""
    items = store.read_changed(since, list(columns))
    rows = items[ROW_ID].to_numpy().astype(np.int64)
    removed = np.setdiff1d(rows_before, store.rows(), assume_unique=True)
    return Changes(items, rows, np.union1d(removed, np.intersect1d(rows, rows_before)))


def open_recall(
    root: Path, manifest: Manifest, store: Store, exact_limit: int = EXACT_LIMIT
) -> DeltaRecall:
    """Load the stored recall index, or derive it anew and store it where that is possible."""
    loaded = load_recall(root, manifest, store)
    if loaded is not None:
        return loaded
    index = build_recall(manifest, store, exact_limit)
    # On a read-only or full disk, derived data may live in memory alone.
    with suppress(StorageError):
        index.save(manifest.files(root), store.version, manifest.fingerprint)
    return DeltaRecall(index, products=index.products)


def load_recall(
    root: Path, manifest: Manifest, store: Store, most_changed: float = _MOST_CHANGED
) -> DeltaRecall | None:
    """Load the stored recall index and add what it lacks.

    None when it is missing or damaged, or lacks more than this share of the items.
    """
    stored = RecallIndex.load_any(manifest.files(root), manifest.fingerprint)
    if stored is None:
        return None
    index, version = stored
    if version == store.version:
        return DeltaRecall(index, products=index.products)
    if version > store.version or is_far_behind(store, version, most_changed):
        return None
    recall = catch_up_recall(index, version, manifest, store, count_products(store))
    return recall if len(recall) == store.count() else None


def is_far_behind(store: Store, since: int, most_changed: float = _MOST_CHANGED) -> bool:
    """True when so much changed since a version that building anew is cheaper."""
    return store.count_changed(since) > most_changed * store.count()


def catch_up_recall(
    index: RecallIndex, since: int, manifest: Manifest, store: Store, products: int
) -> DeltaRecall:
    """Add to an index of the version `since` what has changed up to `store`."""
    dims = manifest.dims
    changes = find_changes(store, since, index.rows(), [dims.recall_column])
    return DeltaRecall(index, products=products).with_changes(
        replaced=changes.replaced,
        rows=changes.rows,
        vectors=to_matrix(changes.items[dims.recall_column], dims.recall_width),
        products=products,
    )


def build_recall(manifest: Manifest, store: Store, exact_limit: int = EXACT_LIMIT) -> RecallIndex:
    """Derive the recall index from the items."""
    column, dim = manifest.dims.recall_column, manifest.dims.recall_width

    def vectors() -> Any:
        for batch in store.scan([column]):
            yield batch[ROW_ID].to_numpy().astype(np.int64), to_matrix(batch[column], dim)

    return RecallIndex.build(vectors, store.count(), dim, count_products(store), exact_limit)


def count_products(store: Store) -> int:
    """Count distinct products, remembering eight bytes for each."""
    codes = [np.empty(0, np.int64)]
    for batch in store.scan(["product_id"]):
        names = pc.unique(batch["product_id"]).to_pylist()
        codes.append(_to_codes(names))
    return len(np.unique(np.concatenate(codes)))


class ProductCounter:
    """Counts distinct products while items come and go; twelve bytes for each product."""

    def __init__(self, store: Store) -> None:
        codes = [np.empty(0, np.int64)]
        for batch in store.scan(["product_id"]):
            codes.append(_to_codes(batch["product_id"].to_pylist()))
        self._codes, counts = np.unique(np.concatenate(codes), return_counts=True)
        self._counts = counts.astype(np.int32)
        self._changes: Counter[int] = Counter()
        self.distinct = len(self._codes)

    def update(self, *, added: Iterable[str], removed: Iterable[str]) -> None:
        """Count items of these products in, and others out."""
        for step, names in ((1, added), (-1, removed)):
            for name in names:
                code = hash(name)
                before = self._count(code)
                self._changes[code] += step
                self.distinct += (before + step > 0) - (before > 0)

    def preview(self, *, added: Iterable[str], removed: Iterable[str]) -> int:
        """Count what `update` would leave, without counting it in."""
        before = self._changes.copy(), self.distinct
        self.update(added=added, removed=removed)
        after, (self._changes, self.distinct) = self.distinct, before
        return after

    def _count(self, code: int) -> int:
        at = int(np.searchsorted(self._codes, code))
        known = at < len(self._codes) and self._codes[at] == code
        return (int(self._counts[at]) if known else 0) + self._changes[code]


def _to_codes(names: list[str]) -> NDArray[np.int64]:
    return np.fromiter((hash(name) for name in names), np.int64, count=len(names))
