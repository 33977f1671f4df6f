"""What belongs to a gallery and is no item, in a small collection beside it.

Files lie there in pieces: the manifest, the checkpoint, attributes, and the gallery's state.
So a service needs nothing but the address.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from indexer.manifest import Manifest
from indexer.milvus.client import SERVE, VERIFY
from indexer.milvus.expression import write_in
from indexer.milvus.fields import MAX_TEXT_BYTES, VECTOR, VectorIndex, choose_index
from indexer.milvus.server import FACTS, Server
from model.errors import StorageError

MANIFEST = "manifest.json"
CHECKPOINT = "checkpoint.safetensors"
ATTRIBUTES = "attributes/"
STATE = "state.json"
PIECE = 3 * (MAX_TEXT_BYTES // 4)
# Milvus wants a vector in every collection.
_NO_VECTOR = [1.0, 0.0]


class State(BaseModel):
    """What changes with every write.

    version: milliseconds since 1970 of the last write; it grows with every change.
    since: the version with which this collection was published, 0 until then.
    products: how many distinct ones.
    """

    model_config = ConfigDict(frozen=True)

    version: int
    since: int = 0
    products: int = 0
    index_kind: str = "FLAT"
    index_params: dict[str, Any] = {}

    @property
    def index(self) -> VectorIndex:
        """The index over the vectors."""
        return VectorIndex(self.index_kind, self.index_params)


class Facts:
    """The files beside one collection."""

    def __init__(self, server: Server, collection: str) -> None:
        self._server, self._name = server, collection + FACTS

    def create(self) -> None:
        """Make room for them."""
        from pymilvus import DataType, MilvusClient

        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("piece", DataType.VARCHAR, is_primary=True, max_length=512)
        schema.add_field("file", DataType.VARCHAR, max_length=512)
        schema.add_field("number", DataType.INT64)
        schema.add_field("pieces", DataType.INT64)
        schema.add_field("sha256", DataType.VARCHAR, max_length=64)
        schema.add_field("data", DataType.VARCHAR, max_length=MAX_TEXT_BYTES)
        schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=len(_NO_VECTOR))
        self._server.create(self._name, schema, choose_index(1), rows=False)

    def exists(self) -> bool:
        """Say whether there is room for them."""
        return self._name in self._server.list_collections()

    def write(self, file: str, data: bytes) -> None:
        """Write a file; a shorter one leaves no pieces of a longer one behind."""
        parts = [data[start : start + PIECE] for start in range(0, max(1, len(data)), PIECE)]
        digest = hashlib.sha256(data).hexdigest()
        self._server.upsert(
            self._name,
            [
                {
                    "piece": f"{file}#{number}",
                    "file": file,
                    "number": number,
                    "pieces": len(parts),
                    "sha256": digest,
                    "data": base64.b64encode(part).decode(),
                    VECTOR: _NO_VECTOR,
                }
                for number, part in enumerate(parts)
            ],
        )
        rest = f"{write_in('file', [file])} and number >= {len(parts)}"
        self._server.delete(self._name, rest)

    def read(self, file: str, consistency: str = VERIFY) -> bytes | None:
        """Read a file, None where there is none; StorageError when it is not whole."""
        pieces = dict[int, dict[str, Any]]()
        wanted, total = write_in("file", [file]), 1
        while len(pieces) < total:
            start = len(pieces)
            some = f"{wanted} and number >= {start} and number < {start + 100}"
            fields = ["number", "pieces", "sha256", "data"]
            found = self._server.query(self._name, some, fields, consistency)
            if not found and not pieces:
                return None
            if not found:
                break
            total = found[0]["pieces"]
            pieces.update((each["number"], each) for each in found if each["number"] < total)
        data = b"".join(base64.b64decode(pieces[i]["data"]) for i in sorted(pieces))
        if hashlib.sha256(data).hexdigest() != pieces[min(pieces)]["sha256"]:
            raise StorageError(
                f"{file} of {self._server.address} is damaged or was not written to its end; copy "
                "the gallery again with --overwrite"
            )
        return data

    def list_files(self) -> list[str]:
        """Name the files."""
        found = self._server.query(self._name, "number == 0", ["file"], VERIFY)
        return sorted(each["file"] for each in found)

    def read_manifest(self) -> Manifest:
        """Read the manifest; StorageError when it is missing or damaged."""
        data = self.read(MANIFEST)
        try:
            return Manifest.model_validate_json(data or b"")
        except ValidationError as error:
            raise StorageError(
                f"the manifest of {self._server.address} is missing, damaged or of a newer "
                "program; copy the gallery again with --overwrite"
            ) from error

    def read_state(self, consistency: str = SERVE) -> State:
        """Read the state; StorageError when it is missing or damaged."""
        data = self.read(STATE, consistency)
        try:
            return State.model_validate_json(data or b"")
        except ValidationError as error:
            raise StorageError(
                f"the state of {self._server.address} is missing or damaged; copy the gallery "
                "again with --overwrite"
            ) from error

    def write_state(self, state: State) -> None:
        """Write the state: one piece, so at once."""
        self.write(STATE, state.model_dump_json().encode())

    def write_files(self, files: Mapping[str, bytes]) -> None:
        """Write several files."""
        for name, data in files.items():
            self.write(name, data)
