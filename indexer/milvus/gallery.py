"""The gallery on a Milvus server: one search there returns candidates and their tokens.

`MilvusGallery` is a collection as one process saw it at one version. The server keeps no
past states: what is written later shows in it within seconds.
"""

import base64
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from indexer.attribute_cache import EmbeddingCache, Embeddings
from indexer.attributes import AttributeSet
from indexer.codec import unpack_geometry, unpack_mass, unpack_tokens
from indexer.filters import read_condition
from indexer.manifest import Dims, Manifest
from indexer.milvus.client import SERVE
from indexer.milvus.expression import write_expression, write_in
from indexer.milvus.facts import State
from indexer.milvus.fields import ITEM_FIELDS, MAX_LIMIT, VECTOR, name_columns
from indexer.milvus.records import Entity, split_details, to_item, to_tokens
from indexer.milvus.server import Server
from indexer.protocols import Recalled, Selection, TokenBlock
from indexer.results import GalleryStamp, Item
from model.errors import ItemNotFoundError, ParameterError, StorageError

if TYPE_CHECKING:
    from model.encoder import Encoded

# What recall brought along is read again a moment later: 128 MB of it at most.
KEPT_BYTES = 128_000_000
# A search by attributes compares every item, in the memory of this process.
MAX_ATTRIBUTE_ITEMS = 1_000_000


class MilvusGallery:
    """One collection, to search. Safe to use from many threads."""

    def __init__(
        self,
        server: Server,
        collection: str,
        manifest: Manifest,
        state: State,
        count: int,
        attributes: AttributeSet | None = None,
    ) -> None:
        self.server, self.collection = server, collection
        self.manifest, self.state = manifest, state
        self.attributes = attributes or AttributeSet()
        self._count = count
        self._columns = name_columns(manifest.source.metadata)
        self._recalled = _Latest(KEPT_BYTES)
        self._embeddings = EmbeddingCache()

    @property
    def stamp(self) -> GalleryStamp:
        """Say which state this is."""
        return GalleryStamp(self.state.version, self._count, self.manifest.fingerprint)

    def __len__(self) -> int:
        return self._count

    def at(self, state: State, count: int) -> "MilvusGallery":
        """The same collection at another version."""
        parts = (self.server, self.collection, self.manifest, state, count, self.attributes)
        return MilvusGallery(*parts)

    def recall(
        self, vectors: NDArray[np.float32], count: int, selection: Selection | None = None
    ) -> list[Recalled]:
        """Find the `count` nearest items of each of the (B, R) recall vectors, best first."""
        queries = np.ascontiguousarray(np.atleast_2d(vectors), dtype=np.float32)
        if queries.shape[1] != self._dims.recall_width:
            raise ParameterError(
                f"a query has {queries.shape[1]} values, the gallery {self._dims.recall_width}; "
                "encode it with the gallery's own checkpoint"
            )
        count, expression = min(count, MAX_LIMIT), _write_selection(selection)
        if selection and selection.condition is None and selection.inside:
            count = min(count, len(selection.rows))
        if count < 1 or not self._count:
            return [Recalled(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
        # Rows are asked for by those who score them: none may be missed.
        by_rows = selection is not None and selection.condition is None and selection.inside
        found = self._search(queries, count, expression, thorough=by_rows)
        if self.state.index.kind != "FLAT" and not by_rows:
            few = [i for i, each in enumerate(found) if len(each.rows) < min(count, self._count)]
            if few:
                more = self._search(queries[few], count, expression, thorough=True)
                for i, each in zip(few, more, strict=True):
                    found[i] = each
        return found

    def narrow(self, sql: str) -> Selection:
        """The items for which an SQL condition holds, left to the server to find."""
        return Selection(np.empty(0, np.int64), inside=True, condition=self._translate(sql))

    def rows(self) -> NDArray[np.int64]:
        """All rows, ascending."""
        return self._scan_rows("")

    def find_rows(self, sql: str) -> NDArray[np.int64]:
        """Find the rows for which an SQL condition holds, ascending."""
        return self._scan_rows(self._translate(sql))

    def embed_items(self, name: str, until: float | None = None) -> Embeddings:
        """What all items look like to an attribute; ParameterError when it is unknown.

        AttributePendingError when it is not there by `until`, on the clock of `time.monotonic`.
        """
        heads = self.attributes.find(name)
        if self._count > MAX_ATTRIBUTE_ITEMS:
            raise ParameterError(
                f"the gallery has {self._count:,} items, and a search by attributes reads the "
                f"tokens of all of them: at most {MAX_ATTRIBUTE_ITEMS:,} on a Milvus server; "
                "leave the attributes out"
            )
        return self._embeddings.read(name, heads, self.state.version, self, until)

    def read_tokens(self, rows: NDArray[np.int64]) -> TokenBlock:
        """Read what stage two needs of these rows, in their order."""
        return to_tokens([each["details"] for each in self._read(rows, "details")], self._dims)

    def read_items(self, rows: NDArray[np.int64]) -> list[Item]:
        """Read ids and metadata of these rows, in their order."""
        kinds = self.manifest.source.metadata
        return [to_item(each, kinds) for each in self._read(rows, "product_id")]

    def find_row(self, item_id: str) -> int:
        """Find the row of one item; ItemNotFoundError when there is none."""
        found = self._find_item(item_id, ["item_id", *self._item_fields])
        # Newer than what a search brought along.
        self._recalled.put([found])
        return int(found["row"])

    def read_encoded(self, row: int) -> "Encoded":
        """Read one stored item back as an encoding of one image (B = 1)."""
        from model.encoder import Encoded  # torch is slow to load, and only this needs it

        fields = ["row", "details", VECTOR]
        [found] = self._order(np.array([row]), self.server.find(
            self.collection, "row", [row], fields, SERVE))  # fmt: skip
        codes, scales, geometry, *whole = split_details([found["details"]], self._dims)
        vector = np.array([found[VECTOR]], np.float32)
        return Encoded(
            global_feature=whole[0] if whole else vector,
            tokens=unpack_tokens(codes, scales),
            mass=unpack_mass(geometry),
            geometry=unpack_geometry(geometry),
            recall=vector,
        )

    def read_thumbnail(self, item_id: str) -> bytes:
        """Read the small JPEG of one item; ItemNotFoundError when there is none."""
        return base64.b64decode(self._find_item(item_id, ["thumbnail"])["thumbnail"])

    def num_products(self) -> int:
        """Count the distinct products."""
        return self.state.products

    def metadata_columns(self) -> dict[str, str]:
        """Name the metadata columns and their kinds."""
        return dict(self.manifest.source.metadata)

    def close(self) -> None:
        """Forget what was read; the connection is closed by whoever opened it."""
        self._recalled.clear()

    @property
    def _dims(self) -> Dims:
        return self.manifest.dims

    @property
    def _item_fields(self) -> list[str]:
        names = self.manifest.source.metadata
        return [*ITEM_FIELDS, *(self._columns[name].field for name in names)]

    def _search(
        self, queries: NDArray[np.float32], count: int, expression: str, *, thorough: bool
    ) -> list[Recalled]:
        fields = ["item_id", *self._item_fields, "details"]
        params = self.state.index.search_params(count, thorough=thorough)
        answers = self.server.search(self.collection, queries, count, expression, fields, params)
        found = []
        for hits in answers:
            entities = [dict(hit["entity"]) for hit in hits]
            for hit, entity in zip(hits, entities, strict=True):
                # Servers differ in where they put the key.
                entity.setdefault("item_id", hit.get("item_id", hit.get("id")))
            self._recalled.put(entities)
            rows = np.array([entity["row"] for entity in entities], np.int64)
            scores = np.clip(np.array([hit["distance"] for hit in hits], np.float32), -1, 1)
            order = np.lexsort((rows, -scores))
            found.append(Recalled(rows[order], scores[order]))
        return found

    def _read(self, rows: NDArray[np.int64], needed: str) -> list[Entity]:
        """Entities of these rows in their order: from the last searches, or from the server."""
        wanted = [int(row) for row in rows]
        known = {
            row: entity for row, entity in self._recalled.find(wanted).items() if needed in entity
        }
        missing = list(dict.fromkeys(row for row in wanted if row not in known))
        if missing:
            fields = ["item_id", *self._item_fields]
            fields += ["details"] if needed == "details" else []
            found = self.server.find(self.collection, "row", missing, fields, SERVE)
            known |= {entity["row"]: entity for entity in self._order(missing, found)}
        return [known[row] for row in wanted]

    def _order(self, rows: Sequence[int] | NDArray[Any], found: list[Entity]) -> list[Entity]:
        """What was found for each row; StorageError for none, and for two items of one row."""
        by_row = {entity["row"]: entity for entity in found}
        if len(by_row) != len(found):
            raise StorageError(
                f"{self.server.address} has two items of one row; copy the gallery again with "
                "--overwrite"
            )
        missing = [row for row in rows if int(row) not in by_row]
        if missing:
            raise StorageError(
                f"{self.server.address} lacks {len(missing)} of the {len(rows)} items asked for: "
                "they were removed in between; search again"
            )
        return [by_row[int(row)] for row in rows]

    def _find_item(self, item_id: str, fields: list[str]) -> Entity:
        some = write_in("item_id", [item_id])
        found = self.server.query(self.collection, some, fields, SERVE)
        if not found:
            raise ItemNotFoundError(
                f"the gallery has no item {item_id!r}; ids are as `python -m indexer search` "
                "prints them"
            )
        return found[0]

    def _translate(self, sql: str) -> str:
        kinds = {"item_id": "string", "product_id": "string", **self.metadata_columns()}
        any_pattern = self.server.understands_patterns
        return write_expression(read_condition(sql, kinds), self._columns, any_pattern=any_pattern)

    def _scan_rows(self, expression: str) -> NDArray[np.int64]:
        pages = self.server.scan(self.collection, expression, ["row"], batch_size=10_000)
        parts = [np.array([each["row"] for each in page], np.int64) for page in pages]
        return np.sort(np.concatenate([np.empty(0, np.int64), *parts]))


class _Latest:
    """Entities of the latest searches, by row."""

    def __init__(self, max_bytes: int) -> None:
        self._most, self._size = max_bytes, 0
        self._known: OrderedDict[int, Entity] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, entities: Sequence[Entity]) -> None:
        with self._lock:
            for entity in entities:
                self._forget(self._known.pop(int(entity["row"]), None))
                self._known[int(entity["row"])] = entity
                self._size += _measure(entity)
            while self._size > self._most:
                self._forget(self._known.popitem(last=False)[1])

    def find(self, rows: Sequence[int]) -> dict[int, Entity]:
        with self._lock:
            return {row: self._known[row] for row in rows if row in self._known}

    def clear(self) -> None:
        with self._lock:
            self._known.clear()
            self._size = 0

    def _forget(self, entity: Entity | None) -> None:
        self._size -= 0 if entity is None else _measure(entity)


def _measure(entity: Entity) -> int:
    return len(entity.get("details", "")) + 1000


def _write_selection(selection: Selection | None) -> str:
    if selection is None:
        return ""
    if selection.condition is not None:
        return selection.condition
    if not len(selection.rows):
        return "" if not selection.inside else write_in("item_id", [""])
    inside = write_in("row", selection.rows.tolist())
    return inside if selection.inside else f"not ({inside})"
