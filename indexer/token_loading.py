"""Bringing a gallery's tokens into memory: small ones at once, large ones while it is searched.

Reading gigabytes would keep a gallery from opening. Until they are there, candidates' tokens
are read from the dataset by row, which gives the same bytes.
"""

from collections.abc import Callable, Iterator

import pyarrow as pa

from indexer.derive import find_changes
from indexer.live_types import LiveOptions
from indexer.manifest import Dims
from indexer.snapshot import Generation, Snapshot
from indexer.store import Store
from indexer.tokens import ResidentTokens, bytes_per_item, read_arrays, stage_two_columns


class LoadingStopped(Exception):
    """The gallery is closed; its tokens are needed no more."""


def load_at_once(
    store: Store, generation: Generation, options: LiveOptions
) -> ResidentTokens | None:
    """Load tokens that an opening can wait for; None where there are more, or no room."""
    count, dims = store.count(), generation.manifest.dims
    if not _fits(count, dims, min(options.tokens_at_once_mb, options.token_budget_mb)):
        return None
    batches = store.scan(stage_two_columns(dims))
    return ResidentTokens.load(batches, count, dims, generation.codec)


def is_loading_due(snapshot: Snapshot, options: LiveOptions) -> bool:
    """True when the tokens of this state fit the budget and are not in memory."""
    fits = _fits(len(snapshot), snapshot.manifest.dims, options.token_budget_mb)
    return snapshot.resident is None and fits and len(snapshot) > 0


def load_tokens(snapshot: Snapshot, is_stopped: Callable[[], bool]) -> ResidentTokens:
    """Read the tokens of one state from the dataset.

    Raises:
        LoadingStopped: `is_stopped` said so in between.
        StorageError: files are missing or damaged.
    """
    dims = snapshot.manifest.dims

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in snapshot.store.scan(stage_two_columns(dims)):
            if is_stopped():
                raise LoadingStopped
            yield batch

    return ResidentTokens.load(batches(), len(snapshot), dims, snapshot.generation.codec)


def bring_up_to_date(tokens: ResidentTokens, before: Snapshot, now: Snapshot) -> ResidentTokens:
    """Add what was committed while the tokens of `before` were read."""
    if now.store.version == before.store.version:
        return tokens
    dims = now.manifest.dims
    columns = sorted(stage_two_columns(dims))
    changes = find_changes(now.store, before.store.version, before.rows(), columns)
    return tokens.with_items(changes.rows, read_arrays(changes.items, dims))


def _fits(count: int, dims: Dims, budget_mb: int) -> bool:
    return count * bytes_per_item(dims) <= budget_mb * 1_000_000
