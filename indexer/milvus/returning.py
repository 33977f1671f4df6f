"""Copying a gallery from a Milvus server back into a folder."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from indexer.derive import build_recall
from indexer.files import IndexFiles, lock_for_writing, storage_errors, write_atomic
from indexer.gallery import require_schema as require_columns
from indexer.manifest import FORMAT_VERSION, Manifest
from indexer.milvus.address import Address
from indexer.milvus.copying import BATCH, CopyReport
from indexer.milvus.facts import ATTRIBUTES, CHECKPOINT, Facts
from indexer.milvus.fields import list_fields
from indexer.milvus.gallery import MilvusGallery
from indexer.milvus.opening import open_gallery
from indexer.milvus.records import Entity, is_whole, to_entities, to_table
from indexer.milvus.server import Server
from indexer.progress import Progress, Silent
from indexer.staging import refuse_foreign
from indexer.store import Store, make_schema
from model.errors import GalleryExistsError, GalleryMismatchError, StorageError


def copy_from_milvus(
    source: Address, target: Path, *, progress: Progress | None = None
) -> CopyReport:
    """Copy a gallery on a Milvus server into a new index folder, or finish doing so.

    What changes on the server meanwhile may be missing; run it while nobody writes.

    Raises:
        GalleryExistsError: the folder is an index already, or holds other files.
        GalleryError: there is no gallery, or the folder an unfinished copy of another one.
        StorageError: the server does not answer, an item is damaged, or the disk is full.
    """
    started, watch = time.perf_counter(), progress or Silent()
    with storage_errors(target, "creating"):
        target.mkdir(parents=True, exist_ok=True)
    with lock_for_writing(target):
        refuse_foreign(target)
        if (target / "manifest.json").exists():
            raise GalleryExistsError(
                f"{target} is an index already; choose a new folder for the copy"
            )
        server = Server(source)
        try:
            gallery = open_gallery(server)
            manifest = gallery.manifest.model_copy(
                update={"generation": 1, "base_version": 0, "format_version": FORMAT_VERSION}
            )
            store = _open_store(target, manifest)
            copied = _write_items(gallery, store, watch)
            verified = _verify(gallery, store, manifest, watch)
            _write_files(gallery, IndexFiles(target))
            store.tidy()
            recall = build_recall(manifest, store)
            recall.save(manifest.files(target), store.version, manifest.fingerprint)
            manifest.save(target)
        finally:
            server.close()
    return CopyReport(
        source=str(source),
        target=str(target),
        items=store.count(),
        copied=copied,
        removed=0,
        verified=verified,
        products=recall.products,
        fingerprint=manifest.fingerprint,
        index_kind="FLAT" if recall.is_exact else "IVF_FLAT",
        seconds=round(time.perf_counter() - started, 3),
    )


def _open_store(target: Path, manifest: Manifest) -> Store:
    path = manifest.files(target).dataset
    if not Store.exists(path):
        return Store.create(path, make_schema(manifest.dims, manifest.source.metadata))
    store = Store.open(path)
    try:
        require_columns(store, manifest)
    except StorageError as error:
        raise GalleryMismatchError(
            f"{target} holds an unfinished index of another gallery; choose a new folder"
        ) from error
    return store


def _scan(gallery: MilvusGallery) -> Iterator[list[Entity]]:
    fields = list(list_fields(gallery.manifest))
    for page in gallery.server.scan(gallery.collection, "", fields, batch_size=BATCH):
        bad = [entity["item_id"] for entity in page if not is_whole(entity)]
        if bad:
            raise StorageError(
                f"{len(bad)} items of {gallery.server.address} are damaged, such as {bad[0]!r}; "
                "add their photos again, or restore the server's data"
            )
        yield page


def _write_items(gallery: MilvusGallery, store: Store, watch: Progress) -> int:
    watch.begin("Copying items", len(gallery))
    copied = 0
    for page in _scan(gallery):
        known = _read_digests(store, gallery.manifest, [each["item_id"] for each in page])
        new = [each for each in page if known.get(each["item_id"]) != each["digest"]]
        if new:
            write = store.upsert if known else store.append
            write(to_table(new, gallery.manifest))
        copied += len(new)
        watch.advance(len(page))
    return copied


def _read_digests(store: Store, manifest: Manifest, item_ids: list[str]) -> dict[str, str]:
    """Digests of those of the items that the folder has, computed from what it has."""
    if not store.count():
        return {}
    table = store.find(item_ids, store.schema.names).drop_columns(["_rowid"])
    if not len(table):
        return {}
    return {each["item_id"]: each["digest"] for each in to_entities(table, manifest)}


def _verify(gallery: MilvusGallery, store: Store, manifest: Manifest, watch: Progress) -> int:
    """Read every item of the folder, and compare it with the server's digest of it."""
    watch.begin("Verifying items", store.count())
    compared = 0
    for batch in store.scan(store.schema.names, batch_size=BATCH):
        entities = to_entities(batch, manifest)
        ids = [entity["item_id"] for entity in entities]
        found = gallery.server.find(gallery.collection, "item_id", ids, ["item_id", "digest"])
        known: dict[str, Any] = {each["item_id"]: each["digest"] for each in found}
        bad = [e["item_id"] for e in entities if known.get(e["item_id"]) != e["digest"]]
        if bad:
            raise StorageError(
                f"{len(bad)} items were changed or removed on {gallery.server.address} while it "
                f"was copied, such as {bad[0]!r}; copy into a new folder while nobody writes"
            )
        compared += len(entities)
        watch.advance(len(entities))
    return compared


def _write_files(gallery: MilvusGallery, files: IndexFiles) -> None:
    facts = Facts(gallery.server, gallery.collection)
    for name in facts.list_files():
        if name == CHECKPOINT:
            _write(files.checkpoint, facts.read(name) or b"")
        elif name.startswith(ATTRIBUTES):
            with storage_errors(files.attributes, "creating"):
                files.attributes.mkdir(exist_ok=True)
            _write(files.attributes / name.removeprefix(ATTRIBUTES), facts.read(name) or b"")


def _write(path: Path, data: bytes) -> None:
    write_atomic(path, lambda temporary: _write_bytes(temporary, data))


def _write_bytes(path: Path, data: bytes) -> None:
    path.write_bytes(data)
