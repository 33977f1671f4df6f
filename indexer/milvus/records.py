"""Items on their way into Milvus and back: rows of the dataset, entities of the server.

n items, L levels, M tokens a level, d token width, D width of the global feature.

`details` is one text: base64 of int8 tokens (L*M*d), float16 scales (L*M), geometry
(L*M*6 bytes), and the global feature (D float32) where stage one compares another vector.
VARCHAR and not ARRAY: it holds six times as much, and a search that returns 100 of them was
faster (docs/scale.md). Base64 costs a third more bytes; Milvus has no field for plain bytes.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from indexer.codec import GEOMETRY_BYTES
from indexer.manifest import Dims, Kind, Manifest
from indexer.milvus.expression import to_stored
from indexer.milvus.fields import MAX_ID_BYTES, MAX_TEXT_BYTES, VECTOR, name_columns, to_row
from indexer.protocols import TokenBlock
from indexer.results import Item
from indexer.store import make_schema
from indexer.token_codec import Int8Codec
from indexer.tokens import read_arrays, to_matrix
from model.errors import ParameterError, StorageError

Entity = dict[str, Any]
_EMPTY: dict[Kind, Any] = {
    "string": "", "int": 0, "float": 0.0, "bool": False, "date": 0, "timestamp": 0,
}  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COPIED = ("item_id", "product_id", "uri", "width", "height", "content_hash")


class Sizes(NamedTuple):
    """Bytes of each part of `details`."""

    tokens: int
    scales: int
    geometry: int
    whole: int

    @classmethod
    def of(cls, dims: Dims) -> "Sizes":
        count = dims.levels * dims.num_tokens
        whole = 0 if dims.recall_dim is None else 4 * dims.global_dim
        return cls(count * dims.token_dim, 2 * count, count * GEOMETRY_BYTES, whole)

    @property
    def chars(self) -> int:
        """Length of the text."""
        return 4 * -(-sum(self) // 3)


def to_entities(table: pa.Table | pa.RecordBatch, manifest: Manifest) -> list[Entity]:
    """Turn rows of the dataset (`indexer.store.make_schema`) into entities.

    Raises:
        ParameterError: a text or a thumbnail that is longer than a field of Milvus.
    """
    if not table.num_rows:
        return []
    dims, columns = manifest.dims, name_columns(manifest.source.metadata)
    parts = [array.reshape(len(array), -1) for array in read_arrays(table, dims)]
    parts[1] = parts[1].astype(np.float16)
    vectors = to_matrix(table[dims.recall_column], dims.recall_width)
    names = [*_COPIED, "thumbnail", *manifest.source.metadata]
    entities = []
    for i, item in enumerate(table.select(names).to_pylist()):
        entity = {name: item[name] for name in _COPIED}
        entity["row"] = to_row(item["item_id"])
        values = [(columns[n], k, item[n]) for n, k in manifest.source.metadata.items()]
        entity["nulls"] = [c.number for c, _, value in values if value is None]
        for column, kind, value in values:
            entity[column.field] = _EMPTY[kind] if value is None else to_stored(value)
        entity["details"] = _encode(b"".join(part[i].tobytes() for part in parts))
        entity["thumbnail"] = _encode(item["thumbnail"])
        entity[VECTOR] = np.ascontiguousarray(vectors[i], np.float32)
        _check_lengths(entity)
        entities.append(seal(entity))
    return entities


def seal(entity: Entity) -> Entity:
    """Put the digest of everything else into an entity."""
    entity["digest"] = compute_digest(entity)
    return entity


def compute_digest(entity: Mapping[str, Any]) -> str:
    """Hex SHA-256 of all fields but the digest itself."""
    plain = {name: entity[name] for name in entity if name not in ("digest", VECTOR)}
    plain["nulls"] = list(plain["nulls"])
    text = json.dumps(plain, sort_keys=True, ensure_ascii=False)
    found = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    found.update(np.asarray(entity[VECTOR], np.float32).tobytes())
    return found.hexdigest()


def is_whole(entity: Mapping[str, Any]) -> bool:
    """Say whether an entity that was read in full is what was written."""
    return bool(entity["digest"] == compute_digest(entity))


def to_item(entity: Mapping[str, Any], metadata: Mapping[str, Kind]) -> Item:
    """Read an item without its vectors."""
    values = read_metadata(entity, metadata)
    return Item(
        item_id=entity["item_id"],
        product_id=entity["product_id"],
        uri=entity["uri"],
        metadata=values,
        width=entity["width"],
        height=entity["height"],
    )


def read_metadata(entity: Mapping[str, Any], metadata: Mapping[str, Kind]) -> dict[str, Any]:
    """Read the metadata of an entity in the types of its columns."""
    columns, without = name_columns(metadata), set(entity["nulls"])
    return {
        name: None
        if columns[name].number in without
        else _from_stored(entity[columns[name].field], kind)
        for name, kind in metadata.items()
    }


def to_tokens(details: Sequence[str], dims: Dims) -> TokenBlock:
    """Read what stage two needs of n items, in their order."""
    return Int8Codec().to_block(split_details(details, dims))


def split_details(details: Sequence[str], dims: Dims) -> tuple[NDArray[Any], ...]:
    """Codes (n, L, M, d), scales (n, L, M), geometry (n, L, M, 6), and global features (n, D).

    The last only where stage one compares another vector.
    """
    sizes, per_token = Sizes.of(dims), (dims.levels, dims.num_tokens)
    table = np.frombuffer(b"".join(_decode(text, sum(sizes)) for text in details), np.uint8)
    table = table.reshape(len(details), sum(sizes))
    codes, scales, geometry, whole = np.split(table, np.cumsum(sizes[:3]), axis=1)
    arrays = (
        np.ascontiguousarray(codes).view(np.int8).reshape(-1, *per_token, dims.token_dim),
        np.ascontiguousarray(scales).view(np.float16).reshape(-1, *per_token),
        np.ascontiguousarray(geometry).reshape(-1, *per_token, GEOMETRY_BYTES),
    )
    return (*arrays, np.ascontiguousarray(whole).view(np.float32)) if sizes.whole else arrays


def to_table(entities: Sequence[Entity], manifest: Manifest) -> pa.Table:
    """Turn entities that were read in full into rows of the dataset."""
    dims = manifest.dims
    schema = make_schema(dims, manifest.source.metadata)
    codes, scales, geometry, *whole = split_details([e["details"] for e in entities], dims)
    vectors = np.array([entity[VECTOR] for entity in entities], np.float32)
    metadata = [read_metadata(entity, manifest.source.metadata) for entity in entities]
    columns: dict[str, Any] = {name: [e[name] for e in entities] for name in _COPIED}
    columns |= {name: [m[name] for m in metadata] for name in manifest.source.metadata}
    columns |= {"tokens": codes, "token_scales": scales, "geometry": geometry}
    columns |= {"thumbnail": [base64.b64decode(e["thumbnail"]) for e in entities]}
    columns |= {"recall": vectors, "global": whole[0]} if whole else {"global": vectors}
    return pa.table([_to_column(columns[field.name], field) for field in schema], schema=schema)


def _to_column(values: Any, field: pa.Field) -> pa.Array:
    if isinstance(values, list):
        return pa.array(values, field.type)
    flat = pa.array(np.ascontiguousarray(values).reshape(-1), field.type.value_type)
    return pa.FixedSizeListArray.from_arrays(flat, type=field.type)


def _from_stored(value: Any, kind: Kind) -> Any:
    if kind == "date":
        return date(1970, 1, 1) + timedelta(days=value)
    if kind == "timestamp":
        return (_EPOCH + timedelta(microseconds=value)).replace(tzinfo=None)
    return value


def _decode(text: str, num_bytes: int) -> bytes:
    try:
        data = base64.b64decode(text)
    except ValueError:
        data = b""
    if len(data) != num_bytes:
        raise StorageError(
            "the tokens of an item in Milvus are damaged or have another size than those of its "
            "gallery; copy the gallery again with --overwrite"
        )
    return data


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _check_lengths(entity: Entity) -> None:
    for name, value in entity.items():
        most = MAX_ID_BYTES if name in ("item_id", "product_id") else MAX_TEXT_BYTES
        if isinstance(value, str) and len(value) > most // 4 and len(value.encode()) > most:
            raise ParameterError(
                f"{name} of item {entity['item_id']!r} has {len(value.encode()):,} bytes, and the "
                f"field of Milvus holds at most {most:,}; shorten it in the gallery first"
            )
