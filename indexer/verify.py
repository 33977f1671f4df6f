"""Checking a whole index: every row, every photo that is still there, everything derived."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from indexer.checkpoint import EncoderSource
from indexer.derive import load_recall
from indexer.files import hash_file
from indexer.gallery import require_schema
from indexer.manifest import Manifest
from indexer.progress import Progress, Silent
from indexer.store import ROW_ID, Store
from indexer.token_codec import open_codec
from indexer.tokens import to_matrix
from model.errors import SelvedgeError

MAX_PROBLEMS = 1000
_COLUMNS = ("item_id", "product_id", "uri", "thumbnail", "content_hash")
# Only tokens that are int8 have scales.
_SCALES = {"token_scales"}


@dataclass(frozen=True)
class Verification:
    """What was checked, and each problem as a sentence; none of them means all is well.

    `notes` are no problems: what is not there, and may be missing.
    """

    index: str
    items: int
    photos_checked: int
    photos_missing: int
    problems: list[str]
    notes: list[str]


def verify(
    index_dir: Path, *, plan: EncoderSource | None = None, progress: Progress | None = None
) -> Verification:
    """Check an index against itself, its checkpoint and the photos it was built from.

    With a `plan`, the checkpoint is loaded too and its fingerprint compared. A photo
    that is not on this machine (any more) is counted, and is no problem.

    Raises:
        GalleryNotFoundError, GalleryMismatchError, StorageError: it cannot even be opened.
    """
    manifest = Manifest.load(index_dir)
    store = Store.open(manifest.files(index_dir).dataset)
    require_schema(store, manifest)
    watch = progress or Silent()
    watch.begin("Verifying items", store.count())
    check = _Check(index_dir, manifest, store)
    numbers = {"global", manifest.dims.recall_column, *(_SCALES & set(store.schema.names))}
    for batch in store.scan([*_COLUMNS, *sorted(numbers)], batch_size=512):
        check.check_batch(batch)
        watch.advance(batch.num_rows)
    check.check_checkpoint(plan)
    check.check_codebooks()
    check.check_recall()
    return Verification(
        str(index_dir),
        store.count(),
        check.photos_checked,
        check.photos_missing,
        check.problems[:MAX_PROBLEMS],
        check.notes,
    )


class _Check:
    """Collects problems."""

    def __init__(self, root: Path, manifest: Manifest, store: Store) -> None:
        self._manifest, self._store = manifest, store
        self._files = manifest.files(root)
        self._photo_root = Path(manifest.source.photo_root)
        # Without its tie there is no index, whatever lies in the file: it is gone while the
        # file is exchanged, and stays so when the process is killed just then.
        self._is_stored = self._files.recall_tie.exists()
        self._recall = load_recall(root, manifest, store, most_changed=1.0)
        self._ids: list[int] = []
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.photos_checked = self.photos_missing = 0

    def check_batch(self, batch: pa.RecordBatch) -> None:
        rows, ids = batch[ROW_ID].to_numpy(), batch["item_id"].to_pylist()
        self._ids += [hash(item_id) for item_id in ids]
        dims = self._manifest.dims
        vectors = to_matrix(batch[dims.recall_column], dims.recall_width)
        named = {"global feature": to_matrix(batch["global"], dims.global_dim)}
        if dims.recall_dim is not None:
            named["recall vector"] = vectors
        self.problems += self._check_vectors(ids, named, batch)
        if self._recall is not None and not self._recall.holds(rows, vectors):
            self.problems.append(_STALE)
            self._recall = None
        details = batch.select(["item_id", "uri", "thumbnail", "content_hash"]).to_pylist()
        for item in details:
            self.problems += self._check_files(item)

    def _check_vectors(self, ids: list[str], named: dict[str, Any], batch: Any) -> Iterator[str]:
        scales = [
            to_matrix(batch[name], batch[name].type.list_size)
            for name in _SCALES & set(batch.schema.names)
        ]
        for i, item_id in enumerate(ids):
            if not all(np.isfinite(x[i]).all() for x in (*scales, *named.values())):
                yield f"item {item_id} has numbers that are not finite; add its photo again"
                continue
            for name, vectors in named.items():
                if abs(float(np.linalg.norm(vectors[i])) - 1) > 1e-3:
                    yield f"the {name} of item {item_id} is not of unit length"

    def _check_files(self, item: dict[str, Any]) -> Iterator[str]:
        if not _decodes(item["thumbnail"]):
            yield f"the thumbnail of item {item['item_id']} is damaged; add its photo again"
        path = self._photo_root / item["uri"]
        try:
            data = path.read_bytes()
        except OSError:
            self.photos_missing += 1
            return
        self.photos_checked += 1
        if hashlib.sha256(data).hexdigest() != item["content_hash"]:
            yield f"the photo of item {item['item_id']} changed since; use `add` to update it"

    def check_checkpoint(self, plan: EncoderSource | None) -> None:
        """Compare the checkpoint's bytes, and with a plan its fingerprint, to the manifest."""
        path, wanted = self._files.checkpoint, self._manifest.checkpoint_sha256
        try:
            if wanted is not None and hash_file(path) != wanted:
                self.problems.append(f"{path.name} is not the file that encoded this gallery")
            elif plan and plan.load(path).fingerprint != self._manifest.fingerprint:
                self.problems.append(
                    f"this program reads {path.name} as other weights than those that encoded "
                    "the gallery; build it again with --overwrite"
                )
        except SelvedgeError as error:
            self.problems.append(str(error))

    def check_codebooks(self) -> None:
        """Read what product codes mean, where tokens are stored as such."""
        try:
            open_codec(self._files.root, self._manifest)
        except SelvedgeError as error:
            self.problems.append(str(error))

    def check_recall(self) -> None:
        """Check the ids and the recall index as a whole."""
        if repeated := len(self._ids) - len(set(self._ids)):
            self.problems.append(f"{repeated} items have the id of another item")
        if not self._is_stored:
            self.notes.append(_NOT_STORED)
            return
        in_sync = self._recall is not None and len(self._recall) == len(self._ids)
        if not in_sync and _STALE not in self.problems:
            self.problems.append(_STALE)


_NOT_STORED = (
    "no recall index is stored (deleted, or a process was killed while it exchanged it); it is "
    "rebuilt when the index is opened for a search"
)
_STALE = (
    "the recall index is missing, damaged or of another state; it is rebuilt when the index "
    "is opened for a search"
)


def _decodes(data: bytes) -> bool:
    try:
        Image.open(BytesIO(data), formats=("JPEG",)).load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True
