"""The fields of a Milvus gallery, the limits of the server, and the index over the vectors.

One entity an item:

    item_id        VARCHAR, primary key      row          INT64, 63 bits of a hash of item_id
    product_id, uri, content_hash  VARCHAR   width, height  INT32
    c0_price ...   a field a metadata column, in order; dates and times as INT64
    nulls          ARRAY<INT8>: which of those columns have no value
    details        VARCHAR: what stage two needs (`indexer.milvus.records`)
    thumbnail      VARCHAR: the JPEG in base64
    digest         VARCHAR: SHA-256 of all that
    recall         FLOAT_VECTOR, what stage one compares

The vector is the only one: a vector among the output fields would cost a second query
inside the server, so the details are a text, and one search returns candidates and tokens.
"""

import hashlib
import math
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from indexer.manifest import Dims, Kind, Manifest
from indexer.milvus.address import Address
from indexer.milvus.expression import Column
from model.errors import GalleryMismatchError, ParameterError

MAX_TEXT_BYTES = 65_535
MAX_ARRAY = 4_096
MAX_DIM = 32_768
MAX_FIELDS = 64
MAX_ID_BYTES = 4_096
# The most that one search may ask for.
MAX_LIMIT = 16_384
ITEM_FIELDS = ("row", "product_id", "uri", "width", "height", "nulls")
VECTOR = "recall"
IndexKind = Literal["auto", "FLAT", "HNSW", "IVF_FLAT", "IVF_SQ8", "GPU_CAGRA"]
EXACT_LIMIT = 50_000
GRAPH_LIMIT = 20_000_000
_TYPES: dict[Kind, str] = {
    "string": "VARCHAR",
    "int": "INT64",
    "float": "DOUBLE",
    "bool": "BOOL",
    "date": "INT64",
    "timestamp": "INT64",
}


class VectorIndex(NamedTuple):
    """An index over the vectors: its kind, and what it is built with."""

    kind: str
    params: Mapping[str, Any]

    def search_params(self, count: int, *, thorough: bool = False) -> dict[str, Any]:
        """What a search for `count` items passes along; thorough: compare all that there is."""
        params: dict[str, Any] = {}
        if self.kind == "HNSW":
            params = {"ef": min(32_768, max(2 * count, 128) * (8 if thorough else 1))}
        elif self.kind.startswith("IVF"):
            cells = int(self.params["nlist"])
            params = {"nprobe": cells if thorough else min(cells, max(8, cells // 8))}
        elif self.kind == "GPU_CAGRA":
            params = {"itopk_size": max(64, 32 * math.ceil(count / 32)) * (4 if thorough else 1)}
        return {"metric_type": "IP", "params": params}


def choose_index(count: int, kind: IndexKind = "auto") -> VectorIndex:
    """Choose the index for a number of items: exact for few, a graph, cells for very many.

    >>> choose_index(1000).kind, choose_index(10**6).kind, choose_index(10**8).kind
    ('FLAT', 'HNSW', 'IVF_SQ8')
    """
    if kind == "auto":
        large: IndexKind = "HNSW" if count <= GRAPH_LIMIT else "IVF_SQ8"
        kind = "FLAT" if count <= EXACT_LIMIT else large
    if kind == "HNSW":
        return VectorIndex(kind, {"M": 24, "efConstruction": 200})
    if kind in ("IVF_FLAT", "IVF_SQ8"):
        return VectorIndex(kind, {"nlist": max(1, min(65_536, int(4 * math.sqrt(count))))})
    if kind == "GPU_CAGRA":
        return VectorIndex(kind, {"intermediate_graph_degree": 64, "graph_degree": 32})
    if kind == "FLAT":
        return VectorIndex(kind, {})
    raise ParameterError(
        f"the index kind is {kind!r}; expected auto, FLAT, HNSW, IVF_FLAT, IVF_SQ8 or GPU_CAGRA"
    )


def to_row(item_id: str) -> int:
    """The row of an item: the same on every machine, without asking one."""
    digest = hashlib.blake2b(item_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def name_columns(metadata: Mapping[str, Kind]) -> dict[str, Column]:
    """The fields of the columns that a filter may name; the server allows ASCII names only.

    >>> name_columns({"dress size": "string"})["dress size"]
    Column(field='c0_dress_size', number=0)
    """
    named = {
        name: Column(f"c{i}_{re.sub(r'[^A-Za-z0-9]', '_', name)[:200]}", i)
        for i, name in enumerate(metadata)
    }
    return {"item_id": Column("item_id"), "product_id": Column("product_id"), **named}


def check_limits(manifest: Manifest, details_chars: int) -> None:
    """Refuse a gallery that no Milvus server takes, before anything is written.

    milvus-lite does not check all of this itself.

    Args:
        manifest: of the gallery.
        details_chars: how long the field `details` becomes.
    """
    dims, columns = manifest.dims, manifest.source.metadata
    if dims.token_bytes is not None:
        raise ParameterError(
            f"the gallery stores tokens as {dims.tokens}, and a gallery on a Milvus server holds "
            "int8 alone; build the index again with --tokens int8 --overwrite"
        )
    if dims.recall_width > MAX_DIM:
        raise ParameterError(
            f"the recall vector has {dims.recall_width:,} numbers, and Milvus takes at most "
            f"{MAX_DIM:,}; use a checkpoint with a narrower one"
        )
    if details_chars > MAX_TEXT_BYTES:
        raise ParameterError(
            f"the tokens of an item ({dims}) come to {details_chars:,} characters, and a field of "
            f"Milvus holds at most {MAX_TEXT_BYTES:,}; use a checkpoint with fewer or narrower "
            "tokens, or keep this gallery in a folder"
        )
    most = MAX_FIELDS - len(list_fixed(dims))
    if len(columns) > most:
        raise ParameterError(
            f"the gallery has {len(columns)} metadata columns, and Milvus takes at most {most} "
            "beside the fields of the gallery; leave some out of the CSV"
        )


def list_fixed(dims: Dims) -> dict[str, dict[str, Any]]:
    """The fields that every gallery has: the type's name, and what belongs to it."""
    text = {"type": "VARCHAR", "max_length": MAX_TEXT_BYTES}
    name = {"type": "VARCHAR", "max_length": MAX_ID_BYTES}
    return {
        "item_id": {**name, "is_primary": True},
        "row": {"type": "INT64"},
        "product_id": name,
        "uri": text,
        "width": {"type": "INT32"},
        "height": {"type": "INT32"},
        "content_hash": {"type": "VARCHAR", "max_length": 128},
        "nulls": {"type": "ARRAY", "element_type": "INT8", "max_capacity": MAX_FIELDS},
        "details": {**text, "mmap_enabled": True},
        "thumbnail": {**text, "mmap_enabled": True},
        "digest": {"type": "VARCHAR", "max_length": 128},
        VECTOR: {"type": "FLOAT_VECTOR", "dim": dims.recall_width},
    }


def list_fields(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """All fields of a gallery in order."""
    fields, columns = list_fixed(manifest.dims), name_columns(manifest.source.metadata)
    vector = fields.pop(VECTOR)
    for name, kind in manifest.source.metadata.items():
        length = {"max_length": MAX_TEXT_BYTES} if kind == "string" else {}
        fields[columns[name].field] = {"type": _TYPES[kind], **length}
    return {**fields, VECTOR: vector}


def make_schema(manifest: Manifest) -> Any:
    """Build the schema that pymilvus takes."""
    from pymilvus import DataType, MilvusClient

    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    for name, said in list_fields(manifest).items():
        kind, *rest = said["type"], {key: said[key] for key in said if key != "type"}
        options = {
            key: DataType[value] if key == "element_type" else value
            for key, value in rest[0].items()
        }
        schema.add_field(name, DataType[kind], **options)
    return schema


def require_schema(address: Address, described: Mapping[str, Any], manifest: Manifest) -> None:
    """Refuse a collection whose fields are not those that its manifest states."""
    found = {field["name"]: field for field in described["fields"]}
    wanted = list_fields(manifest)
    wrong = sorted(set(found) ^ set(wanted))
    wrong += [
        name
        for name, said in wanted.items()
        if name in found
        and (
            found[name]["type"].name != said["type"]
            or int(found[name].get("params", {}).get("dim", 0)) != int(said.get("dim", 0))
        )
    ]
    if wrong:
        raise GalleryMismatchError(
            f"the fields of {address} are not those of this gallery ({', '.join(wrong[:5])}); "
            "another program changed the collection, so copy the gallery again with --overwrite"
        )
