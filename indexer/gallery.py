"""The gallery on a local disk: Lance holds the items, FAISS finds candidates.

`EmbeddedGallery` is one state of the gallery, to read. Writing goes through
`indexer.build` and `indexer.update`; a gallery that is open keeps answering from
the version it was opened at.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from indexer.codec import unpack_geometry, unpack_mass, unpack_tokens
from indexer.files import ReaderLease
from indexer.manifest import Dims, Manifest
from indexer.protocols import Recalled, Selection, TokenBlock
from indexer.recall import EXACT_LIMIT, RecallIndex
from indexer.results import GalleryStamp, Item
from indexer.store import ITEM_COLUMNS, ROW_ID, TOKEN_COLUMNS, Store, make_schema
from model.errors import GalleryMismatchError, ItemNotFoundError, StorageError

if TYPE_CHECKING:
    from model.encoder import Encoded

DEFAULT_TOKEN_BUDGET_MB = 2048


class EmbeddedGallery:
    """One version of an index folder. Safe to use from many threads."""

    def __init__(
        self, root: Path, manifest: Manifest, store: Store, recall: RecallIndex, lease: ReaderLease
    ) -> None:
        self.root = root
        self.manifest = manifest
        self._store = store
        self._recall = recall
        self._lease = lease
        self._count = store.count()
        self._resident: _ResidentTokens | None = None

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        token_budget_mb: int = DEFAULT_TOKEN_BUDGET_MB,
        device: str = "cpu",
    ) -> "EmbeddedGallery":
        """Open the newest complete state of an index folder.

        Tokens are kept in memory when they fit `token_budget_mb`, and read from the
        disk by row otherwise. With a `cuda` device, recall runs on the GPU when FAISS
        finds one.

        Raises:
            GalleryNotFoundError: no index there, or its build is not finished.
            GalleryMismatchError: written by a newer version of this program.
            StorageError: files are missing or damaged.
        """
        manifest, lease = _lease_newest(path)
        try:
            store = Store.open(manifest.files(path).dataset)
            require_schema(store, manifest)
            recall = open_recall(path, manifest, store)
            if device.startswith("cuda"):
                recall.move_to_gpu()
            gallery = cls(path, manifest, store, recall, lease)
            gallery._load_tokens(token_budget_mb)
        except BaseException:
            lease.close()
            raise
        return gallery

    @property
    def checkpoint(self) -> Path:
        """The copy of the checkpoint that encoded this gallery."""
        return self.manifest.files(self.root).checkpoint

    @property
    def stamp(self) -> GalleryStamp:
        """Say which state this is."""
        version = self.manifest.base_version + self._store.version
        return GalleryStamp(version, self._count, self.manifest.fingerprint)

    def __len__(self) -> int:
        return self._count

    def require_fingerprint(self, fingerprint: str) -> None:
        """Refuse a checkpoint other than the one that made this gallery."""
        require_fingerprint(self.root, self.manifest, fingerprint)

    def recall(
        self, vectors: NDArray[np.float32], count: int, selection: Selection | None = None
    ) -> list[Recalled]:
        """Find the `count` nearest items of each of the (B, R) recall vectors, best first."""
        return self._recall.search(vectors, count, selection)

    def find_rows(self, sql: str) -> NDArray[np.int64]:
        """Find the rows for which an SQL condition holds, ascending."""
        return np.sort(self._store.select(sql))

    def read_tokens(self, rows: NDArray[np.int64]) -> TokenBlock:
        """Read what stage two needs of these rows, in their order."""
        if self._resident is not None:
            return self._resident.read(rows)
        table = self._store.take(rows.tolist(), stage_two_columns(self._dims))
        return _unpack(*_to_arrays(table, self._dims), _read_global(table, self._dims))

    def read_items(self, rows: NDArray[np.int64]) -> list[Item]:
        """Read ids and metadata of these rows, in their order."""
        names = list(self.manifest.source.metadata)
        table = self._store.take(rows.tolist(), [*ITEM_COLUMNS, *names])
        return [_make_item(record, names) for record in table.to_pylist()]

    def find_row(self, item_id: str) -> int:
        """Find the row of one item; ItemNotFoundError when there is none."""
        table = self._store.find([item_id])
        if not len(table):
            raise ItemNotFoundError(
                f"the gallery has no item {item_id!r}; ids are as `python -m indexer search` "
                "prints them"
            )
        row: int = table[ROW_ID][0].as_py()
        return row

    def read_encoded(self, row: int) -> "Encoded":
        """Read one stored item back as an encoding of one image (B = 1)."""
        from model.encoder import Encoded  # torch is slow to load, and only this needs it

        dims = self._dims
        table = self._store.take([row], [*{"global", dims.recall_column}, *TOKEN_COLUMNS])
        codes, scales, geometry = _to_arrays(table, dims)
        return Encoded(
            global_feature=to_matrix(table["global"], dims.global_dim),
            tokens=unpack_tokens(codes, scales),
            mass=unpack_mass(geometry),
            geometry=unpack_geometry(geometry),
            recall=to_matrix(table[dims.recall_column], dims.recall_width),
        )

    def read_thumbnail(self, item_id: str) -> bytes:
        """Read the small JPEG of one item; ItemNotFoundError when there is none."""
        table = self._store.take([self.find_row(item_id)], ["thumbnail"])
        thumbnail: bytes = table["thumbnail"][0].as_py()
        return thumbnail

    def num_products(self) -> int:
        """Count the distinct products."""
        return self._recall.products

    def metadata_columns(self) -> dict[str, str]:
        """Name the metadata columns and their kinds."""
        return dict(self.manifest.source.metadata)

    @property
    def has_resident_tokens(self) -> bool:
        """True when tokens are kept in memory."""
        return self._resident is not None

    def close(self) -> None:
        """Let go of the files, so that a writer may clear this version."""
        self._resident = None
        self._lease.close()

    def __enter__(self) -> "EmbeddedGallery":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _dims(self) -> Dims:
        return self.manifest.dims

    def _load_tokens(self, budget_mb: int) -> None:
        needed = self._count * _ResidentTokens.bytes_per_item(self._dims)
        if needed <= budget_mb * 1_000_000:
            self._resident = _ResidentTokens(self._store, self._count, self._dims)


class _ResidentTokens:
    """What stage two needs, in memory, with the row id of each item: filled batch by batch."""

    def __init__(self, store: Store, count: int, dims: Dims) -> None:
        shape = (count, dims.levels, dims.num_tokens)
        rows = np.empty(count, np.int64)
        self._tokens = np.empty((*shape, dims.token_dim), np.int8)
        self._scales = np.empty(shape, np.float16)
        self._geometry = np.empty((*shape, 6), np.uint8)
        self._global: NDArray[np.float32] | None = None
        if dims.recall_dim is not None:
            self._global = np.empty((count, dims.global_dim), np.float32)
        start = 0
        for batch in store.scan(stage_two_columns(dims)):
            part = slice(start, start + batch.num_rows)
            rows[part] = batch[ROW_ID].to_numpy()
            self._tokens[part], self._scales[part], self._geometry[part] = _to_arrays(batch, dims)
            if self._global is not None:
                self._global[part] = _read_global(batch, dims)
            start += batch.num_rows
        self._order = np.argsort(rows)
        self._rows = rows[self._order]

    @staticmethod
    def bytes_per_item(dims: Dims) -> int:
        whole = 0 if dims.recall_dim is None else 4 * dims.global_dim
        return dims.levels * dims.num_tokens * (dims.token_dim + 2 + 6) + whole + 16

    def read(self, rows: NDArray[np.int64]) -> TokenBlock:
        at = np.searchsorted(self._rows, rows)
        if not np.array_equal(self._rows[np.minimum(at, len(self._rows) - 1)], rows):
            raise StorageError("a row asked for is not in this gallery; open the index again")
        places = self._order[at]
        whole = None if self._global is None else self._global[places]
        return _unpack(self._tokens[places], self._scales[places], self._geometry[places], whole)


def open_recall(
    root: Path, manifest: Manifest, store: Store, exact_limit: int = EXACT_LIMIT
) -> RecallIndex:
    """Load the stored recall index, or derive it anew and store it where that is possible."""
    files = manifest.files(root)
    loaded = RecallIndex.load(files, store.version, manifest.fingerprint)
    if loaded is not None:
        return loaded
    index = build_recall(manifest, store, exact_limit)
    try:
        index.save(files, store.version, manifest.fingerprint)
    except StorageError:
        return index  # a read-only or full disk: derived data may live in memory alone
    return index


def build_recall(manifest: Manifest, store: Store, exact_limit: int = EXACT_LIMIT) -> RecallIndex:
    """Derive the recall index from the items."""
    column, dim = manifest.dims.recall_column, manifest.dims.recall_width

    def vectors() -> Any:
        for batch in store.scan([column]):
            yield batch[ROW_ID].to_numpy().astype(np.int64), to_matrix(batch[column], dim)

    return RecallIndex.build(vectors, store.count(), dim, _count_products(store), exact_limit)


def require_fingerprint(root: Path, manifest: Manifest, fingerprint: str) -> None:
    """Refuse a checkpoint other than the one that made a gallery."""
    if fingerprint != manifest.fingerprint:
        raise GalleryMismatchError(
            f"{root} was built with checkpoint {manifest.fingerprint[:12]}, but "
            f"{fingerprint[:12]} is loaded; leave --checkpoint out to use the index's own, or "
            "build the index again with --overwrite"
        )


def stage_two_columns(dims: Dims) -> tuple[str, ...]:
    """Columns that re-ranking reads: the global feature too, unless recall compared it."""
    return TOKEN_COLUMNS if dims.recall_dim is None else ("global", *TOKEN_COLUMNS)


def to_matrix(column: Any, width: int) -> NDArray[Any]:
    """View a column of fixed-size lists as an (n, width) array."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    matrix: NDArray[Any] = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    return matrix


def _lease_newest(path: Path) -> tuple[Manifest, ReaderLease]:
    """Take part in the newest generation, even when one is published at this moment."""
    manifest = Manifest.load(path)
    while True:
        try:
            lease = ReaderLease(manifest.files(path).dataset)
        except StorageError:
            newest = Manifest.load(path)
            if newest.generation == manifest.generation:
                raise
            manifest = newest
            continue
        newest = Manifest.load(path)
        if newest.generation == manifest.generation:
            return newest, lease
        lease.close()
        manifest = newest


def require_schema(store: Store, manifest: Manifest) -> None:
    """Check that dataset and manifest speak of the same columns."""
    wanted = make_schema(manifest.dims, manifest.source.metadata)
    found = {field.name: field.type for field in store.schema}
    if found != {field.name: field.type for field in wanted}:
        raise StorageError(
            f"the columns of {store.path} are not those that its manifest.json states; "
            "restore both from one backup, or build the index again with --overwrite"
        )


def _count_products(store: Store) -> int:
    """Count distinct products, remembering eight bytes for each."""
    codes = [np.empty(0, np.int64)]
    for batch in store.scan(["product_id"]):
        names = pc.unique(batch["product_id"]).to_pylist()
        codes.append(np.fromiter((hash(name) for name in names), np.int64, count=len(names)))
    return len(np.unique(np.concatenate(codes)))


def _to_arrays(table: Any, dims: Dims) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return codes (n, L, M, d), scales (n, L, M) and geometry (n, L, M, 6)."""
    per_token = (dims.levels, dims.num_tokens)
    count = dims.levels * dims.num_tokens
    codes = to_matrix(table["tokens"], count * dims.token_dim)
    scales = to_matrix(table["token_scales"], count)
    geometry = to_matrix(table["geometry"], count * 6)
    return (
        codes.reshape(-1, *per_token, dims.token_dim),
        scales.reshape(-1, *per_token),
        geometry.reshape(-1, *per_token, 6),
    )


def _read_global(table: Any, dims: Dims) -> NDArray[np.float32] | None:
    """Return the global features (n, D), where stage two has to read them."""
    return None if dims.recall_dim is None else to_matrix(table["global"], dims.global_dim)


def _unpack(
    codes: NDArray[Any],
    scales: NDArray[Any],
    geometry: NDArray[Any],
    global_feature: NDArray[np.float32] | None,
) -> TokenBlock:
    return TokenBlock(codes, scales.astype(np.float32), unpack_mass(geometry), global_feature)


def _make_item(record: dict[str, Any], names: list[str]) -> Item:
    return Item(
        item_id=record["item_id"],
        product_id=record["product_id"],
        uri=record["uri"],
        metadata={name: record[name] for name in names},
        width=record["width"],
        height=record["height"],
    )
