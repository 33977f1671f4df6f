"""A new attribute from examples: items of the gallery, or photos, each with its value.

The network stays as it is, and no item is encoded again.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from indexer.attribute_cache import unpack_block
from indexer.attribute_files import check_name
from indexer.gallery import EmbeddedGallery
from indexer.protocols import EncoderLike
from model.attributes.heads import AttributeHeads, learn_attribute
from model.errors import GalleryMismatchError, ImageError, ItemNotFoundError, ParameterError
from model.images import decode_image

MAX_EXAMPLES = 2000
_AT_ONCE = 8


def learn_from_items(
    gallery: EmbeddedGallery, name: str, examples: Mapping[str, str]
) -> AttributeHeads:
    """Learn an attribute from items and their values, in about a second.

    Args:
        gallery: that holds the items.
        name: of the new attribute.
        examples: value by item id; 4 to 2,000, about 20 to be useful.

    Raises:
        ParameterError: a name that is taken or unfit, too few or too many examples, one value
            only.
        ItemNotFoundError: lists the ids that are not there.
        GalleryMismatchError: the gallery has no attributes of its checkpoint.
    """
    base = _require(gallery, name, len(examples))
    rows = gallery.find_rows_of(list(examples))
    missing = [item_id for item_id in examples if item_id not in rows]
    if missing:
        names = ", ".join(missing[:10]) + (", ..." if len(missing) > 10 else "")
        raise ItemNotFoundError(
            f"the gallery has no item of {len(missing)} of these ids ({names}); nothing was "
            "learned, so correct the list and try again"
        )
    block = gallery.read_tokens(np.array([rows[item_id] for item_id in examples], np.int64))
    source = f"{len(examples)} items of this gallery, marked by a person"
    return learn_attribute(name, *unpack_block(block), list(examples.values()), base, source=source)


def learn_from_photos(
    gallery: EmbeddedGallery,
    encoder: EncoderLike,
    name: str,
    examples: Mapping[Path, str],
) -> AttributeHeads:
    """Learn an attribute from photos that need not be in the gallery, and their values.

    Raises as `learn_from_items` does, and:
        ImageError: a photo cannot be read.
        GalleryMismatchError: the encoder's checkpoint did not make the gallery.
    """
    base = _require(gallery, name, len(examples))
    gallery.require_fingerprint(encoder.fingerprint)
    prepared = [encoder.prepare(_read(path)) for path in examples]
    parts = []
    for start in range(0, len(prepared), _AT_ONCE):
        encoded: Any = encoder.encode(prepared[start : start + _AT_ONCE])
        parts.append((encoded.tokens, encoded.mass, encoded.geometry))
    tokens, mass, geometry = (np.concatenate(each) for each in zip(*parts, strict=True))
    source = f"{len(examples)} photos, marked by a person"
    return learn_attribute(
        name, tokens, mass, geometry, list(examples.values()), base, source=source
    )


def _require(gallery: EmbeddedGallery, name: str, count: int) -> AttributeHeads:
    """Check what can be before anything is read; return the heads to learn beside."""
    check_name(name, gallery.attributes)
    if count > MAX_EXAMPLES:
        raise ParameterError(
            f"{name!r} has {count} examples; expected at most {MAX_EXAMPLES}, of which about 20 "
            "a value are useful"
        )
    base = gallery.attributes.find_base()
    if base is None:
        raise GalleryMismatchError(
            f"{gallery.root} has no attributes of its checkpoint, and a new one is learned beside "
            "them; bring them with `python -m indexer build ... --attributes FILE`, which "
            "encodes nothing again (`python -m model attributes train` makes such a file)"
        )
    if count == 0:
        raise ParameterError(f"{name!r} has no examples; name items or photos with their values")
    return base


def _read(path: Path) -> Any:
    try:
        return decode_image(path.read_bytes())
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror}); check the path") from error
    except ImageError as error:
        raise type(error)(f"{path}: {error}") from error
