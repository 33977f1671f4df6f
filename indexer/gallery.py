"""The gallery on a local disk: Lance holds the items, FAISS finds candidates.

`EmbeddedGallery` is one state of the gallery, to read. Writing goes through
`indexer.build` and `indexer.update`; a gallery that is open keeps answering from
the version it was opened at.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from indexer.attribute_cache import DEFAULT_BUDGET_MB, EmbeddingCache, Embeddings
from indexer.attributes import AttributeSet, read_attributes
from indexer.codec import unpack_geometry, unpack_tokens
from indexer.delta import DeltaRecall
from indexer.derive import open_recall
from indexer.files import ReaderLease
from indexer.manifest import Dims, Manifest
from indexer.protocols import Recalled, Selection, TokenBlock
from indexer.results import GalleryStamp, Item
from indexer.store import ITEM_COLUMNS, ROW_ID, Store, make_schema
from indexer.token_codec import TokenCodec, open_codec
from indexer.tokens import (
    ResidentTokens,
    bytes_per_item,
    read_arrays,
    stage_two_columns,
    to_matrix,
)
from model.errors import GalleryMismatchError, ItemNotFoundError, StorageError

if TYPE_CHECKING:
    from model.encoder import Encoded

DEFAULT_TOKEN_BUDGET_MB = 2048


class EmbeddedGallery:
    """One version of an index folder. Safe to use from many threads."""

    def __init__(
        self,
        root: Path,
        manifest: Manifest,
        store: Store,
        recall: DeltaRecall,
        lease: ReaderLease,
        codec: TokenCodec,
        resident: ResidentTokens | None = None,
        attributes: AttributeSet | None = None,
        embeddings: EmbeddingCache | None = None,
    ) -> None:
        self.root = root
        self.attributes = attributes or AttributeSet()
        self.embeddings = embeddings or EmbeddingCache()
        self.manifest = manifest
        self._store = store
        self._recall = recall
        self._lease = lease
        self._codec = codec
        self._count = store.count()
        self._resident = resident

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        token_budget_mb: int = DEFAULT_TOKEN_BUDGET_MB,
        attribute_budget_mb: int = DEFAULT_BUDGET_MB,
        device: str = "cpu",
    ) -> "EmbeddedGallery":
        """Open the newest complete state of an index folder.

        Tokens are kept in memory when they fit `token_budget_mb`, and read from the
        disk by row otherwise. What attributes see of the items is kept up to
        `attribute_budget_mb`. With a `cuda` device, recall runs on the GPU when FAISS
        finds one.

        Raises:
            GalleryNotFoundError: no index there, or its build is not finished.
            GalleryMismatchError: written by a newer version of this program, or with
                attributes of another checkpoint.
            CheckpointError: its attributes are damaged.
            StorageError: files are missing or damaged.
        """
        manifest, lease = lease_newest(path)
        try:
            store = Store.open(manifest.files(path).dataset)
            require_schema(store, manifest)
            recall = open_recall(path, manifest, store)
            if device.startswith("cuda"):
                recall.move_to_gpu()
            attributes = read_attributes(manifest.files(path).attributes, manifest.fingerprint)
            cache = EmbeddingCache(attribute_budget_mb)
            codec = open_codec(path, manifest)
            gallery = cls(path, manifest, store, recall, lease, codec, None, attributes, cache)
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

    def rows(self) -> NDArray[np.int64]:
        """All rows, ascending."""
        return self._rows

    def embed_items(self, name: str, until: float | None = None) -> Embeddings:
        """What all items look like to an attribute; ParameterError when it is unknown.

        AttributePendingError when it is not there by `until`, on the clock of `time.monotonic`.
        """
        heads = self.attributes.find(name)
        return self.embeddings.read(name, heads, self._store.version, self, until)

    def find_rows(self, sql: str) -> NDArray[np.int64]:
        """Find the rows for which an SQL condition holds, ascending."""
        return np.sort(self._store.select(sql))

    def read_tokens(self, rows: NDArray[np.int64]) -> TokenBlock:
        """Read what stage two needs of these rows, in their order."""
        if self._resident is not None:
            return self._resident.read(rows)
        table = self._store.take(rows.tolist(), stage_two_columns(self._dims))
        return self._codec.to_block(read_arrays(table, self._dims))

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

    def find_rows_of(self, item_ids: Sequence[str]) -> dict[str, int]:
        """Find the rows of those of the items that exist."""
        table = self._store.find(item_ids)
        return dict(zip(table["item_id"].to_pylist(), table[ROW_ID].to_pylist(), strict=True))

    def read_encoded(self, row: int) -> "Encoded":
        """Read one stored item back as an encoding of one image (B = 1)."""
        from model.encoder import Encoded  # torch is slow to load, and only this needs it

        dims = self._dims
        columns = {"global", dims.recall_column, *stage_two_columns(dims)}
        table = self._store.take([row], sorted(columns))
        block = self._codec.to_block(read_arrays(table, dims))
        return Encoded(
            global_feature=to_matrix(table["global"], dims.global_dim),
            tokens=unpack_tokens(block.tokens, block.scales),
            mass=block.mass,
            geometry=unpack_geometry(block.geometry),
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

    @cached_property
    def _rows(self) -> NDArray[np.int64]:
        return self._recall.rows()

    @property
    def _dims(self) -> Dims:
        return self.manifest.dims

    def _load_tokens(self, budget_mb: int) -> None:
        if self._count * bytes_per_item(self._dims) <= budget_mb * 1_000_000:
            batches = self._store.scan(stage_two_columns(self._dims))
            self._resident = ResidentTokens.load(batches, self._count, self._dims, self._codec)


def require_fingerprint(root: Path, manifest: Manifest, fingerprint: str) -> None:
    """Refuse a checkpoint other than the one that made a gallery."""
    if fingerprint != manifest.fingerprint:
        raise GalleryMismatchError(
            f"{root} was built with checkpoint {manifest.fingerprint[:12]}, but "
            f"{fingerprint[:12]} is loaded; leave --checkpoint out to use the index's own, or "
            "build the index again with --overwrite"
        )


def lease_newest(path: Path) -> tuple[Manifest, ReaderLease]:
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


def _make_item(record: dict[str, Any], names: list[str]) -> Item:
    return Item(
        item_id=record["item_id"],
        product_id=record["product_id"],
        uri=record["uri"],
        metadata={name: record[name] for name in names},
        width=record["width"],
        height=record["height"],
    )
