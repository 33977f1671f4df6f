"""Photos in, table rows out: files are read and decoded while the network works.

A pool of threads reads, hashes, decodes and letterboxes (Pillow lets go of the
GIL there); the caller's thread encodes. The pool runs at most a fixed number of
photos ahead, so memory does not grow with the gallery. Processes are never
forked: FAISS and OpenMP can hang in a child.
"""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from indexer.manifest import Dims
from indexer.photos import Photo, to_uri
from indexer.protocols import EncoderLike
from indexer.token_codec import TokenCodec
from model.errors import ImageError
from model.images import MAX_PIXELS, decode_reduced
from model.preprocessing import needed_side

if TYPE_CHECKING:
    from model.encoder import Encoded

THUMBNAIL_SIDE = 192
MAX_FILE_BYTES = 256_000_000
MAX_WORKERS = 16

T = TypeVar("T")


class Loaded(NamedTuple):
    """One photo on its way; `prepared` is None when its bytes are known already."""

    photo: Photo
    failure: str | None = None
    content_hash: str = ""
    size: tuple[int, int] = (0, 0)
    thumbnail: bytes = b""
    prepared: Any = None


class Loader:
    """Reads photos in their order, `ahead` of the caller, in `workers` threads."""

    def __init__(self, encoder: EncoderLike, workers: int | None = None, ahead: int = 32) -> None:
        self._encoder = encoder
        self._workers = workers or min(os.cpu_count() or 1, MAX_WORKERS)
        self._ahead = max(ahead, self._workers)

    def load_all(self, photos: Iterable[tuple[Photo, str | None]]) -> Generator[Loaded, None, None]:
        """Load (photo, known content hash) pairs; a file with the known hash is not decoded."""
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="photos")
        waiting: deque[Future[Loaded]] = deque()
        entries = iter(photos)
        try:
            for photo, known in islice(entries, self._ahead):
                waiting.append(pool.submit(self._load, photo, known))
            while waiting:
                loaded = waiting.popleft().result()
                for photo, known in islice(entries, 1):
                    waiting.append(pool.submit(self._load, photo, known))
                yield loaded
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _load(self, photo: Photo, known: str | None) -> Loaded:
        if photo.problem:
            return Loaded(photo, photo.problem)
        try:
            data = read_bytes(photo.path)
            content_hash = hashlib.sha256(data).hexdigest()
            if content_hash == known:
                return Loaded(photo, content_hash=content_hash)
            return decode_photo(photo, data, content_hash, self._encoder)
        except ImageError as error:
            return Loaded(photo, str(error))


def decode_photo(
    photo: Photo,
    data: bytes,
    content_hash: str,
    encoder: EncoderLike,
    max_pixels: int = MAX_PIXELS,
) -> Loaded:
    """Bring the bytes of one photo into the form that is encoded; ImageError when they are none."""
    side = max(needed_side(encoder.input_side), needed_side(THUMBNAIL_SIDE))
    image, size = decode_reduced(data, side, max_pixels=max_pixels)
    thumbnail = make_thumbnail(image)
    return Loaded(photo, None, content_hash, size, thumbnail, encoder.prepare(image))


def make_thumbnail(image: Image.Image) -> bytes:
    """Shrink an RGB photo to a small JPEG."""
    small = image.copy()
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BICUBIC, reducing_gap=2.0)
    stream = BytesIO()
    small.save(stream, "JPEG", quality=82)
    return stream.getvalue()


def measure_dims(encoder: EncoderLike) -> Dims:
    """Find the sizes of an encoder's output by encoding one white square."""
    white = encoder.prepare(Image.new("RGB", (64, 64), "white"))
    encoded = encoder.encode([white])
    _, levels, num_tokens, token_dim = encoded.tokens.shape
    return Dims(
        levels=levels,
        num_tokens=num_tokens,
        token_dim=token_dim,
        global_dim=encoded.global_feature.shape[1],
        recall_dim=None if encoder.recall_vector == "global" else encoded.recall.shape[1],
    )


def encode_rows(
    encoder: EncoderLike,
    codec: TokenCodec,
    loaded: Iterable[Loaded],
    *,
    batch_size: int,
    schema: pa.Schema,
    photo_root: Path,
    advance: Callable[[int], None],
) -> pa.Table:
    """Encode photos in batches of `batch_size` and lay the results out as table rows.

    The same sequence always falls into the same batches, because the last bits of
    what a network answers may depend on what else is in the batch.
    """
    batches = []
    for part in split(loaded, batch_size):
        encoded = encoder.encode([entry.prepared for entry in part])
        batches.append(_make_batch(part, encoded, codec.pack(encoded), schema, photo_root))
        advance(len(part))
    return pa.Table.from_batches(batches, schema)


def _make_batch(
    part: Sequence[Loaded],
    encoded: "Encoded",
    packed: dict[str, NDArray[Any]],
    schema: pa.Schema,
    photo_root: Path,
) -> pa.RecordBatch:
    columns: dict[str, Any] = {
        "item_id": [entry.photo.item_id for entry in part],
        "product_id": [entry.photo.product_id for entry in part],
        "uri": [to_uri(entry.photo.path, photo_root) for entry in part],
        "width": [entry.size[0] for entry in part],
        "height": [entry.size[1] for entry in part],
        "global": encoded.global_feature.astype(np.float32),
        "recall": encoded.recall.astype(np.float32),
        **packed,
        "thumbnail": [entry.thumbnail for entry in part],
        "content_hash": [entry.content_hash for entry in part],
    }
    arrays = [
        _to_column(columns[field.name], field)
        if field.name in columns
        else pa.array([entry.photo.metadata.get(field.name) for entry in part], field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _to_column(values: list[Any] | NDArray[Any], field: pa.Field) -> pa.Array:
    if isinstance(values, list):
        return pa.array(values, field.type)
    flat = pa.array(np.ascontiguousarray(values).reshape(-1), field.type.value_type)
    return pa.FixedSizeListArray.from_arrays(flat, type=field.type)


def read_bytes(path: Path) -> bytes:
    """Read a photo's file; what the disk says becomes the reason of this one failure."""
    try:
        if not path.is_file():
            raise ImageError("is not a file" if path.exists() else "no such file")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ImageError(f"the file has more than {MAX_FILE_BYTES // 1_000_000} MB")
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror or error}") from error


def split(entries: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut a sequence into lists of `size`, the last one shorter.

    >>> list(split("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    rest = iter(entries)
    while part := list(islice(rest, size)):
        yield part
