"""What a worker of the loader does: read a photo, keep it while there is room, draw its views."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.data.augment import View
from model.data.reading import read_photo
from model.data.records import Photo
from model.preprocessing import Preprocessing

# Pillow keeps a pixel of RGB in four bytes.
BYTES_A_PIXEL = 4


@dataclass(frozen=True)
class Order:
    """All that slots are filled from; goes to another process by pickle.

    `views` are divided among an item's `num_photos` slots in order. `room` is how many
    bytes of decoded photos may be kept: those that came first stay, so that later epochs
    need not read them again.
    """

    photos: Sequence[Photo]
    preprocessing: Preprocessing
    views: Sequence[View]
    seed: int
    num_photos: int
    room: int


class Filler:
    """Fills slots by lots of (seed, epoch, step, slot); what is kept changes no byte."""

    def __init__(self, order: Order) -> None:
        self._order, self._room = order, order.room
        self._kept: dict[int, Image.Image] = {}
        self._lock = Lock()

    def fill(
        self, pixels: NDArray[np.uint8], epoch: int, step: int, photo: int, slots: Sequence[int]
    ) -> None:
        """Write a photo's views into its slots of `pixels` (N, S, S, 3).

        Raises ImageError or DataError when the photo cannot be read.
        """
        image = self._read(photo)
        for slot in slots:
            rng = np.random.default_rng([self._order.seed, epoch, step, slot])
            pixels[slot] = self._choose_view(slot)(image, self._order.preprocessing, rng)

    def _read(self, photo: int) -> Image.Image:
        kept = self._kept.get(photo)
        if kept is not None:
            return kept
        at_least = 2 * self._order.preprocessing.image_size
        image = read_photo(self._order.photos[photo], at_least=at_least)
        size = BYTES_A_PIXEL * image.width * image.height
        with self._lock:
            if size <= self._room:
                self._room -= size
                self._kept[photo] = image
        return image

    def _choose_view(self, slot: int) -> View:
        views, count = self._order.views, self._order.num_photos
        return views[slot % count * len(views) // count]
