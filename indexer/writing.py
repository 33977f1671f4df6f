"""One change of a living gallery as one commit: which rows come, go or get new labels.

Nothing here touches memory that searches read: a `Commit` says what the next state has to
know, and the caller publishes it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from indexer.derive import Changes
from indexer.incoming import Incoming, Label, write_labels
from indexer.pipeline import split
from indexer.results import Outcome
from indexer.snapshot import Snapshot
from indexer.store import ROW_ID, Store
from model.errors import ItemNotFoundError

_IDS_AT_ONCE = 5000

Stored = dict[str, dict[str, Any]]


class Commit(NamedTuple):
    """A version that is on the disk, and what differs from the one before."""

    store: Store
    changes: Changes
    products_added: list[str]
    products_removed: list[str]


class StoredItemChangedError(Exception):
    """An item is no longer what it was when the new one was prepared: prepare it again."""


class _Plan(NamedTuple):
    """Rows to write, in the order of `item_ids`, and what becomes of each item."""

    table: pa.Table
    item_ids: list[str]
    outcomes: list[Outcome]


def find_stored(snapshot: Snapshot, item_ids: Sequence[str]) -> Stored:
    """Read row, labels and content hash of those of the items that exist."""
    names = list(snapshot.manifest.source.metadata)
    columns = ["item_id", "product_id", "uri", "content_hash", *names]
    found: Stored = {}
    for part in split(item_ids, _IDS_AT_ONCE):
        found.update(
            (row["item_id"], row) for row in snapshot.store.find(part, columns).to_pylist()
        )
    return found


def require_stored(item_ids: Sequence[str], stored: Stored) -> None:
    """Refuse ids that the gallery does not have."""
    missing = [item_id for item_id in item_ids if item_id not in stored]
    if missing:
        names = ", ".join(missing[:10]) + (", ..." if len(missing) > 10 else "")
        raise ItemNotFoundError(
            f"the gallery has no item of {len(missing)} of these ids ({names}); nothing was "
            "changed, so correct the list and try again"
        )


def put(
    snapshot: Snapshot, incoming: Sequence[Incoming], encoded: pa.Table, *, must_exist: bool
) -> tuple[Commit | None, list[Outcome]]:
    """Commit items as one version; `encoded` has a row for each one that was decoded.

    There is no commit when every item is stored already just so.
    """
    stored = find_stored(snapshot, [entry.item.item_id for entry in incoming])
    if must_exist:
        require_stored([entry.item.item_id for entry in incoming], stored)
    plan = _plan(snapshot, incoming, encoded, stored)
    if not len(plan.table):
        return None, plan.outcomes
    before = [stored[item_id] for item_id in plan.item_ids if item_id in stored]
    store = snapshot.store.branch()
    if before:
        store.upsert(plan.table)
    else:
        store.append(plan.table)
    store.sync()
    changes = Changes(
        plan.table,
        _find_rows(store, plan.item_ids, stored),
        np.array(sorted(item[ROW_ID] for item in before), np.int64),
    )
    added = plan.table["product_id"].to_pylist()
    return Commit(store, changes, added, [item["product_id"] for item in before]), plan.outcomes


def delete(snapshot: Snapshot, item_ids: Sequence[str]) -> Commit:
    """Commit the removal of items as one version; ItemNotFoundError when one is not there."""
    stored = find_stored(snapshot, item_ids)
    require_stored(item_ids, stored)
    store = snapshot.store.branch()
    store.delete(item_ids)
    store.sync()
    rows = np.array(sorted(item[ROW_ID] for item in stored.values()), np.int64)
    changes = Changes(snapshot.store.schema.empty_table(), np.empty(0, np.int64), rows)
    return Commit(store, changes, [], [item["product_id"] for item in stored.values()])


def _plan(
    snapshot: Snapshot, incoming: Sequence[Incoming], encoded: pa.Table, stored: Stored
) -> _Plan:
    labels: dict[str, Label] = {}
    relabelled: dict[str, Label] = {}
    outcomes = []
    for entry in incoming:
        item_id = entry.item.item_id
        before = stored.get(item_id)
        label = entry.label(before, snapshot.manifest)
        if entry.loaded is not None and entry.loaded.prepared is not None:
            labels[item_id] = label
        elif before is None or entry.content_hash not in (None, before["content_hash"]):
            raise StoredItemChangedError
        elif label != _read_label(before, snapshot):
            relabelled[item_id] = label
        else:
            outcomes.append(Outcome(item_id, "unchanged"))
            continue
        outcomes.append(Outcome(item_id, "updated" if before else "added"))
    table = write_labels(encoded, list(labels.values()))
    if relabelled:
        rows = [stored[item_id][ROW_ID] for item_id in relabelled]
        old = snapshot.store.take(rows, snapshot.store.schema.names)
        table = pa.concat_tables([table, write_labels(old, list(relabelled.values()))])
    return _Plan(table, [*labels, *relabelled], outcomes)


def _read_label(item: dict[str, Any], snapshot: Snapshot) -> Label:
    names = snapshot.manifest.source.metadata
    return Label(item["product_id"], item["uri"], {name: item[name] for name in names})


def _find_rows(store: Store, item_ids: list[str], stored: Stored) -> Any:
    """Rows of these items; a replaced item keeps its row."""
    rows = {item_id: item[ROW_ID] for item_id, item in stored.items()}
    new = [item_id for item_id in item_ids if item_id not in rows]
    for part in split(new, _IDS_AT_ONCE):
        rows.update((row["item_id"], row[ROW_ID]) for row in store.find(part).to_pylist())
    return np.array([rows[item_id] for item_id in item_ids], np.int64)
