"""Photos as framed squares, read ahead by threads and kept in memory while there is room.

ASEN++ sees photos without any augmentation, so a photo that was read once need not be
read again.

N photos, S pixels a side of a framed photo, T triplets of a batch.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from model.attributes.asen.config import Framing
from model.attributes.records import Labelled
from model.attributes.sampler import Triplets
from model.data.reading import read_photo
from model.errors import ParameterError
from model.preprocessing import Preprocessing, prepare

CACHE_BYTES = 2_000_000_000


class LoadedTriplets(NamedTuple):
    """pixels: (3 T, 3, S, S) uint8, all anchors, then positives, then negatives."""

    pixels: Tensor
    batch: Triplets


def frame_photo(image: Image.Image, framing: Framing, side: int) -> NDArray[np.uint8]:
    """Bring an RGB photo to (S, S, 3) uint8: its middle square, or all of it on white.

    >>> frame_photo(Image.new("RGB", (200, 100)), "crop", 64).shape
    (64, 64, 3)
    """
    if framing == "letterbox":
        return prepare(image, Preprocessing(image_size=side)).pixels
    width, height = image.size
    short = min(width, height)
    left, top = (width - short) / 2, (height - short) / 2
    square = (left, top, left + short, top + short)
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, box=square))


class PhotoStore:
    """Framed photos by their index; safe for several threads."""

    def __init__(
        self,
        photos: Sequence[Labelled],
        framing: Framing,
        side: int,
        *,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._photos, self._framing, self._side = photos, framing, side
        self._kept: dict[int, NDArray[np.uint8]] = {}
        self._room = cache_bytes // (3 * side * side)

    def read(self, index: int) -> NDArray[np.uint8]:
        """One photo, (S, S, 3) uint8 RGB.

        Raises:
            ImageError: the file cannot be read.
            DataError: its box lies outside it.
        """
        found = self._kept.get(index)
        if found is not None:
            return found
        at_least = 2 * self._side
        image = read_photo(self._photos[index].photo, at_least=at_least)
        pixels = frame_photo(image, self._framing, self._side)
        if len(self._kept) < self._room:
            self._kept[index] = pixels
        return pixels

    def stack(self, indices: Iterable[int]) -> Tensor:
        """Several photos, (N, 3, S, S) uint8."""
        pixels = torch.from_numpy(np.stack([self.read(index) for index in indices]))
        return pixels.permute(0, 3, 1, 2).contiguous()


def list_photos(batch: Triplets) -> list[int]:
    """All anchors of a batch, then all positives, then all negatives: 3 T indices."""
    indices: list[int] = np.concatenate(batch[1:]).tolist()
    return indices


def load_triplets(
    store: PhotoStore, plan: Iterable[Triplets], *, workers: int = 2
) -> Iterator[LoadedTriplets]:
    """Load batches in order, one ahead for each worker.

    Raises what `PhotoStore.read` raises, when the batch with the faulty photo is due.
    """
    if workers < 1:
        raise ParameterError(f"the loader has {workers} workers; expected 1 or more")
    batches = iter(plan)
    with ThreadPoolExecutor(workers, thread_name_prefix="triplets") as pool:

        def begin(batch: Triplets) -> tuple[Triplets, Future[Tensor]]:
            return batch, pool.submit(store.stack, list_photos(batch))

        ahead = deque(begin(batch) for batch in islice(batches, workers))
        try:
            while ahead:
                batch, job = ahead.popleft()
                pixels = job.result()
                ahead.extend(begin(following) for following in islice(batches, 1))
                yield LoadedTriplets(pixels, batch)
        finally:
            # Also when the reader of this generator goes away early.
            pool.shutdown(wait=True, cancel_futures=True)
