"""What keeps a living gallery fast: a recall index without a long delta, and few files."""

from contextlib import suppress

from indexer.derive import build_recall, catch_up_recall
from indexer.live_types import LiveOptions
from indexer.recall import RecallIndex
from indexer.snapshot import Snapshot
from indexer.store import ROWS_PER_FILE
from model.errors import StorageError

# Files below this are merged often; the large ones only when the index is built anew.
_SMALL_FILE_ROWS = 1024


def is_index_due(snapshot: Snapshot, options: LiveOptions) -> bool:
    """True when searches compare, or leave out, too many items beside the index."""
    changed = snapshot.recall_index.num_added + snapshot.recall_index.num_gone
    share = int(options.max_delta_share * len(snapshot))
    return changed > min(options.max_delta, max(options.min_delta, share))


def is_merge_due(snapshot: Snapshot, options: LiveOptions) -> bool:
    """True when the dataset has many files that are not full."""
    full = 2 * len(snapshot) // ROWS_PER_FILE
    return snapshot.store.count_files() - full > options.max_files


def build_index(snapshot: Snapshot, options: LiveOptions) -> RecallIndex:
    """Build the recall index of a state and store it, where the disk has room."""
    manifest = snapshot.manifest
    index = build_recall(manifest, snapshot.store, options.exact_limit)
    # The stored copy only makes the next start faster.
    with suppress(StorageError):
        index.save(manifest.files(snapshot.root), snapshot.store.version, manifest.fingerprint)
    if options.device.startswith("cuda"):
        index.move_to_gpu()
    return index


def swap_index(built_from: Snapshot, index: RecallIndex, newest: Snapshot) -> Snapshot:
    """Give the newest state an index that was built from an earlier one."""
    recall = catch_up_recall(
        index,
        built_from.store.version,
        newest.manifest,
        newest.store,
        newest.num_products(),
    )
    return newest.with_recall(recall)


def merge_files(snapshot: Snapshot, *, whole: bool) -> Snapshot:
    """Merge small files, or with `whole` all that are not full; items and rows stay."""
    store = snapshot.store.branch()
    store.merge_files(max_files=1, rows_per_file=ROWS_PER_FILE if whole else _SMALL_FILE_ROWS)
    store.sync()
    return snapshot.with_store(store)
