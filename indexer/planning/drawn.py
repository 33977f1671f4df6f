"""Galleries of any size without photos: random vectors and tokens, through the real writer.

What is stored is laid out by `encode_rows`, committed by `Store` and indexed by
`build_recall`, as a build does; only photos and network are left out. Ids and recall vectors
are each item's own; everything else repeats after 2,048 items, which changes no cost. Recall
vectors lie around centres, so that cells (IVF) have something to find.

n items, L levels, M tokens a level, d token width, D and R global and recall width.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from indexer.checkpoint import copy_checkpoint
from indexer.derive import build_recall
from indexer.manifest import Dims, Manifest, Source, get_time, get_tool_version
from indexer.photos import Photo
from indexer.pipeline import Loaded, encode_rows, make_thumbnail
from indexer.recall import EXACT_LIMIT
from indexer.store import ROWS_PER_FILE, Store, make_schema
from indexer.token_codec import Int8Codec
from model.encoder import Encoded, Encoder
from model.runtime.choice import draw_probes

# Different items; and items to a centre.
_DISTINCT = 2048
_PER_CENTRE = 100
_PER_PRODUCT = 4
# Length of the noise around a centre of length 1.
_NOISE = 0.7
_THUMBNAILS = 16


class Written(NamedTuple):
    """Seconds of each step of writing a gallery; drawing the items is none of them."""

    commit_s: float
    tidy_s: float
    recall_s: float

    @property
    def seconds(self) -> float:
        return sum(self)


class RandomEncoder:
    """Answers like a checkpoint's encoder, at random: the same seed, the same gallery."""

    def __init__(self, dims: Dims, count: int, seed: int = 0) -> None:
        self._dims, self._rng = dims, np.random.default_rng(seed)
        centres = max(1, count // _PER_CENTRE)
        self._centres = _to_unit(self._draw(centres, dims.recall_width))

    def encode(self, prepared: Sequence[Any]) -> Encoded:
        """As many encodings as there are photos; what the photos are makes no difference."""
        n, dims = len(prepared), self._dims
        per_token = (n, dims.levels, dims.num_tokens)
        recall = self.draw_recall(n)
        own = recall if dims.recall_dim is None else _to_unit(self._draw(n, dims.global_dim))
        return Encoded(
            global_feature=own,
            tokens=_to_unit(self._draw(*per_token, dims.token_dim)),
            mass=np.full(per_token, 1 / dims.num_tokens, np.float32),
            geometry=self._rng.random((*per_token, 5), np.float32),
            recall=recall,
        )

    def draw_recall(self, count: int) -> NDArray[np.float32]:
        """Draw (count, R) unit vectors around the gallery's centres."""
        around = self._centres[self._rng.integers(0, len(self._centres), count)]
        noise = self._draw(count, self._dims.recall_width)
        return _to_unit(around + _NOISE / self._dims.recall_width**0.5 * noise)

    def _draw(self, *shape: int) -> NDArray[np.float32]:
        return self._rng.standard_normal(shape, np.float32)


def write_gallery(
    root: Path,
    count: int,
    checkpoint: Path,
    dims: Dims,
    *,
    seed: int = 0,
    exact_limit: int = EXACT_LIMIT,
) -> Written:
    """Write an index folder of `count` random items that belongs to a checkpoint."""
    root.mkdir(parents=True)
    encoder = Encoder.from_checkpoint(checkpoint, "cpu")
    manifest = _describe(encoder, dims, count)
    files = manifest.files(root)
    copy_checkpoint(checkpoint, files.checkpoint)
    schema = make_schema(dims, {})
    store = Store.create(files.dataset, schema)
    chunks, spent = _draw_rows(dims, count, schema, seed), 0.0
    while chunk := list(islice(chunks, ROWS_PER_FILE // _DISTINCT)):
        table = pa.Table.from_batches(chunk, schema)
        spent += _clock(partial(store.append, table))
    tidying = _clock(store.tidy)
    start = time.perf_counter()
    recall = build_recall(manifest, store, exact_limit)
    recall.save(files, store.version, manifest.fingerprint)
    manifest.save(root)
    return Written(spent, tidying, time.perf_counter() - start)


def draw_thumbnails(count: int = _THUMBNAILS) -> list[bytes]:
    """Small JPEGs of drawn pictures, of the size that photos have."""
    pictures = draw_probes(384, count).numpy()
    grain = np.random.default_rng(0).normal(0, 4, pictures.shape)
    pictures = (pictures + grain).clip(0, 255).astype(np.uint8)
    return [make_thumbnail(Image.fromarray(picture)) for picture in pictures]


def count_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _draw_rows(dims: Dims, count: int, schema: pa.Schema, seed: int) -> Iterator[pa.RecordBatch]:
    """All rows in batches: the first as a build makes them, the others with new ids and vectors."""
    random = RandomEncoder(dims, count, seed)
    first = encode_rows(
        random,  # type: ignore[arg-type]
        Int8Codec(),
        _list_photos(min(count, _DISTINCT)),
        batch_size=_DISTINCT,
        schema=schema,
        photo_root=Path("/"),
        advance=lambda _: None,
    ).to_batches()[0]
    column = dims.recall_column
    for start in range(0, count, _DISTINCT):
        numbers = range(start, min(start + _DISTINCT, count))
        vectors = random.draw_recall(len(numbers)).reshape(-1)
        new = {
            "item_id": pa.array([_name(number) for number in numbers]),
            "product_id": pa.array([f"p{number // _PER_PRODUCT:07}" for number in numbers]),
            column: pa.FixedSizeListArray.from_arrays(vectors, type=schema.field(column).type),
        }
        old = first.slice(0, len(numbers))
        columns = [new.get(name, old[name]) for name in schema.names]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _list_photos(count: int) -> Iterator[Loaded]:
    thumbnails = draw_thumbnails()
    for number in range(count):
        photo = Photo(number, _name(number), "", Path(_name(number)))
        digest = hashlib.sha256(photo.item_id.encode()).hexdigest()
        yield Loaded(photo, None, digest, (750, 1101), thumbnails[number % len(thumbnails)])


def _name(number: int) -> str:
    return f"{number:08}.jpg"


def _describe(encoder: Encoder, dims: Dims, count: int) -> Manifest:
    return Manifest(
        fingerprint=encoder.fingerprint,
        weights=encoder.weights,
        trained_for_retrieval=encoder.trained_for_retrieval,
        checkpoint_sha256=None,
        recipe={"random": count},
        dims=dims,
        recall=encoder.recall_vector,
        source=Source(path="random", photo_root="/", num_photos=count, digest="random"),
        chunk_size=ROWS_PER_FILE,
        batch_size=_DISTINCT,
        created=get_time(),
        tool_version=get_tool_version(),
    )


def _to_unit(x: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = x / np.linalg.norm(x, axis=-1, keepdims=True)
    return unit


def _clock(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start
