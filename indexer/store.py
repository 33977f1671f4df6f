"""The items of a gallery in one Lance dataset: the only place that talks to Lance.

D global width, R recall width, L levels, M tokens a level, d token width. One row an item:

    item_id, product_id, uri   string          width, height   int32
    <metadata columns>         their own types
    global                     float32[D]      recall          float32[R]
    tokens                     int8[L*M*d]     token_scales    float16[L*M]
    geometry                   uint8[L*M*6]    thumbnail       binary (JPEG)
    content_hash               string (hex SHA-256)

There is no column `recall` where stage one compares the global feature. With product codes
(`indexer.token_codec`) of S bytes a token and G a global feature:

    tokens                     uint8[M*L*S]    global_code     uint8[G]

and no `token_scales`; `global_code` only where there is `recall`.

A row id is stable: it stays with its item through updates of other items and
through compaction, so what is derived from one version is keyed by it.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from indexer.codec import GEOMETRY_BYTES
from indexer.files import storage_errors, sync_written, without_readers
from indexer.manifest import Dims, Kind
from indexer.table import ARROW_TYPES
from model.errors import StorageError

ROW_ID = "_rowid"
_CHANGED_AT = "_row_last_updated_at_version"
ITEM_COLUMNS = ("item_id", "product_id", "uri", "width", "height")
# Files of this size are never rewritten to merge a few new items into them.
ROWS_PER_FILE = 65_536
# What Lance remembers of a dataset's files, in bytes: it adds some 80 kB with every commit
# and would otherwise stop at gigabytes.
CACHE_BYTES = 64 * 2**20
# Vectors do not compress; storing them as they are makes reading single rows faster.
_PLAIN = {"lance-encoding:compression": "none"}


def _open_session() -> lance.Session:
    return lance.Session(index_cache_size_bytes=CACHE_BYTES, metadata_cache_size_bytes=CACHE_BYTES)


def make_schema(dims: Dims, metadata: dict[str, Kind]) -> pa.Schema:
    """Build the columns of a gallery."""
    recall = [] if dims.recall_dim is None else [_vector("recall", pa.float32(), dims.recall_dim)]
    return pa.schema(
        [
            pa.field("item_id", pa.string(), nullable=False),
            pa.field("product_id", pa.string(), nullable=False),
            pa.field("uri", pa.string(), nullable=False),
            pa.field("width", pa.int32()),
            pa.field("height", pa.int32()),
            *(pa.field(name, ARROW_TYPES[kind]) for name, kind in metadata.items()),
            _vector("global", pa.float32(), dims.global_dim),
            *recall,
            *(
                _vector(name, pa.from_numpy_dtype(dtype), math.prod(shape))
                for name, (shape, dtype) in token_columns(dims).items()
            ),
            pa.field("thumbnail", pa.binary(), metadata=_PLAIN),
            pa.field("content_hash", pa.string()),
        ]
    )


def token_columns(dims: Dims) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Columns that hold tokens, and what is coded with them: shape and type of one item's part."""
    slots = (dims.levels, dims.num_tokens)
    geometry = {"geometry": ((*slots, GEOMETRY_BYTES), np.uint8)}
    if dims.token_bytes is None:
        tokens = {"tokens": ((*slots, dims.token_dim), np.int8)}
        return {**tokens, "token_scales": (slots, np.float16), **geometry}
    found: dict[str, tuple[tuple[int, ...], Any]]
    codes = (dims.num_tokens, dims.levels * dims.token_bytes)
    found = {"tokens": (codes, np.uint8), **geometry}
    if dims.recall_dim is None:
        return found
    return {**found, "global_code": ((dims.global_bytes,), np.uint8)}


class Store:
    """One version of the dataset, to read; and the ways to commit the next one."""

    def __init__(self, path: Path, dataset: Any) -> None:
        self.path = path
        self._dataset = dataset
        self._opened_ns = time.time_ns()

    @staticmethod
    def exists(path: Path) -> bool:
        """Say whether a first version was committed; a killed creation leaves less."""
        return any((path / "_versions").glob("*.manifest"))

    @classmethod
    def open(cls, path: Path) -> "Store":
        """Open the newest version; what is committed later does not show."""
        with storage_errors(path, "opening"):
            return cls(path, lance.dataset(path, session=_open_session()))

    @classmethod
    def create(cls, path: Path, schema: pa.Schema) -> "Store":
        """Start an empty dataset; leftovers of a creation that was killed are taken over."""
        with storage_errors(path, "creating"):
            dataset = lance.write_dataset(
                schema.empty_table(), path, schema=schema, mode="create",
                enable_stable_row_ids=True, session=_open_session(),
            )  # fmt: skip
            return cls(path, dataset)

    @property
    def version(self) -> int:
        """Count of commits: grows with every change."""
        version: int = self._dataset.version
        return version

    @property
    def schema(self) -> pa.Schema:
        return self._dataset.schema

    def count(self) -> int:
        """Count the items."""
        with self._reading():
            items: int = self._dataset.count_rows()
            return items

    def scan(self, columns: Sequence[str], batch_size: int = 4096) -> Iterator[pa.RecordBatch]:
        """Walk all items in order; each batch has the row ids as `_rowid`."""
        scanner = self._dataset.scanner(
            columns=list(columns), batch_size=batch_size, with_row_id=True, scan_in_order=True
        )
        batches = iter(scanner.to_batches())
        while True:
            with self._reading():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def take(self, rows: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """Read these row ids, in their order."""
        with self._reading():
            # Lance's public `take` wants positions, which change with every update;
            # reading by row id takes as long (0.7 ms for 100 rows), but is not public yet.
            table = self._dataset._take_rows(list(rows), columns=list(columns))
        if len(table) != len(rows):
            raise StorageError(
                f"{self.path} lacks {len(rows) - len(table)} of the {len(rows)} rows asked for; "
                "open the index again"
            )
        return table

    def find(self, item_ids: Sequence[str], columns: Sequence[str] = ("item_id",)) -> pa.Table:
        """Read the items of these ids that exist, with `_rowid`, in no particular order."""
        with self._reading():
            return self._dataset.scanner(
                columns=list(columns), filter=_is_one_of(item_ids), with_row_id=True
            ).to_table()

    def rows(self) -> NDArray[np.int64]:
        """Read all row ids, and nothing else."""
        parts = [batch[ROW_ID].to_numpy() for batch in self.scan([], batch_size=65_536)]
        return np.concatenate([np.empty(0, np.int64), *parts]).astype(np.int64)

    def count_changed(self, since: int) -> int:
        """Count the items that were added or changed after version `since`."""
        with self._reading():
            changed: int = self._dataset.count_rows(filter=f"{_CHANGED_AT} > {since}")
            return changed

    def read_changed(self, since: int, columns: Sequence[str]) -> pa.Table:
        """Read the items that were added or changed after version `since`, with `_rowid`."""
        with self._reading():
            return self._dataset.scanner(
                columns=list(columns), filter=f"{_CHANGED_AT} > {since}", with_row_id=True
            ).to_table()

    def find_newest_version(self) -> int:
        """Look on the disk whether something was committed since this was opened."""
        with self._reading():
            newest: int = self._dataset.latest_version
            return newest

    def branch(self) -> "Store":
        """The same version again, to commit with while this object keeps its own."""
        # A handle of its own: deleting and merging move the one they are called on.
        with self._reading():
            return Store(self.path, self._dataset.checkout_version(self.version))

    def branch_newest(self) -> "Store":
        """The newest version on the disk."""
        with self._reading():
            return Store(self.path, self._open_newest())

    def count_files(self) -> int:
        """Count the files that a scan has to open."""
        return len(self._dataset.get_fragments())

    def select(self, condition: str) -> NDArray[np.int64]:
        """Find the row ids for which an SQL condition holds, in no particular order."""
        with self._reading():
            table = self._dataset.scanner(columns=[], filter=condition, with_row_id=True).to_table()
        rows: NDArray[np.int64] = table[ROW_ID].to_numpy().astype(np.int64)
        return rows

    def append(self, table: pa.Table, note: dict[str, str] | None = None) -> None:
        """Commit new items as one version; `note` is kept with the commit."""
        with storage_errors(self.path, "writing to"):
            self._dataset = lance.write_dataset(
                table,
                self.path,
                mode="append",
                transaction_properties=note,
                session=self._dataset.session(),
            )

    def upsert(self, table: pa.Table) -> None:
        """Commit items as one version, replacing those of the same id."""
        with storage_errors(self.path, "writing to"):
            merge = self._dataset.merge_insert("item_id")
            merge.when_matched_update_all().when_not_matched_insert_all().execute(table)
            self._dataset = self._open_newest()

    def delete(self, item_ids: Sequence[str]) -> None:
        """Commit the removal of these items as one version."""
        with storage_errors(self.path, "writing to"):
            self._dataset.delete(_is_one_of(item_ids))
            self._dataset = self._open_newest()

    def read_note(self) -> dict[str, str]:
        """Read the note of the newest commit."""
        with self._reading():
            transaction = self._dataset.read_transaction(self._dataset.version)
        return dict(transaction.transaction_properties or {}) if transaction else {}

    def tidy(self, max_files: int = 1) -> None:
        """Merge files when there are many, index the ids, clear versions that nobody reads."""
        self.merge_files(max_files)
        self.clear_old_versions()

    def merge_files(self, max_files: int = 1, rows_per_file: int = ROWS_PER_FILE) -> None:
        """Merge files when there are many and index the ids; files of that size stay."""
        with storage_errors(self.path, "tidying"):
            if self.count_files() > max_files:
                self._dataset.optimize.compact_files(
                    target_rows_per_fragment=rows_per_file, batch_size=1024
                )
            if not self._dataset.describe_indices():
                self._dataset.create_scalar_index("item_id", "BTREE")
            else:
                self._dataset.optimize.optimize_indices()
            self._dataset = self._open_newest()

    def clear_old_versions(self) -> None:
        """Delete versions before the newest, and files of killed commits, unless they are read."""
        with without_readers(self.path) as alone:
            if alone:
                self.clear_before(self.version)

    def clear_before(self, version: int) -> None:
        """Delete versions before this one, and files of killed commits; nobody may read them."""
        with storage_errors(self.path, "tidying"):
            self._dataset.cleanup_old_versions(
                timedelta(0), retain_versions=self.version - version + 1, delete_unverified=True
            )

    def sync(self) -> None:
        """Bring what was committed since `branch` onto the disk: it outlives a power cut."""
        sync_written(self.path, self._opened_ns)

    def _open_newest(self) -> Any:
        """Open the newest version with the caches of this one."""
        return lance.dataset(self.path, session=self._dataset.session())

    def _reading(self) -> AbstractContextManager[None]:
        return storage_errors(self.path, "reading")


def _vector(name: str, kind: pa.DataType, length: int) -> pa.Field:
    return pa.field(name, pa.list_(kind, length), nullable=False, metadata=_PLAIN)


def _is_one_of(item_ids: Sequence[str]) -> str:
    quoted = ", ".join("'" + item_id.replace("'", "''") + "'" for item_id in item_ids)
    return f"item_id IN ({quoted})"
