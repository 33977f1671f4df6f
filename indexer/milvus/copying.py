"""Moving a gallery between a folder and a Milvus server, item by item, and checking each.

Nothing is encoded again. A copy that was killed goes on with the items that are missing; a
gallery on a server appears with its alias, one in a folder with its manifest, at the very end.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexer.attributes import read_attributes
from indexer.derive import count_products
from indexer.files import storage_errors
from indexer.gallery import lease_newest, require_schema
from indexer.manifest import Manifest
from indexer.milvus.address import Address
from indexer.milvus.client import VERIFY
from indexer.milvus.facts import ATTRIBUTES, CHECKPOINT, MANIFEST, Facts, State
from indexer.milvus.fields import (
    IndexKind,
    check_limits,
    choose_index,
    make_schema,
)
from indexer.milvus.records import Entity, Sizes, compute_digest, to_entities
from indexer.milvus.server import Server
from indexer.progress import Progress, Silent
from indexer.store import Store
from model.errors import GalleryExistsError, StorageError

# Items read, written and compared together.
BATCH = 500


@dataclass(frozen=True)
class CopyReport:
    """What a copy did. `copied` counts this run; `verified` were compared with their originals."""

    source: str
    target: str
    items: int
    copied: int
    removed: int
    verified: int
    products: int
    fingerprint: str
    index_kind: str
    seconds: float


def copy_to_milvus(
    source: Path,
    target: Address,
    *,
    overwrite: bool = False,
    drop_old: bool = False,
    index_kind: IndexKind = "auto",
    progress: Progress | None = None,
) -> CopyReport:
    """Copy an index folder to a Milvus server, or finish a copy that was interrupted.

    Args:
        source: the folder; changes to it meanwhile are not seen.
        target: the new gallery. With `overwrite` it may exist: it is searched until the new one
            is complete, then the alias moves.
        overwrite: replace the gallery, and throw an unfinished copy of another one away.
        drop_old: delete the replaced collection at once. Otherwise it stays until the next copy,
            so that services on it have time to follow.
        index_kind: of the index over the vectors; auto chooses by the number of items.
        progress: of the copy.

    Raises:
        ParameterError: the gallery is more than a Milvus server takes.
        GalleryExistsError: there is a gallery, or an unfinished copy of another one.
        GalleryError: the source is no index, or the target another program's collection.
        StorageError: the server does not answer, refuses, or did not keep what was written.
    """
    started, watch = time.perf_counter(), progress or Silent()
    manifest, lease = lease_newest(source)
    try:
        store = Store.open(manifest.files(source).dataset)
        require_schema(store, manifest)
        check_limits(manifest, Sizes.of(manifest.dims).chars)
        server = Server(target)
        try:
            copy = _Copy(source, manifest, store, server, watch)
            return copy.run(overwrite, drop_old, index_kind, started)
        finally:
            server.close()
    finally:
        lease.close()


class _Copy:
    """One run towards one new collection."""

    def __init__(
        self, source: Path, manifest: Manifest, store: Store, server: Server, watch: Progress
    ) -> None:
        self._source, self._manifest, self._store = source, manifest, store
        self._server, self._watch = server, watch

    def run(
        self, overwrite: bool, drop_old: bool, index_kind: IndexKind, started: float
    ) -> CopyReport:
        server, items = self._server, self._store.count()
        collection = self._find_unfinished(overwrite) or self._begin(index_kind, items)
        copied, rows = self._write_items(collection)
        server.flush(collection)
        removed = self._remove_others(collection, rows)
        verified = self._verify(collection)
        products = count_products(self._store)
        facts, version = Facts(server, collection), int(time.time() * 1000)
        state = facts.read_state(VERIFY).model_copy(
            update={"version": version, "since": version, "products": products}
        )
        facts.write_state(state)
        server.publish(collection)
        self._drop_older(collection, keep_last=not drop_old)
        return CopyReport(
            source=str(self._source),
            target=str(server.address),
            items=items,
            copied=copied,
            removed=removed,
            verified=verified,
            products=products,
            fingerprint=self._manifest.fingerprint,
            index_kind=state.index_kind,
            seconds=round(time.perf_counter() - started, 3),
        )

    def _find_unfinished(self, overwrite: bool) -> str | None:
        """The collection that an interrupted copy of this gallery left."""
        server, address = self._server, self._server.address
        published = server.find_alias()
        if published is None and address.collection in server.list_collections():
            server.find_published()  # says that it is another program's
        if published is not None and not overwrite:
            raise GalleryExistsError(
                f"there is a gallery at {address}; replace it with --overwrite (it is searched "
                "until the new one is complete), or choose another name"
            )
        names = self._list()
        for name in names[names.index(published) + 1 if published else 0 :]:
            if self._is_ours(name):
                return name
            if not overwrite:
                raise GalleryExistsError(
                    f"an unfinished copy of another gallery is at {address}; throw it away with "
                    "--overwrite, or choose another name"
                )
            server.drop(name)
        return None

    def _list(self) -> list[str]:
        server = self._server
        numbers = server.list_generations()
        return sorted((server.name_generation(n) for n in numbers), key=lambda n: (len(n), n))

    def _is_ours(self, collection: str) -> bool:
        facts = Facts(self._server, collection)
        if not facts.exists():
            return False
        data = facts.read(MANIFEST)
        return data is not None and data == self._describe()

    def _describe(self) -> bytes:
        return self._manifest.model_dump_json(indent=1).encode()

    def _begin(self, index_kind: IndexKind, items: int) -> str:
        """Create the collection; its manifest, written last, makes it one to go on with."""
        server = self._server
        collection = server.name_generation(max(server.list_generations(), default=0) + 1)
        index = choose_index(items, index_kind)
        server.create(collection, make_schema(self._manifest), index)
        facts = Facts(server, collection)
        facts.create()
        facts.write_files(self._read_files())
        facts.write_state(State(version=0, index_kind=index.kind, index_params=dict(index.params)))
        facts.write(MANIFEST, self._describe())
        return collection

    def _read_files(self) -> dict[str, bytes]:
        """The checkpoint and the attributes of the source."""
        files = self._manifest.files(self._source)
        found = {}
        if files.checkpoint.exists():
            found[CHECKPOINT] = _read(files.checkpoint)
        known = read_attributes(files.attributes, self._manifest.fingerprint)
        found |= {ATTRIBUTES + name: _read(file.path) for name, file in known.files.items()}
        return found

    def _scan(self) -> Iterator[list[Entity]]:
        for batch in self._store.scan(self._store.schema.names, batch_size=BATCH):
            yield to_entities(batch, self._manifest)

    def _write_items(self, collection: str) -> tuple[int, Any]:
        """Write what the collection lacks; returns how many, and the rows of all."""
        self._watch.begin("Copying items", self._store.count())
        copied, parts = 0, [np.empty(0, np.int64)]
        resumed = self._server.count(collection, VERIFY) > 0
        for entities in self._scan():
            rows = [entity["row"] for entity in entities]
            parts.append(np.array(rows, np.int64))
            known = self._read_digests(collection, rows) if resumed else {}
            new = [e for e in entities if known.get(e["item_id"]) != e["digest"]]
            self._server.upsert(collection, new)
            copied += len(new)
            self._watch.advance(len(entities))
        rows_of_all = np.concatenate(parts)
        if len(np.unique(rows_of_all)) != len(rows_of_all):
            raise StorageError(
                "two items of the gallery have the same 63-bit row, as one in 10,000 galleries of "
                "40 million items has; give one of them another id"
            )
        return copied, rows_of_all

    def _read_digests(self, collection: str, rows: list[int]) -> dict[str, str]:
        found = self._server.find(collection, "row", rows, ["item_id", "digest"], VERIFY)
        return {each["item_id"]: each["digest"] for each in found}

    def _remove_others(self, collection: str, rows: Any) -> int:
        """Delete what an earlier run copied and the source does not have any more."""
        if self._server.count(collection, VERIFY) == len(rows):
            return 0
        known, removed = np.sort(rows), 0
        for page in self._server.scan(collection, "", ["row"], batch_size=10_000):
            found = np.array([each["row"] for each in page], np.int64)
            gone = found[~np.isin(found, known)].tolist()
            if gone:
                self._server.delete(collection, f"row in {gone}")
            removed += len(gone)
        return removed

    def _verify(self, collection: str) -> int:
        """Read every item back with strong consistency, and compare all its fields."""
        self._watch.begin("Verifying items", self._store.count())
        compared = 0
        for entities in self._scan():
            ids = [entity["item_id"] for entity in entities]
            fields = list(entities[0])
            found = self._server.find(collection, "item_id", ids, fields, VERIFY)
            known = {each["item_id"]: compute_digest(each) for each in found}
            bad = [e["item_id"] for e in entities if known.get(e["item_id"]) != e["digest"]]
            if bad:
                raise StorageError(
                    f"{len(bad)} items of {self._server.address} are not what was written, such as "
                    f"{bad[0]!r}; run the same `python -m indexer copy` again"
                )
            compared += len(entities)
            self._watch.advance(len(entities))
        if self._server.count(collection, VERIFY) != compared:
            raise StorageError(
                f"{self._server.address} holds {self._server.count(collection, VERIFY):,} items, "
                f"and {compared:,} were copied: another process writes to it; wait, and run the "
                "same command again"
            )
        return compared

    def _drop_older(self, published: str, *, keep_last: bool) -> None:
        """Delete replaced collections; the last of them stays for those who still search it."""
        older = [name for name in self._list() if name != published]
        for name in older[: -1 if keep_last else None]:
            self._server.drop(name)


def _read(path: Path) -> bytes:
    with storage_errors(path, "reading"):
        return path.read_bytes()
