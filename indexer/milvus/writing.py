"""Adding, replacing and removing items of a gallery on a Milvus server.

Every write is one message, read back with strong consistency before it is acknowledged. The
server has no transactions: of two processes that write the same item, the later one wins.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from indexer.incoming import Incoming, Label, write_labels
from indexer.milvus.client import VERIFY
from indexer.milvus.expression import write_in
from indexer.milvus.facts import Facts, State
from indexer.milvus.fields import ITEM_FIELDS, list_fields, name_columns
from indexer.milvus.gallery import MilvusGallery
from indexer.milvus.records import Entity, read_metadata, to_entities, to_table
from indexer.pipeline import split
from indexer.results import Outcome
from indexer.store import make_schema
from indexer.writing import require_stored
from model.errors import StorageError

_IDS_AT_ONCE = 500
Stored = dict[str, dict[str, Any]]


class Plan(NamedTuple):
    """Entities to write, and what becomes of each item."""

    entities: list[Entity]
    outcomes: list[Outcome]


def find_stored(gallery: MilvusGallery, item_ids: Sequence[str]) -> Stored:
    """Read labels and content hash of those of the items that exist."""
    metadata = gallery.manifest.source.metadata
    columns = name_columns(metadata)
    fields = ["item_id", "content_hash", *ITEM_FIELDS, *(columns[n].field for n in metadata)]
    found = gallery.server.find(gallery.collection, "item_id", item_ids, fields, VERIFY)
    return {each["item_id"]: {**each, **read_metadata(each, metadata)} for each in found}


def plan_items(
    gallery: MilvusGallery, incoming: Sequence[Incoming], encoded: pa.Table, stored: Stored
) -> Plan:
    """Say what is to be written; `encoded` has a row for each photo that was decoded."""
    fresh: dict[str, Label] = {}
    relabelled: dict[str, Label] = {}
    outcomes = []
    for entry in incoming:
        item_id, before = entry.item.item_id, stored.get(entry.item.item_id)
        label = entry.label(before, gallery.manifest)
        if entry.loaded is not None and entry.loaded.prepared is not None:
            fresh[item_id] = label
        elif before is not None and label != _read_label(before, gallery):
            relabelled[item_id] = label
        else:
            outcomes.append(Outcome(item_id, "unchanged"))
            continue
        outcomes.append(Outcome(item_id, "updated" if before else "added"))
    tables = [write_labels(encoded, list(fresh.values()))]
    if relabelled:
        old = write_labels(_read_table(gallery, list(relabelled)), list(relabelled.values()))
        tables.append(old)
    return Plan(to_entities(pa.concat_tables(tables), gallery.manifest), outcomes)


def write_items(gallery: MilvusGallery, entities: Sequence[Entity], stored: Stored) -> State:
    """Write, read back and count; returns the state that shows it."""
    removed = {stored[e["item_id"]]["product_id"] for e in entities if e["item_id"] in stored}
    touched = removed | {entity["product_id"] for entity in entities}
    before = _find_products(gallery, touched)
    gallery.server.upsert(gallery.collection, entities)
    ids = [entity["item_id"] for entity in entities]
    found = gallery.server.find(gallery.collection, "item_id", ids, ["item_id", "digest"], VERIFY)
    known = {each["item_id"]: each["digest"] for each in found}
    bad = [each["item_id"] for each in entities if known.get(each["item_id"]) != each["digest"]]
    if bad:
        raise StorageError(
            f"{len(bad)} of {len(entities)} items are not in {gallery.server.address} as they were "
            f"written, such as {bad[0]!r}: another process wrote them too; send them again"
        )
    return _advance(gallery, len(_find_products(gallery, touched)) - len(before))


def remove_items(gallery: MilvusGallery, item_ids: Sequence[str]) -> State:
    """Delete items; ItemNotFoundError when one of them is not there, and nothing is removed."""
    stored = find_stored(gallery, item_ids)
    require_stored(item_ids, stored)
    touched = {each["product_id"] for each in stored.values()}
    before = _find_products(gallery, touched)
    for part in split(item_ids, _IDS_AT_ONCE):
        gallery.server.delete(gallery.collection, write_in("item_id", part))
    left = gallery.server.find(gallery.collection, "item_id", item_ids, ["item_id"], VERIFY)
    if left:
        raise StorageError(
            f"{len(left)} items are still in {gallery.server.address} after they were removed, "
            f"such as {left[0]['item_id']!r}: another process added them; remove them again"
        )
    return _advance(gallery, len(_find_products(gallery, touched)) - len(before))


def _advance(gallery: MilvusGallery, products: int) -> State:
    """Write the next state; its version grows even where the clock does not."""
    facts = Facts(gallery.server, gallery.collection)
    known = facts.read_state(VERIFY)
    version = max(known.version + 1, int(time.time() * 1000))
    state = known.model_copy(update={"version": version, "products": known.products + products})
    facts.write_state(state)
    return state


def _find_products(gallery: MilvusGallery, products: set[str]) -> set[str]:
    """Those of the products that have an item."""
    fields = ["product_id"]
    found = gallery.server.find(gallery.collection, "product_id", sorted(products), fields, VERIFY)
    return {each["product_id"] for each in found}


def _read_table(gallery: MilvusGallery, item_ids: list[str]) -> pa.Table:
    fields = list(list_fields(gallery.manifest))
    found = gallery.server.find(gallery.collection, "item_id", item_ids, fields, VERIFY)
    known = {each["item_id"]: each for each in found}
    require_stored(item_ids, known)
    return to_table([known[item_id] for item_id in item_ids], gallery.manifest)


def _read_label(item: dict[str, Any], gallery: MilvusGallery) -> Label:
    names = gallery.manifest.source.metadata
    return Label(item["product_id"], item["uri"], {name: item[name] for name in names})


def columns_of(gallery: MilvusGallery) -> pa.Schema:
    """The columns that photos are encoded into."""
    return make_schema(gallery.manifest.dims, gallery.manifest.source.metadata)
