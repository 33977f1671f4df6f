"""A gallery that changes while it is searched.

Searches read a `Snapshot`, which never changes. A write commits one version of the dataset,
brings it onto the disk, and only then publishes the next snapshot: what is acknowledged is
durable, and the next search sees it. The folder's lock is taken for each write, so the
command line may write too; `reload` (and the watch thread) takes over what others committed.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from indexer.attribute_warmup import WarmUp
from indexer.attributes import has_changed, read_attributes
from indexer.background import Repeating, TaskLog, run_politely
from indexer.checkpoint import EncoderSource
from indexer.history import History
from indexer.incoming import (
    Incoming,
    check_items,
    encode_items,
    explain_failures,
    load_items,
    require_photos,
)
from indexer.live_types import LiveOptions, LiveStats
from indexer.maintenance import build_index, is_index_due, is_merge_due, merge_files, swap_index
from indexer.opening import catch_up, open_newest
from indexer.requests import NewItem
from indexer.results import Outcome, TaskStats, WriteReport
from indexer.snapshot import Snapshot
from indexer.staging import clear_old_generations
from indexer.token_loading import (
    LoadingStopped,
    bring_up_to_date,
    is_loading_due,
    load_tokens,
)
from indexer.writer_lock import SharedWriterLock
from indexer.writing import Commit, StoredItemChangedError, delete, find_stored, put


class LiveGallery:
    """Owns an index folder for writing while searches run. Safe to use from many threads."""

    def __init__(self, root: Path, plan: EncoderSource, options: LiveOptions | None = None) -> None:
        """Open the newest state.

        Args:
            root: what `python -m indexer build` wrote.
            plan: loads the encoder of a generation; asked again when a rebuild was published.
            options: memory, history and maintenance.

        Raises:
            GalleryError, CheckpointError, DeviceError: the index cannot be opened.
        """
        self._root, self._plan, self._options = root, plan, options or LiveOptions()
        self._history = History(self._options.keep_s, self._options.keep_versions)
        self._file_lock = SharedWriterLock(root, self._options.busy_wait_s)
        # One writer at a time; never held while a photo is decoded or encoded.
        self._mutex = threading.RLock()
        self._maintaining = threading.Lock()
        self._last_reload: datetime | None = None
        self._last_maintenance: datetime | None = None
        self._tasks = TaskLog("reload", "maintenance", "tokens")
        self._warming = WarmUp()
        self._closing = threading.Event()
        self._opened = open_newest(root, plan, self._options)
        self._history.publish(self._opened.snapshot)
        self._threads: list[Repeating] = []
        if self._options.background:
            self._start()

    def current(self) -> Snapshot:
        """The newest state."""
        return self._history.newest

    def snapshot(self, version: int) -> Snapshot | None:
        """The state of this version (`stamp.version`), None when it is not held any more."""
        return self._history.find(version)

    def add(self, items: Sequence[NewItem], *, atomic: bool | None = None) -> WriteReport:
        """Add items; one whose id exists replaces that item, and an equal one changes nothing.

        Args:
            items: each with its photo.
            atomic: when one photo cannot be used, add none and raise; otherwise it is reported
                as failed and the others are added. The default is True for a single item.

        Raises:
            InputError: ids given twice, or metadata that does not fit.
            ImageError: an unusable photo, when atomic.
            GalleryBusyError: another process is writing.
            StorageError: the disk is full or read-only; nothing has changed.
        """
        require_photos(items)
        return self._put(items, atomic, must_exist=False)

    def replace(self, items: Sequence[NewItem], *, atomic: bool | None = None) -> WriteReport:
        """Change items that exist: their photo, their metadata or both; see `add`.

        Raises:
            ItemNotFoundError: lists the ids that are not there; nothing has changed.
        """
        return self._put(items, atomic, must_exist=True)

    def remove(self, item_ids: Sequence[str]) -> WriteReport:
        """Remove items; when one of them is not there, nothing is removed.

        Raises:
            ItemNotFoundError: lists the ids that are not there.
            GalleryBusyError, StorageError: as for `add`.
        """
        wanted = list(dict.fromkeys(item_ids))
        if not wanted:
            return self._report([])
        with self._writing():
            self._accept(delete(self.current(), wanted))
            return self._report([Outcome(item_id, "removed") for item_id in wanted])

    def reload(self) -> bool:
        """Take over what other processes committed or published; True when there was something.

        Raises:
            GalleryError, CheckpointError: the new state cannot be opened; the old one stays.
        """
        with self._mutex:
            items = self._catch_up()
            return self._catch_up_attributes() or items

    def change_attributes(self, change: Callable[[Snapshot], object]) -> None:
        """Let `change` add or remove files of attributes, as the only writer; then take them over.

        Raises:
            GalleryBusyError: another process is writing.
        """
        with self._writing():
            change(self.current())
            self._catch_up_attributes()

    def maintain(self, *, force: bool = False) -> bool:
        """Build the recall index anew and merge files where that is due; True when it was.

        Searches go on; writes wait only while files are merged.
        """
        with self._maintaining:
            current = self.current()
            index = force or is_index_due(current, self._options)
            if not index and not is_merge_due(current, self._options):
                return False
            with self._file_lock.held():
                if index:
                    self._renew_index()
                with self._mutex:
                    self._catch_up()
                    self._publish(merge_files(self.current(), whole=index))
                    if is_merge_due(self.current(), self._options):
                        self._publish(merge_files(self.current(), whole=True))
                    self._clear()
            self._last_maintenance = datetime.now(UTC)
            return True

    def stats(self) -> LiveStats:
        """Count what is held in memory and on disk."""
        current = self.current()
        return LiveStats(
            version=current.stamp.version,
            items=len(current),
            delta=current.recall_index.num_added,
            tombstones=current.recall_index.num_gone,
            files=current.store.count_files(),
            versions=self._history.versions(),
            bytes_resident=self._history.num_bytes() + current.embeddings.num_bytes,
            last_reload=self._last_reload,
            last_maintenance=self._last_maintenance,
            errors={name: task.error for name, task in self.tasks().items() if task.error},
        )

    def tasks(self) -> dict[str, TaskStats]:
        """How `reload`, `maintenance` and `tokens` (loading them) fare in the background."""
        return self._tasks.stats()

    def close(self) -> None:
        """Stop the background threads; work in progress is finished, but loading tokens."""
        self._closing.set()
        threads, self._threads = self._threads, []
        for thread in threads:
            thread.stop()

    def __enter__(self) -> "LiveGallery":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _put(
        self, items: Sequence[NewItem], atomic: bool | None, *, must_exist: bool
    ) -> WriteReport:
        if not items:
            return self._report([])
        whole = len(items) == 1 if atomic is None else atomic
        while True:
            before = self.current()
            incoming = self._prepare(items, before)
            failed = [entry for entry in incoming if entry.error is not None]
            if failed and whole:
                raise explain_failures(failed, len(items))
            usable = [entry for entry in incoming if entry.error is None]
            generation = before.generation
            parts = (generation.encoder, generation.codec, generation.manifest)
            encoded = encode_items(usable, *parts, before.store.schema)
            with self._writing():
                if self.current().generation is not generation:
                    continue  # a rebuild was published: the photos belong to another encoder
                try:
                    commit, outcomes = put(self.current(), usable, encoded, must_exist=must_exist)
                except StoredItemChangedError:
                    continue
                if commit is not None:
                    self._accept(commit)
                done = {outcome.item_id: outcome for outcome in outcomes}
                for entry in failed:
                    item_id = entry.item.item_id
                    done[item_id] = Outcome(item_id, "failed", str(entry.error))
                return self._report([done[item.item_id] for item in items])

    def _prepare(self, items: Sequence[NewItem], before: Snapshot) -> list[Incoming]:
        metadata = check_items(items, before.manifest)
        stored = find_stored(before, [item.item_id for item in items])
        known = {item_id: item["content_hash"] for item_id, item in stored.items()}
        return load_items(items, metadata, known, before.encoder, self._options.max_pixels)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Be the only writer, on top of the newest state."""
        with self._mutex, self._file_lock.held():
            self._catch_up()
            yield

    def _accept(self, commit: Commit) -> None:
        """Publish the state after a commit."""
        products, budget = self._opened.products, self._options.token_budget_mb
        added, removed = commit.products_added, commit.products_removed
        count = products.preview(added=added, removed=removed)
        after = self.current().advance(commit.store, commit.changes, count, budget)
        products.update(added=added, removed=removed)
        self._publish(after)

    def _catch_up(self) -> bool:
        opened = catch_up(self._opened, self._root, self._plan, self._options)
        if opened is None:
            return False
        self._opened = opened
        self._publish(opened.snapshot)
        self._last_reload = datetime.now(UTC)
        return True

    def _catch_up_attributes(self) -> bool:
        """Take over attributes that were added or removed; unusable ones leave all as it was."""
        current = self.current()
        folder = current.manifest.files(self._root).attributes
        if not has_changed(folder, current.attributes):
            return False
        found = read_attributes(folder, current.manifest.fingerprint, current.attributes)
        self._publish(current.with_attributes(found))
        return True

    def _publish(self, snapshot: Snapshot) -> None:
        self._opened = self._opened._replace(snapshot=snapshot)
        self._history.publish(snapshot)
        threads = self._threads
        due = is_index_due(snapshot, self._options) or is_merge_due(snapshot, self._options)
        # What failed is tried again at its interval, not at every write.
        if threads and due and not self._tasks.is_failing("maintenance"):
            threads[-1].wake()

    def load_tokens(self) -> bool:
        """Bring tokens that fit the budget into memory while searches go on; True when it did."""
        before = self.current()
        if not is_loading_due(before, self._options):
            return False
        with suppress(LoadingStopped):
            tokens = load_tokens(before, self._closing.is_set)
            with self._mutex:
                now = self.current()
                if now.generation is before.generation and is_loading_due(now, self._options):
                    self._publish(now.with_tokens(bring_up_to_date(tokens, before, now)))
                    return True
        return False

    def _renew_index(self) -> None:
        before = self.current()
        # The one long part, and no lock of the writers is held; what follows keeps them waiting.
        index = run_politely(lambda: build_index(before, self._options))
        with self._mutex:
            self._catch_up()
            if self.current().generation is before.generation:
                self._publish(swap_index(before, index, self.current()))

    def _clear(self) -> None:
        """Delete versions of the dataset that nobody reads any more."""
        generation = self.current().generation
        oldest = self._history.find_oldest(generation)
        with generation.lease.alone() as alone:
            if alone:
                self.current().store.clear_before(oldest)
        clear_old_generations(self._root, generation.manifest.generation)

    def _report(self, outcomes: list[Outcome]) -> WriteReport:
        stamp = self.current().stamp
        return WriteReport(stamp.version, stamp.items, outcomes)

    def _start(self) -> None:
        options = self._options
        self._threads = [
            Repeating("gallery watch", options.watch_s, self._watch),
            Repeating("gallery tokens", options.maintain_s, self._load),
            Repeating("attribute warm-up", options.watch_s, self._warm_up),
            Repeating("gallery maintenance", options.maintain_s, self._maintain),
        ]
        self._threads[1].wake()

    def _watch(self) -> None:
        self._history.prune()
        self._tasks.run("reload", self.reload)

    def _warm_up(self) -> None:
        self._warming.run(self.current())

    def _maintain(self) -> None:
        self._tasks.run("maintenance", self.maintain)

    def _load(self) -> None:
        self._tasks.run("tokens", self.load_tokens)
