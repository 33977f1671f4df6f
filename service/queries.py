"""Queries of the last minutes: search again by `query_id` without an upload or another encoding.

Photos are kept as they came when they are small, otherwise as a smaller JPEG. They stay in memory,
and only a picture made anew leaves the service: never the file with what it says of its owner.
"""

import io
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from PIL import Image

from indexer.requests import QueryPhoto
from model.images import MAX_PIXELS, Box, decode_image
from service.errors import Refused
from service.settings import Settings

# Larger files are kept as a JPEG of at most this side.
MAX_FILE_BYTES = 4 * 1024 * 1024
KEPT_SIDE = 2048
SHOWN_SIDE = 1600
MAX_BOXES = 8


class Query:
    """The photos of one query, and their encodings (sequences of arrays) by box and checkpoint.

    Attributes:
        id: opaque.
        photos: one to eight files of one garment, without a box.
    """

    def __init__(self, photos: Sequence[bytes]) -> None:
        self.id = secrets.token_urlsafe(16)
        self.photos = tuple(photos)
        self.last_used = time.monotonic()
        self._lock = threading.Lock()
        self._encoded: OrderedDict[tuple[str, Box | None], list[Any]] = OrderedDict()

    def with_box(self, box: Box | None) -> list[QueryPhoto]:
        """Photos to search with; the box is for the first of them."""
        first, *others = self.photos
        return [QueryPhoto(first, box), *map(QueryPhoto, others)]

    def find(self, fingerprint: str, box: Box | None) -> list[Any] | None:
        """Return the encodings by this checkpoint with this box, if they are known."""
        return self._encoded.get((fingerprint, box))

    def remember(self, fingerprint: str, box: Box | None, encoded: list[Any]) -> None:
        """Keep encodings; those of the latest boxes stay."""
        with self._lock:
            self._encoded[fingerprint, box] = encoded
            while len(self._encoded) > MAX_BOXES:
                self._encoded.popitem(last=False)

    @property
    def num_bytes(self) -> int:
        """Bytes of photos and encodings."""
        with self._lock:
            known = list(self._encoded.values())
        arrays = [array for encoded in known for photo in encoded for array in photo]
        return sum(map(len, self.photos)) + sum(int(array.nbytes) for array in arrays)


class QueryCache:
    """Keeps queries for a while, bounded by count and by bytes; safe to use from many threads."""

    def __init__(self, settings: Settings) -> None:
        self.ttl_s = settings.query_ttl_s
        self._max_count = settings.max_queries
        self._max_bytes = settings.query_memory_mb * 1024 * 1024
        self._lock = threading.Lock()
        self._queries: OrderedDict[str, tuple[Query, int]] = OrderedDict()
        self._num_bytes = 0

    def __len__(self) -> int:
        return len(self._queries)

    @property
    def num_bytes(self) -> int:
        """Bytes of all queries."""
        return self._num_bytes

    def keep(self, query: Query) -> bool:
        """Keep a query, or keep it longer; the longest unused ones make room.

        False for one that is too large to be kept at all.
        """
        size, now = query.num_bytes, time.monotonic()
        query.last_used = now
        with self._lock:
            self._drop(query.id)
            self._queries[query.id] = query, size
            self._num_bytes += size
            while self._queries and self._is_too_much(now):
                self._drop(next(iter(self._queries)))
            return query.id in self._queries

    def get(self, query_id: str) -> Query:
        """Return a query; Refused with 410 when it has expired or never was."""
        with self._lock:
            found = self._queries.get(query_id)
            if found and time.monotonic() - found[0].last_used > self.ttl_s:
                self._drop(query_id)
                found = None
        if found is None:
            raise Refused(
                410,
                "query_gone",
                f"The query is not kept any more ({self.ttl_s} s after its last use, or sooner "
                "under load); send the photo again.",
            )
        return found[0]

    def _is_too_much(self, now: float) -> bool:
        oldest = next(iter(self._queries.values()))[0]
        is_old = now - oldest.last_used > self.ttl_s
        return is_old or len(self._queries) > self._max_count or self._num_bytes > self._max_bytes

    def _drop(self, query_id: str) -> None:
        _, size = self._queries.pop(query_id, (None, 0))
        self._num_bytes -= size


def shrink(data: bytes, max_pixels: int = MAX_PIXELS) -> bytes:
    """Return a small file as it is, a large one as a JPEG of at most 2048 pixels a side."""
    if len(data) <= MAX_FILE_BYTES:
        return data
    return to_jpeg(data, KEPT_SIDE, max_pixels)


def to_jpeg(data: bytes, side: int = SHOWN_SIDE, max_pixels: int = MAX_PIXELS) -> bytes:
    """Make an upright JPEG anew, at most `side` pixels wide and high: nothing else is in it."""
    photo = decode_image(data, max_pixels=max_pixels)
    photo.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    Image.frombytes("RGB", photo.size, photo.tobytes()).save(stream, "JPEG", quality=90)
    return stream.getvalue()
