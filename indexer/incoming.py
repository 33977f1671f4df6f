"""Items on their way into a live gallery: checked, decoded and encoded before any lock.

What an item does not say is kept from the item of the same id, so the labels of a row
(product, uri, metadata) are only complete when that item has been read.
"""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from indexer.manifest import Manifest
from indexer.metadata import convert_metadata
from indexer.photos import Photo, to_uri
from indexer.pipeline import Loaded, decode_photo, encode_rows, read_bytes
from indexer.protocols import EncoderLike
from indexer.requests import NewItem
from indexer.token_codec import TokenCodec
from model.errors import ImageError, InputError, ParameterError
from model.images import MAX_PIXELS

MAX_ID_LENGTH = 1024
_DECODERS = 4


class Label(NamedTuple):
    """What a row says about its photo."""

    product_id: str
    uri: str
    metadata: dict[str, Any]


class Incoming(NamedTuple):
    """One item, decoded as far as needed; `loaded` is None when no photo was given."""

    item: NewItem
    metadata: dict[str, Any]
    loaded: Loaded | None
    error: ImageError | None = None

    @property
    def content_hash(self) -> str | None:
        return self.loaded.content_hash if self.loaded else None

    def label(self, stored: Mapping[str, Any] | None, manifest: Manifest) -> Label:
        """Join what the item says with what is stored under its id."""
        names = list(manifest.source.metadata)
        kept = {name: stored[name] if stored else None for name in names}
        product_id = self.item.product_id
        if product_id is None:
            product_id = stored["product_id"] if stored else self.item.item_id
        uri = self._find_uri(stored, Path(manifest.source.photo_root))
        return Label(product_id, uri, {**kept, **self.metadata})

    def _find_uri(self, stored: Mapping[str, Any] | None, root: Path) -> str:
        if self.item.uri is not None:
            return self.item.uri
        if isinstance(self.item.image, Path):
            return to_uri(self.item.image.absolute(), root)
        if stored and self.content_hash in (None, stored["content_hash"]):
            uri: str = stored["uri"]
            return uri
        return f"upload:{self.content_hash}"


def check_items(items: Sequence[NewItem], manifest: Manifest) -> list[dict[str, Any]]:
    """Return the metadata of each item in the gallery's types.

    Raises:
        InputError: an unusable id, or one that is given twice.
        ParameterError: metadata that the gallery has no column for, or of another type.
    """
    require_ids([item.item_id for item in items])
    for item in items:
        for name in ("product_id", "uri"):
            value = getattr(item, name)
            if value is not None:
                _require_text(f"the {name} of item {item.item_id!r}", value)
    kinds = manifest.source.metadata
    return [convert_metadata(item.item_id, item.metadata, kinds) for item in items]


def require_ids(item_ids: Sequence[str]) -> None:
    """Refuse ids that are no text, and ids that are there twice."""
    for item_id in item_ids:
        _require_text("an item id", item_id)
    seen: set[str] = set()
    repeated = sorted({i for i in item_ids if i in seen or seen.add(i)})  # type: ignore[func-returns-value]
    if repeated:
        names = ", ".join(repeated[:10]) + (", ..." if len(repeated) > 10 else "")
        raise InputError(
            f"{len(repeated)} item ids are given twice in one request ({names}); send each id once"
        )


def load_items(
    items: Sequence[NewItem],
    metadata: Sequence[dict[str, Any]],
    known: Mapping[str, str],
    encoder: EncoderLike,
    max_pixels: int = MAX_PIXELS,
) -> list[Incoming]:
    """Read and decode photos; one whose content hash is `known` for its id is not decoded."""

    def load(pair: tuple[NewItem, dict[str, Any]]) -> Incoming:
        item, values = pair
        try:
            loaded = _load(item, known.get(item.item_id), encoder, max_pixels)
        except ImageError as error:
            return Incoming(item, values, None, error)
        return Incoming(item, values, loaded)

    pairs = list(zip(items, metadata, strict=True))
    if len(pairs) == 1:
        return [load(pairs[0])]
    with ThreadPoolExecutor(_DECODERS, thread_name_prefix="items") as pool:
        return list(pool.map(load, pairs))


def require_photos(items: Sequence[NewItem]) -> None:
    """Refuse a new item without a photo."""
    for item in items:
        if item.image is None:
            raise ParameterError(
                f"item {item.item_id!r} comes without a photo; send one, or use replace to "
                "change its metadata only"
            )


def encode_items(
    incoming: Sequence[Incoming],
    encoder: EncoderLike,
    codec: TokenCodec,
    manifest: Manifest,
    schema: pa.Schema,
) -> pa.Table:
    """Encode the decoded ones among the photos; their labels are still to be written."""
    loaded = [
        entry.loaded for entry in incoming if entry.loaded and entry.loaded.prepared is not None
    ]
    return encode_rows(
        encoder,
        codec,
        loaded,
        batch_size=manifest.batch_size,
        schema=schema,
        photo_root=Path(manifest.source.photo_root),
        advance=lambda count: None,
    )


def write_labels(table: pa.Table, labels: Sequence[Label]) -> pa.Table:
    """Put labels into the rows of a table, in their order."""
    columns: dict[str, list[Any]] = {
        "product_id": [label.product_id for label in labels],
        "uri": [label.uri for label in labels],
    }
    for name in labels[0].metadata if labels else ():
        columns[name] = [label.metadata[name] for label in labels]
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        kind = table.schema.field(name)
        table = table.set_column(place, kind, pa.array(values, kind.type))
    return table


def explain_failures(failed: Sequence[Incoming], total: int) -> ImageError:
    """Say in one error which of the photos cannot be used."""
    first = failed[0].error
    if total == 1 and first is not None:
        return first
    reasons = "; ".join(f"{entry.item.item_id}: {entry.error}" for entry in failed[:5])
    return ImageError(
        f"{len(failed)} of {total} photos cannot be used, so nothing was changed ({reasons}); "
        "repair them, or leave atomic out to add the others"
    )


def _load(item: NewItem, known: str | None, encoder: EncoderLike, max_pixels: int) -> Loaded | None:
    if item.image is None:
        return None
    data = read_bytes(item.image) if isinstance(item.image, Path) else item.image
    content_hash = hashlib.sha256(data).hexdigest()
    path = item.image if isinstance(item.image, Path) else Path(item.item_id)
    photo = Photo(0, item.item_id, item.item_id, path)
    if content_hash == known:
        return Loaded(photo, content_hash=content_hash)
    return decode_photo(photo, data, content_hash, encoder, max_pixels)


def _require_text(what: str, value: object) -> None:
    if not isinstance(value, str):
        raise ParameterError(f"{what} is {value!r}; expected text")
    if not 1 <= len(value) <= MAX_ID_LENGTH:
        raise ParameterError(f"{what} has {len(value)} characters; expected 1 to {MAX_ID_LENGTH}")
    if any(sign == "\0" or 0xD800 <= ord(sign) < 0xE000 for sign in value):
        raise ParameterError(
            f"{what} contains a zero or half a surrogate pair ({value[:40]!a}); send Unicode text"
        )
