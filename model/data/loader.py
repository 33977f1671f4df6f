"""Batches from disk, read ahead by threads; the same bytes whatever their number.

Pillow decodes and scales without holding the interpreter's lock, so threads are
enough: no processes to start, no pixels to copy between them.

N slots in a batch, S pixels a side.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from model.data.augment import View, instance_view, train_view
from model.data.reading import read_photo
from model.data.records import Photo
from model.data.sampler import Batch, ItemSampler
from model.errors import ParameterError
from model.preprocessing import Preprocessing


@dataclass(frozen=True)
class Loaded:
    """A batch with its pixels: uint8 (N, S, S, 3) RGB, 0..255."""

    pixels: NDArray[np.uint8]
    batch: Batch


class Loader:
    """Every slot is drawn by lots of (seed, epoch, step, slot), never of time or thread."""

    def __init__(
        self,
        photos: Sequence[Photo],
        sampler: ItemSampler,
        preprocessing: Preprocessing,
        *,
        views: Sequence[View] | None = None,
        workers: int = 2,
        prefetch: int = 2,
    ) -> None:
        """`views` are the augmentations (default: the sampler's kind of training view).

        With several, an item's slots are divided among them in order.

        `prefetch` batches are held in memory beside the one in use.
        """
        if workers < 1 or prefetch < 1:
            raise ParameterError(
                f"the loader has {workers} workers and reads {prefetch} batches ahead; "
                "expected 1 or more of both"
            )
        self.sampler = sampler
        self._photos, self._preprocessing = photos, preprocessing
        self._views = views or ((instance_view,) if sampler.views else (train_view,))
        self._workers, self._prefetch = workers, prefetch

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        return len(self.sampler)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Loaded]:
        """Load the batches of an epoch in order, from step `start` on.

        Raises ImageError or DataError when the batch with the faulty photo is due.
        """
        plan = islice(self.sampler.batches(epoch), start, None)
        with ThreadPoolExecutor(self._workers, thread_name_prefix="loader") as pool:
            ahead = deque(self._begin(pool, epoch, batch) for batch in islice(plan, self._prefetch))
            try:
                while ahead:
                    loaded, jobs = ahead.popleft()
                    for job in jobs:
                        job.result()
                    ahead.extend(self._begin(pool, epoch, batch) for batch in islice(plan, 1))
                    yield loaded
            finally:
                # Also when the reader of this generator goes away early.
                pool.shutdown(wait=True, cancel_futures=True)

    def _begin(
        self, pool: ThreadPoolExecutor, epoch: int, batch: Batch
    ) -> tuple[Loaded, list[Future[None]]]:
        """Hand out one job a photo: a photo that stands in several slots is decoded once."""
        side = self._preprocessing.image_size
        pixels = np.empty((len(batch.photos), side, side, 3), dtype=np.uint8)
        slots: dict[int, list[int]] = {}
        for slot, photo in enumerate(batch.photos.tolist()):
            slots.setdefault(photo, []).append(slot)
        jobs = [
            pool.submit(self._fill, pixels, epoch, batch.step, photo, places)
            for photo, places in slots.items()
        ]
        return Loaded(pixels, batch), jobs

    def _fill(
        self, pixels: NDArray[np.uint8], epoch: int, step: int, photo: int, slots: list[int]
    ) -> None:
        """Each job writes its own slots, so no lock is needed."""
        at_least = 2 * self._preprocessing.image_size
        image = read_photo(self._photos[photo], at_least=at_least)
        for slot in slots:
            rng = np.random.default_rng([self.sampler.seed, epoch, step, slot])
            pixels[slot] = self._choose_view(slot)(image, self._preprocessing, rng)

    def _choose_view(self, slot: int) -> View:
        place, count = slot % self.sampler.num_photos, self.sampler.num_photos
        return self._views[place * len(self._views) // count]
