"""Triplets of photos that agree, and disagree, in one attribute (method of ASEN++).

T triplets of a batch.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.attributes.records import AttributeData
from model.errors import DataError

LEAST_PHOTOS = 2


class TripletBatch(NamedTuple):
    """attributes: (T,) indices; photos: (T, 3) indices of anchor, positive and negative."""

    attributes: NDArray[np.int64]
    photos: NDArray[np.int64]


class TripletSampler:
    """Attribute uniform, two of its values uniform, two photos of the first, one of the second.

    Values with fewer than two photos are left out. A batch depends on (seed, epoch, step)
    alone.
    """

    def __init__(
        self, data: AttributeData, *, num_triplets: int, batch_triplets: int, seed: int = 0
    ) -> None:
        self._num, self._batch, self._seed = num_triplets, batch_triplets, seed
        places: dict[int, dict[int, list[int]]] = {}
        for index, photo in enumerate(data.train):
            for attribute, value in photo.values.items():
                places.setdefault(attribute, {}).setdefault(value, []).append(index)
        usable = {
            attribute: [np.array(p) for _, p in sorted(values.items()) if len(p) >= LEAST_PHOTOS]
            for attribute, values in sorted(places.items())
        }
        self._photos = {a: values for a, values in usable.items() if len(values) > 1}
        if not self._photos:
            raise DataError(
                f"{data.name} has no attribute with two values of {LEAST_PHOTOS} training photos "
                "each, so there is nothing to tell apart; label more photos"
            )

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        return -(-self._num // self._batch)

    def batches(self, epoch: int) -> Iterator[TripletBatch]:
        """The batches of an epoch; the last one may be smaller."""
        for step in range(len(self)):
            rng = np.random.default_rng([self._seed, epoch, step])
            count = min(self._batch, self._num - step * self._batch)
            attributes = rng.choice(np.array(list(self._photos)), count)
            photos = [self._draw(int(attribute), rng) for attribute in attributes]
            yield TripletBatch(attributes, np.array(photos))

    def _draw(self, attribute: int, rng: np.random.Generator) -> tuple[int, int, int]:
        values = self._photos[attribute]
        same, other = rng.choice(len(values), 2, replace=False)
        anchor, positive = rng.choice(values[same], 2, replace=False)
        return int(anchor), int(positive), int(rng.choice(values[other]))
