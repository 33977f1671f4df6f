"""How a living gallery comes by its state: opened whole, or caught up with what others did."""

from pathlib import Path
from typing import NamedTuple

from indexer.attribute_cache import EmbeddingCache
from indexer.attributes import read_attributes
from indexer.checkpoint import EncoderSource
from indexer.derive import ProductCounter, find_changes, is_far_behind, open_recall
from indexer.files import ReaderLease
from indexer.gallery import lease_newest, require_fingerprint, require_schema
from indexer.live_types import LiveOptions
from indexer.manifest import Manifest
from indexer.snapshot import Generation, Snapshot
from indexer.store import Store
from indexer.token_loading import load_at_once
from indexer.tokens import stage_two_columns


class Opened(NamedTuple):
    """The newest state, and the products counted in it."""

    snapshot: Snapshot
    products: ProductCounter


def open_newest(
    root: Path, plan: EncoderSource, options: LiveOptions, before: Generation | None = None
) -> Opened:
    """Open the newest state as a whole; the encoder of `before` is used again where it fits."""
    manifest, lease = lease_newest(root)
    try:
        generation = _make_generation(root, manifest, lease, plan, before)
        store = Store.open(manifest.files(root).dataset)
        require_schema(store, manifest)
        recall = open_recall(root, manifest, store, options.exact_limit)
        if options.device.startswith("cuda"):
            recall.move_to_gpu()
        tokens = load_at_once(store, generation, options)
        attributes = read_attributes(manifest.files(root).attributes, manifest.fingerprint)
        cache = EmbeddingCache(options.attribute_budget_mb)
        snapshot = Snapshot(generation, store, recall, tokens, attributes, cache)
        return Opened(snapshot, ProductCounter(store))
    except BaseException:
        lease.close()
        raise


def catch_up(
    opened: Opened, root: Path, plan: EncoderSource, options: LiveOptions
) -> Opened | None:
    """Return the state with what other processes committed; None when there was nothing."""
    snapshot = opened.snapshot
    generation, since = snapshot.generation, snapshot.store.version
    if Manifest.load(root) != generation.manifest:
        return open_newest(root, plan, options, generation)
    newest = snapshot.store.find_newest_version()
    if newest == since:
        return None
    store = snapshot.store.branch_newest()
    if newest < since or is_far_behind(store, since):
        return open_newest(root, plan, options, generation)
    return _advance(opened, store, options) or open_newest(root, plan, options, generation)


def _advance(opened: Opened, store: Store, options: LiveOptions) -> Opened | None:
    """Add what changed up to `store`; None when the result would not be what is stored."""
    before, products = opened
    dims = before.manifest.dims
    columns = {"product_id", dims.recall_column, *stage_two_columns(dims)}
    since = before.store.version
    changes = find_changes(store, since, before.recall_index.rows(), sorted(columns))
    removed = before.store.take(changes.replaced.tolist(), ["product_id"])["product_id"]
    names = {
        "added": changes.items["product_id"].to_pylist(),
        "removed": removed.to_pylist(),
    }
    count = products.preview(**names)
    snapshot = before.advance(store, changes, count, options.token_budget_mb)
    if len(snapshot.recall_index) != len(snapshot):
        return None
    products.update(**names)
    return Opened(snapshot, products)


def _make_generation(
    root: Path,
    manifest: Manifest,
    lease: ReaderLease,
    plan: EncoderSource,
    before: Generation | None,
) -> Generation:
    if before is not None and before.manifest.fingerprint == manifest.fingerprint:
        return Generation(root, manifest, before.encoder, lease)
    encoder = plan.load(manifest.files(root).checkpoint)
    require_fingerprint(root, manifest, encoder.fingerprint)
    return Generation(root, manifest, encoder, lease)
