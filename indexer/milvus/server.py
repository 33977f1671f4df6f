"""What a gallery asks of its Milvus server, with a time limit and a sentence for each refusal.

A gallery `shop` is an alias. Behind it is the collection `shop__1`, and after the gallery was
copied anew `shop__2`: the alias moves in one step, so there is no moment without a gallery.
What belongs to a collection and is no item lies beside it in `shop__1_facts`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from indexer.milvus.address import Address
from indexer.milvus.client import (
    CALL_TIMEOUT_S,
    SERVE,
    VERIFY,
    connect,
    find_version,
    milvus_errors,
)
from indexer.milvus.expression import write_in
from indexer.milvus.fields import VECTOR, VectorIndex
from model.errors import GalleryMismatchError, GalleryNotFoundError

FACTS = "_facts"
# Of one message to or from the server; the limit of gRPC there is 64 MB or more.
MESSAGE_BYTES = 16_000_000
LOAD_TIMEOUT_S = 3600.0
Answer = TypeVar("Answer")


class Server:
    """One server, for the galleries of one name. Safe to use from many threads."""

    def __init__(self, address: Address) -> None:
        """Connect; GalleryError or StorageError says why that fails."""
        self.address = address
        self.client = connect(address)
        self.version = find_version(self.client, address)

    @property
    def understands_patterns(self) -> bool:
        """Whether LIKE takes any pattern, and not `text%` alone."""
        return self.address.is_lite or self.version >= (2, 4)

    def find_published(self) -> str:
        """The collection that the alias names.

        Raises:
            GalleryNotFoundError: there is none, or its copy is not finished.
            GalleryMismatchError: a collection of that name that is no gallery.
        """
        name = self.address.collection
        published = self.find_alias()
        if published is not None:
            return published
        if name in self.list_collections():
            raise GalleryMismatchError(
                f"{self.address} is a collection of another program; choose another name in the "
                "address"
            )
        if self.list_generations():
            raise GalleryNotFoundError(
                f"the copy to {self.address} is not finished; run the same `python -m indexer "
                "copy` again to complete it"
            )
        raise GalleryNotFoundError(
            f"there is no gallery at {self.address}; make one with `python -m indexer copy "
            f"--from DIR --to {self.address}`"
        )

    def find_alias(self) -> str | None:
        """The collection behind the alias, None where there is no alias."""
        for number in reversed(self.list_generations()):
            collection = self.name_generation(number)
            said = self._call("asking", partial(_list_aliases, collection))
            if self.address.collection in said.get("aliases", []):
                return collection
        return None

    def list_generations(self) -> list[int]:
        """Numbers of the collections of this gallery, oldest first, finished or not."""
        pattern = re.compile(re.escape(self.address.collection) + r"__(\d+)")
        found = (pattern.fullmatch(name) for name in self.list_collections())
        return sorted(int(match[1]) for match in found if match)

    def name_generation(self, number: int) -> str:
        """The collection of one generation."""
        return f"{self.address.collection}__{number}"

    def list_collections(self) -> list[str]:
        """All collections of the database."""
        return list(self._call("asking", lambda c: c.list_collections()))

    def publish(self, collection: str) -> None:
        """Let the alias name this collection from here on."""
        alias = self.address.collection
        if self.find_alias() is None:
            self._call("publishing", lambda c: c.create_alias(collection, alias))
        else:
            self._call("publishing", lambda c: c.alter_alias(collection, alias))

    def create(self, collection: str, schema: Any, index: VectorIndex, rows: bool = True) -> None:
        """Create a collection with its index, and load it."""
        from pymilvus import MilvusClient

        params = MilvusClient.prepare_index_params()
        params.add_index(VECTOR, index_type=index.kind, metric_type="IP", params=dict(index.params))
        if rows and not self.address.is_lite:
            params.add_index("row", index_type="STL_SORT")
        self._call(
            "creating",
            lambda c: c.create_collection(
                collection,
                schema=schema,
                index_params=params,
                consistency_level=SERVE,
                timeout=LOAD_TIMEOUT_S,
            ),
        )

    def drop(self, collection: str) -> None:
        """Delete a collection and its facts."""
        # The facts first: without them, what is left is nothing to go on with.
        for name in (collection + FACTS, collection):
            self._call("deleting", partial(_drop, name))

    def load(self, collection: str) -> None:
        """Bring a collection into the server's memory, where it is not."""
        self._call("loading", lambda c: c.load_collection(collection, timeout=LOAD_TIMEOUT_S))

    def describe(self, collection: str) -> dict[str, Any]:
        """Fields and settings of a collection."""
        said: dict[str, Any] = self._call("asking", lambda c: c.describe_collection(collection))
        return said

    def search(
        self,
        collection: str,
        vectors: Any,
        limit: int,
        expression: str,
        fields: Sequence[str],
        params: Mapping[str, Any],
    ) -> Any:
        """Find the nearest entities of each vector."""
        return self._call(
            "searching in",
            lambda c: c.search(
                collection,
                data=list(vectors),
                anns_field=VECTOR,
                limit=limit,
                filter=expression,
                output_fields=list(fields),
                search_params=dict(params),
                consistency_level=SERVE,
                timeout=CALL_TIMEOUT_S,
            ),
        )

    def query(
        self, collection: str, expression: str, fields: Sequence[str], consistency: str = SERVE
    ) -> list[dict[str, Any]]:
        """Read the entities for which an expression holds; at most some thousands."""
        found = self._call(
            "reading",
            lambda c: c.query(
                collection,
                filter=expression,
                output_fields=list(fields),
                consistency_level=consistency,
                timeout=CALL_TIMEOUT_S,
            ),
        )
        return [dict(each) for each in found]

    def find(
        self,
        collection: str,
        field: str,
        values: Sequence[str | int],
        fields: Sequence[str],
        consistency: str = SERVE,
        at_once: int = 500,
    ) -> list[dict[str, Any]]:
        """Read the entities of which a field is one of these values, a part at a time."""
        found = []
        for start in range(0, len(values), at_once):
            some = write_in(field, list(values[start : start + at_once]))
            found += self.query(collection, some, fields, consistency)
        return found

    def count(self, collection: str, consistency: str = SERVE) -> int:
        """Count the entities."""
        [said] = self.query(collection, "", ["count(*)"], consistency)
        return int(said["count(*)"])

    def scan(
        self, collection: str, expression: str, fields: Sequence[str], batch_size: int = 500
    ) -> Iterator[list[dict[str, Any]]]:
        """Walk all entities for which an expression holds, in the order of the key."""
        pages = self._call(
            "reading",
            lambda c: c.query_iterator(
                collection,
                batch_size=batch_size,
                filter=expression,
                output_fields=list(fields),
                consistency_level=VERIFY,
                timeout=CALL_TIMEOUT_S,
            ),
        )
        try:
            while page := self._call("reading", lambda c: pages.next()):
                yield [dict(each) for each in page]
        finally:
            pages.close()

    def upsert(self, collection: str, entities: Sequence[Mapping[str, Any]]) -> None:
        """Write entities, replacing those of the same key, a message at a time."""
        for part in split_bytes(entities):
            rows = [{**each, VECTOR: list(map(float, each[VECTOR]))} for each in part]
            self._call("writing to", partial(_upsert, collection, rows))

    def delete(self, collection: str, expression: str) -> None:
        """Delete the entities for which an expression holds."""
        self._call(
            "writing to",
            lambda c: c.delete(collection, filter=expression, timeout=CALL_TIMEOUT_S),
        )

    def flush(self, collection: str) -> None:
        """Bring what was written into the server's store."""
        self._call("writing to", lambda c: c.flush(collection, timeout=LOAD_TIMEOUT_S))

    def close(self) -> None:
        """Close the connection."""
        with milvus_errors(self.address, "closing"):
            self.client.close()

    def _call(self, doing: str, ask: Callable[[Any], Answer]) -> Answer:
        with milvus_errors(self.address, doing):
            return ask(self.client)


def _list_aliases(collection: str, client: Any) -> Any:
    return client.list_aliases(collection)


def _drop(collection: str, client: Any) -> None:
    client.drop_collection(collection, timeout=CALL_TIMEOUT_S)


def _upsert(collection: str, rows: list[dict[str, Any]], client: Any) -> None:
    client.upsert(collection, rows, timeout=CALL_TIMEOUT_S)


def split_bytes(entities: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Cut entities into messages of at most `MESSAGE_BYTES`, by what their texts and vectors take.

    >>> [len(part) for part in split_bytes([{"recall": [0.0], "text": "x" * 9_000_000}] * 3)]
    [1, 1, 1]
    """
    part: list[Mapping[str, Any]] = []
    size = 0
    for entity in entities:
        texts = sum(len(value) for value in entity.values() if isinstance(value, str))
        more = texts + 4 * len(entity[VECTOR]) + 200
        if part and size + more > MESSAGE_BYTES:
            yield part
            part, size = [], 0
        part.append(entity)
        size += more
    if part:
        yield part
