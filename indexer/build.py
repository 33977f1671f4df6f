"""Building a gallery: photos in, one published index out; killed at any moment, it resumes.

The photos are written down first (`photos.arrow`) and handled in chunks of fixed
boundaries. A chunk is one atomic Lance commit that carries, in its note, how many
photos of the list are behind it: that note alone says where to go on. Chunks and
the batches inside them do not depend on where a build was interrupted, so a
resumed build ends with the same rows, byte for byte. Nothing is an index until
`manifest.json` appears, which is the last step.
"""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from indexer.attribute_files import add_of_checkpoint, carry_learned
from indexer.checkpoint import EncoderPlan, GivenEncoder
from indexer.derive import build_recall
from indexer.failures import FailureReport, read_failures
from indexer.files import lock_for_writing, storage_errors
from indexer.gallery import require_fingerprint
from indexer.listing import count_photos, read_listing
from indexer.manifest import Building, Manifest
from indexer.milvus.address import refuse_address
from indexer.photos import open_source
from indexer.pipeline import Loaded, Loader, encode_rows
from indexer.progress import Progress, Silent
from indexer.protocols import EncoderLike
from indexer.staging import (
    BuildOptions,
    begin,
    clear_leftovers,
    find_finished,
    find_unfinished,
    refuse_foreign,
    require_same,
)
from indexer.store import Store, make_schema
from indexer.token_codec import TokenCodec, open_codec
from model.errors import SourceError

__all__ = ["BuildOptions", "BuildReport", "build_gallery", "build_index"]


@dataclass(frozen=True)
class BuildReport:
    """What a build did. `added` counts this run, `items` what the gallery holds."""

    index: str
    items: int
    added: int
    failed: int
    failures: str
    resumed_at: int
    up_to_date: bool
    version: int
    fingerprint: str
    weights: str
    trained_for_retrieval: bool
    seconds: float


def build_gallery(
    source: Path,
    index_dir: Path,
    encoder: EncoderLike,
    *,
    checkpoint: Path | None = None,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """Build with an encoder that is loaded already; `checkpoint` is the file it came from."""
    plan = GivenEncoder(encoder, checkpoint)
    return build_index(source, index_dir, plan, options=options, progress=progress)


def build_index(
    source: Path,
    index_dir: Path,
    plan: EncoderPlan,
    *,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """Build a gallery of all photos of `source`, or finish a build that was interrupted.

    Raises:
        SourceError: no photos, an unusable CSV, or more failures than allowed.
        GalleryExistsError: there is a finished index of something else, or another folder's files.
        GalleryMismatchError: the index was built, or begun, with other photos or weights, or
            the attributes belong to another checkpoint.
        GalleryBusyError: another process is writing there.
        StorageError: the disk is full, read-only or damaged.
    """
    started = time.perf_counter()
    refuse_address(index_dir)
    options, watch = options or BuildOptions(), progress or Silent()
    watch.begin("Listing photos", None)
    photos = open_source(
        source,
        image_column=options.image_column,
        product_column=options.product_column,
        id_column=options.id_column,
    )
    num_photos, digest = count_photos(photos)
    with storage_errors(index_dir, "creating"):
        index_dir.mkdir(parents=True, exist_ok=True)
    with lock_for_writing(index_dir):
        clear_leftovers(index_dir)
        refuse_foreign(index_dir)
        finished = find_finished(index_dir, options.overwrite)
        if finished is not None:
            require_same(index_dir, finished, plan, num_photos, digest, options.tokens)
            add_of_checkpoint(index_dir, finished, options.attributes)
            return _report(index_dir, finished, started, up_to_date=True)
        building = find_unfinished(index_dir, plan, num_photos, digest, options)
        if building is None:
            building = begin(index_dir, photos, (num_photos, digest), plan, options, watch)
        return _Build(index_dir, building, plan, options, watch).run(started)


class _Build:
    """One run over a build that was begun: from the last committed chunk to publication."""

    def __init__(
        self,
        root: Path,
        building: Building,
        plan: EncoderPlan,
        options: BuildOptions,
        progress: Progress,
    ) -> None:
        self._root, self._building, self._plan = root, building, plan
        self._options, self._progress = options, progress
        self._manifest = building.manifest
        self._files = self._manifest.files(root)
        self._schema = make_schema(self._manifest.dims, self._manifest.source.metadata)

    def run(self, started: float) -> BuildReport:
        carry_learned(self._root, self._manifest)
        add_of_checkpoint(self._root, self._manifest, self._options.attributes)
        store = self._open_store()
        before, handled = store.count(), int(store.read_note().get("photos", 0))
        if self._building.stage == "rows":
            self._add_rows(store, handled)
            self._require_items(store)
            self._building = self._building.model_copy(update={"stage": "finishing"})
            self._building.save(self._root)
        self._finish(store)
        added = store.count() - before
        return _report(self._root, self._manifest, started, added=added, resumed_at=handled)

    def _open_store(self) -> Store:
        """Open the dataset, or create it when the build was killed before it had one."""
        if Store.exists(self._files.dataset):
            return Store.open(self._files.dataset)
        return Store.create(self._files.dataset, self._schema)

    def _add_rows(self, store: Store, handled: int) -> None:
        """Encode and commit the chunks that are not there yet."""
        encoder = self._plan.load(self._files.checkpoint)
        require_fingerprint(self._root, self._manifest, encoder.fingerprint)
        limit = self._options.max_failures
        report = FailureReport(self._files.building_failures, limit, handled=handled)
        codec = open_codec(self._root, self._manifest)
        total, size = self._manifest.source.num_photos, self._manifest.chunk_size
        self._progress.begin("Encoding photos", total)
        self._progress.advance(handled)
        photos = ((photo, None) for photo in read_listing(self._files.photos, handled))
        loader = Loader(encoder, self._options.workers, ahead=2 * self._manifest.batch_size)
        with closing(loader.load_all(photos)) as stream:
            for start in range(handled, total, size):
                chunk = self._readable(islice(stream, size), report)
                self._add_chunk(store, encoder, codec, chunk, report, min(start + size, total))

    def _add_chunk(
        self,
        store: Store,
        encoder: EncoderLike,
        codec: TokenCodec,
        chunk: Iterator[Loaded],
        report: FailureReport,
        end: int,
    ) -> None:
        rows = encode_rows(
            encoder,
            codec,
            chunk,
            batch_size=self._manifest.batch_size,
            schema=self._schema,
            photo_root=Path(self._manifest.source.photo_root),
            advance=self._progress.advance,
        )
        report.flush()
        if len(rows):
            store.append(rows, {"photos": str(end)})

    def _readable(self, chunk: Iterator[Loaded], report: FailureReport) -> Iterator[Loaded]:
        for loaded in chunk:
            if loaded.failure is None:
                yield loaded
            else:
                report.add(loaded.photo, loaded.failure)
                self._progress.advance()

    def _require_items(self, store: Store) -> None:
        if not store.count():
            raise SourceError(
                f"none of the {self._manifest.source.num_photos} photos could be read; the "
                f"reasons are in {self._files.building_failures}. Repair them and run the same "
                "command again"
            )

    def _finish(self, store: Store) -> None:
        """Put the dataset in its final form, derive the recall index, and publish."""
        self._progress.begin("Finishing the index", None)
        store.tidy()
        recall = build_recall(self._manifest, store, self._options.exact_limit)
        recall.save(self._files, store.version, self._manifest.fingerprint)
        self._manifest.save(self._root)
        clear_leftovers(self._root)


def _report(
    root: Path,
    manifest: Manifest,
    started: float,
    *,
    added: int = 0,
    resumed_at: int = 0,
    up_to_date: bool = False,
) -> BuildReport:
    files = manifest.files(root)
    store = Store.open(files.dataset)
    return BuildReport(
        index=str(root),
        items=store.count(),
        added=added,
        failed=sum(1 for _ in read_failures(files.failures)),
        failures=str(files.failures),
        resumed_at=resumed_at,
        up_to_date=up_to_date,
        version=manifest.base_version + store.version,
        fingerprint=manifest.fingerprint,
        weights=manifest.weights,
        trained_for_retrieval=manifest.trained_for_retrieval,
        seconds=round(time.perf_counter() - started, 3),
    )
