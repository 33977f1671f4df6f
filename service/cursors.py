"""Cursors: the next page of a search, on the gallery version of the first.

A cursor is opaque to clients but no secret: it says nothing that its holder could not ask for.
"""

import base64
import binascii
import zlib

from pydantic import BaseModel, ConfigDict, ValidationError

from indexer.requests import SearchRequest
from indexer.results import MAX_CANDIDATES, SearchResult
from model.errors import ParameterError
from model.images import Box
from service.options import PageOptions

_MAX_CURSOR = 100_000
_MAX_TEXT = 1_000_000


class Cursor(BaseModel):
    """Where a search goes on.

    Attributes:
        version: of the gallery.
        query_id, box: the photo; or item_id.
        options: of the search, with its offset.
        is_stage_one: the pages before were not re-ranked, so this one is not either.
    """

    model_config = ConfigDict(extra="forbid")

    version: int
    query_id: str | None = None
    box: Box | None = None
    item_id: str | None = None
    options: PageOptions
    is_stage_one: bool = False

    def write(self) -> str:
        """Write it as a text for URLs and forms."""
        plain = self.model_dump_json(exclude_defaults=True).encode()
        return base64.urlsafe_b64encode(zlib.compress(plain)).decode().rstrip("=")


def read_cursor(text: str) -> Cursor:
    """Read what `Cursor.write` wrote; ParameterError for anything else."""
    try:
        if len(text) > _MAX_CURSOR:
            raise ValueError("too long")
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        plain = zlib.decompressobj().decompress(packed, _MAX_TEXT)
        return Cursor.model_validate_json(plain)
    except (binascii.Error, zlib.error, ValidationError, ValueError):
        raise ParameterError(
            f"cursor is {text[:20]!r}..., which is none; send `cursor` exactly as an answer gave "
            "it, or search again from the first page"
        ) from None


def make_cursor(
    found: SearchResult,
    request: SearchRequest,
    options: PageOptions,
    *,
    query_id: str | None = None,
    box: Box | None = None,
    item_id: str | None = None,
) -> str | None:
    """Write the cursor of the page after this one; None where there is none."""
    end = request.offset + request.k
    # Where a least confidence leaves hits out, a short page is not the last one.
    is_full = len(found.hits) == request.k or request.min_confidence is not None
    is_known = query_id is not None or item_id is not None
    if not is_full or not is_known or end >= min(MAX_CANDIDATES, found.gallery.items):
        return None
    fields = {name: getattr(options, name) for name in PageOptions.model_fields}
    # The size of the blocks that are re-ranked, and of their heads, decides the order: later
    # pages keep both.
    page = {"offset": end, "k": min(request.k, MAX_CANDIDATES - end)}
    sizes = {"candidates": request.block, "aligned": request.num_aligned}
    # Not validated once more, for every search makes one: all of it was checked when it came in.
    cursor = Cursor.model_construct(
        version=found.gallery.version,
        query_id=query_id,
        box=box,
        item_id=item_id,
        options=PageOptions.model_construct(**{**fields, **page, **sizes}),
        is_stage_one=not found.reranked,
    )
    return cursor.write()
