"""Changing a gallery that exists: add or replace items, and remove them.

Each commit is one version of the dataset; open galleries keep answering from
theirs. `add` works in chunks, so an interrupted run is simply run again: what is
there already is recognised by its content hash.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from indexer.checkpoint import EncoderSource
from indexer.derive import build_recall
from indexer.failures import FailureReport
from indexer.files import lock_for_writing
from indexer.gallery import require_fingerprint
from indexer.listing import count_photos
from indexer.manifest import Manifest, require_folder
from indexer.photos import Photo, PhotoSource, is_table, open_source, to_uri
from indexer.pipeline import Loaded, Loader, encode_rows, split
from indexer.progress import Progress, Silent
from indexer.protocols import EncoderLike
from indexer.recall import EXACT_LIMIT
from indexer.staging import CHUNK_SIZE, BuildOptions, clear_leftovers
from indexer.store import ROW_ID, Store
from indexer.token_codec import TokenCodec, open_codec
from model.errors import ItemNotFoundError

_MAX_FILES = 32
_IDS_A_COMMIT = 5000


@dataclass(frozen=True)
class UpdateReport:
    """What `add` or `remove` did; `items` is what the gallery holds now."""

    index: str
    items: int
    version: int
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: int = 0
    failures: str | None = None
    seconds: float = 0.0


def add(
    source: Path,
    index_dir: Path,
    plan: EncoderSource,
    *,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
) -> UpdateReport:
    """Add the photos of `source`; items of the same id are replaced, unchanged ones skipped.

    A photo counts as unchanged by its bytes; when only its metadata changed, that
    is updated without encoding. Columns that `source` lacks keep their values.

    Raises:
        GalleryNotFoundError, GalleryMismatchError, GalleryBusyError, StorageError: the index.
        SourceError: no photos, an unusable CSV, or more failures than allowed.
    """
    started = time.perf_counter()
    options, watch = options or BuildOptions(), progress or Silent()
    require_folder(index_dir)
    with lock_for_writing(index_dir):
        clear_leftovers(index_dir)
        manifest = Manifest.load(index_dir)
        files = manifest.files(index_dir)
        photos = _open_like(source, manifest, options)
        num_photos, _ = count_photos(photos)
        encoder = plan.load(files.checkpoint)
        require_fingerprint(index_dir, manifest, encoder.fingerprint)
        store = Store.open(files.dataset)
        report = FailureReport(files.failures, options.max_failures)
        watch.begin("Adding photos", num_photos)
        codec = open_codec(index_dir, manifest)
        update = _Update(manifest, store, encoder, codec, photos, report, watch)
        update.run(options.workers)
        _derive(index_dir, manifest, store, watch, options.exact_limit)
    counts: dict[str, Any] = dict(update.counts)
    return UpdateReport(
        **_state(index_dir, manifest, store),
        **counts,
        failed=report.count,
        failures=str(files.failures),
        seconds=round(time.perf_counter() - started, 3),
    )


def remove(
    item_ids: Iterable[str],
    index_dir: Path,
    *,
    progress: Progress | None = None,
    exact_limit: int = EXACT_LIMIT,
) -> UpdateReport:
    """Remove items; when any of them is not there, nothing is removed.

    Raises:
        ItemNotFoundError: lists the ids that the gallery does not have.
    """
    started = time.perf_counter()
    require_folder(index_dir)
    with lock_for_writing(index_dir):
        clear_leftovers(index_dir)
        manifest = Manifest.load(index_dir)
        store = Store.open(manifest.files(index_dir).dataset)
        wanted = list(dict.fromkeys(item_ids))
        _require_items(store, wanted)
        for part in split(wanted, _IDS_A_COMMIT):
            store.delete(part)
        if wanted:
            _derive(index_dir, manifest, store, progress or Silent(), exact_limit)
    return UpdateReport(
        **_state(index_dir, manifest, store),
        removed=len(wanted),
        seconds=round(time.perf_counter() - started, 3),
    )


class _Update:
    """One run of `add`: chunks of photos against the items of the same ids."""

    def __init__(
        self,
        manifest: Manifest,
        store: Store,
        encoder: EncoderLike,
        codec: TokenCodec,
        source: PhotoSource,
        report: FailureReport,
        progress: Progress,
    ) -> None:
        self._manifest, self._store, self._encoder = manifest, store, encoder
        self._codec, self._source = codec, source
        self._report, self._progress = report, progress
        self._names = list(manifest.source.metadata)
        self._schema = store.schema
        self._known: dict[str, dict[str, Any]] = {}
        self.counts = {"added": 0, "updated": 0, "unchanged": 0}

    def run(self, workers: int | None) -> None:
        loader = Loader(self._encoder, workers, ahead=2 * self._manifest.batch_size)
        with closing(loader.load_all(self._look_up())) as stream:
            for first in stream:
                self._commit(chain([first], islice(stream, CHUNK_SIZE - 1)))

    def _look_up(self) -> Iterator[tuple[Photo, str | None]]:
        """Pair each photo with the hash of the item that has its id."""
        columns = ["item_id", "product_id", "uri", "content_hash", *self._names]
        for photos in split(self._source, CHUNK_SIZE):
            found = self._store.find([photo.item_id for photo in photos], columns).to_pylist()
            items = {item["item_id"]: item for item in found}
            self._known.update(items)
            for photo in photos:
                item = items.get(photo.item_id)
                yield self._complete(photo, item), item["content_hash"] if item else None

    def _complete(self, photo: Photo, item: dict[str, Any] | None) -> Photo:
        """Keep what the gallery knows about an item and this source does not say."""
        if item is None:
            return photo
        kept = {name: item[name] for name in self._names}
        product_id = photo.product_id if self._source.product_column else item["product_id"]
        return replace(photo, product_id=product_id, metadata={**kept, **photo.metadata})

    def _commit(self, chunk: Iterator[Loaded]) -> None:
        """Commit what is new or changed among these photos as one version."""
        relabelled: list[tuple[int, Photo]] = []
        before = self.counts["updated"]
        rows = encode_rows(
            self._encoder,
            self._codec,
            self._find_new(chunk, relabelled),
            batch_size=self._manifest.batch_size,
            schema=self._schema,
            photo_root=self._photo_root,
            advance=self._progress.advance,
        )
        self._report.flush()
        if relabelled:
            rows = pa.concat_tables([rows, self._relabel(relabelled)])
        if self.counts["updated"] > before:
            self._store.upsert(rows)
        elif len(rows):
            self._store.append(rows)

    def _find_new(
        self, chunk: Iterator[Loaded], relabelled: list[tuple[int, Photo]]
    ) -> Iterator[Loaded]:
        """Yield photos to encode; put those with other metadata only into `relabelled`."""
        for loaded in chunk:
            item = self._known.pop(loaded.photo.item_id, None)
            if loaded.failure is not None:
                self._report.add(loaded.photo, loaded.failure)
            elif loaded.prepared is not None:
                self.counts["updated" if item else "added"] += 1
                yield loaded
                continue
            elif item and self._is_relabelled(loaded.photo, item):
                self.counts["updated"] += 1
                relabelled.append((item[ROW_ID], loaded.photo))
            else:
                self.counts["unchanged"] += 1
            self._progress.advance()

    def _is_relabelled(self, photo: Photo, item: dict[str, Any]) -> bool:
        stored = {name: item[name] for name in self._names}
        place = (photo.product_id, to_uri(photo.path, self._photo_root))
        return place != (item["product_id"], item["uri"]) or photo.metadata != stored

    def _relabel(self, relabelled: list[tuple[int, Photo]]) -> pa.Table:
        """Read stored rows and give them the photos' metadata."""
        photos = [photo for _, photo in relabelled]
        table = self._store.take([row for row, _ in relabelled], self._schema.names)
        new: dict[str, list[Any]] = {
            "product_id": [photo.product_id for photo in photos],
            "uri": [to_uri(photo.path, self._photo_root) for photo in photos],
            **{name: [photo.metadata[name] for photo in photos] for name in self._names},
        }
        for name, values in new.items():
            place = self._schema.get_field_index(name)
            column = pa.array(values, self._schema.field(name).type)
            table = table.set_column(place, self._schema.field(name), column)
        return table

    @property
    def _photo_root(self) -> Path:
        return Path(self._manifest.source.photo_root)


def _open_like(source: Path, manifest: Manifest, options: BuildOptions) -> PhotoSource:
    """Open photos to add: a CSV is read with the columns the gallery was built with."""
    given = {
        "image_column": options.image_column,
        "product_column": options.product_column,
        "id_column": options.id_column,
    }
    built = manifest.source.model_dump(include=set(given)) if is_table(source) else {}
    columns = {role: name or built.get(role) for role, name in given.items()}
    return open_source(source, **columns, metadata=manifest.source.metadata)


def _require_items(store: Store, item_ids: list[str]) -> None:
    missing: list[str] = []
    for part in split(item_ids, _IDS_A_COMMIT):
        found = set(store.find(part)["item_id"].to_pylist())
        missing += [item_id for item_id in part if item_id not in found]
    if missing:
        names = ", ".join(missing[:10]) + (", ..." if len(missing) > 10 else "")
        raise ItemNotFoundError(
            f"the gallery has no item of {len(missing)} of these ids ({names}); nothing was "
            "removed, so correct the list and try again"
        )


def _derive(
    root: Path, manifest: Manifest, store: Store, progress: Progress, exact_limit: int
) -> None:
    """Bring what is derived from the items up to date."""
    progress.begin("Updating the index", None)
    store.tidy(_MAX_FILES)
    recall = build_recall(manifest, store, exact_limit)
    recall.save(manifest.files(root), store.version, manifest.fingerprint)


def _state(root: Path, manifest: Manifest, store: Store) -> dict[str, Any]:
    version = manifest.base_version + store.version
    return {"index": str(root), "items": store.count(), "version": version}
