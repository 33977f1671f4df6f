"""Triplets of one attribute: two photos of one value and one of another.

N triplets, V values of an attribute. As in the code of ASEN++: the attribute is drawn
uniformly, then two different values uniformly (not by how often they occur), then anchor
and positive from the first without replacement and the negative from the second.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.attributes.records import AttributeData, Labelled
from model.errors import DataError, ParameterError

LEAST = 2
# A photo with several values may be no negative; so often another triplet is drawn instead.
TRIES = 100

Places = NDArray[np.int64]


class Triplets(NamedTuple):
    """The attribute of each triplet and its three places in `AttributeData.train`, (N,) each."""

    attribute: Places
    anchor: Places
    positive: Places
    negative: Places


class TripletSampler:
    """Triplets of an epoch as a function of (seed, epoch): nothing else is remembered.

    Values that fewer than two training photos show are left out, and `notes` says so.

    Raises:
        DataError: data for evaluation only, or an attribute of which no triplet can be made.
        ParameterError: fewer than one triplet.
    """

    def __init__(
        self, data: AttributeData, *, num_triplets: int = 100_000, batch: int = 16, seed: int = 0
    ) -> None:
        data.check_trainable()
        if num_triplets < 1 or batch < 1:
            raise ParameterError(
                f"{num_triplets} triplets in batches of {batch} cannot be drawn; "
                "expected 1 or more of each"
            )
        self.num_triplets, self.batch, self.seed = num_triplets, batch, seed
        self.notes: tuple[str, ...] = ()
        self._pools = []
        for k, attribute in enumerate(data.attributes):
            pool = _Pool(data.train, k)
            self._pools.append(pool)
            if pool.num_values < 2:
                raise DataError(
                    f"{data.name} has {pool.num_values} values of {attribute.name} with two "
                    "training photos or more; a triplet needs two such values: add photos, or "
                    "leave the attribute out"
                )
            rare = [attribute.values[value] for value in pool.rare]
            if rare:
                self.notes += (
                    f"{attribute.name}: {', '.join(rare)} left out of training, as fewer than "
                    "two photos show it.",
                )

    def __len__(self) -> int:
        """Count the batches of an epoch; the last one may be smaller."""
        return -(-self.num_triplets // self.batch)

    def triplets(self, epoch: int) -> Triplets:
        """All triplets of an epoch, in their order."""
        rng = np.random.default_rng([self.seed, epoch])
        attribute = rng.integers(len(self._pools), size=self.num_triplets)
        places = np.empty((self.num_triplets, 3), dtype=np.int64)
        for k, pool in enumerate(self._pools):
            chosen = np.flatnonzero(attribute == k)
            places[chosen] = pool.draw(len(chosen), rng)
        return Triplets(attribute, places[:, 0], places[:, 1], places[:, 2])

    def batches(self, epoch: int) -> list[Triplets]:
        """Every batch of an epoch; `batches(epoch)[step:]` continues one."""
        drawn = self.triplets(epoch)
        starts = range(0, self.num_triplets, self.batch)
        return [Triplets(*(column[k : k + self.batch] for column in drawn)) for k in starts]


class _Pool:
    """The training photos of one attribute by value: `flat` holds them value after value."""

    def __init__(self, photos: Sequence[Labelled], attribute: int) -> None:
        groups: dict[int, list[int]] = {}
        for place, photo in enumerate(photos):
            for value in photo.all_values(attribute):
                groups.setdefault(value, []).append(place)
        kept = [group for _, group in sorted(groups.items()) if len(group) >= LEAST]
        self.rare = sorted(value for value, group in groups.items() if len(group) < LEAST)
        self.num_values, self._num_photos = len(kept), len(photos)
        self._counts = np.array([len(group) for group in kept], dtype=np.int64)
        self._starts = np.cumsum(self._counts) - self._counts
        self._flat = np.array([place for group in kept for place in group], dtype=np.int64)
        owner = np.repeat(np.arange(len(kept)), self._counts)
        self._codes = np.sort(owner * self._num_photos + self._flat)

    def draw(self, count: int, rng: np.random.Generator) -> Places:
        """Anchor, positive and negative of `count` triplets, (count, 3)."""
        found = np.empty((count, 3), dtype=np.int64)
        todo = np.arange(count)
        for _ in range(TRIES):
            first, found[todo] = self._draw_once(len(todo), rng)
            todo = todo[self._shows(found[todo, 2], first)]
            if not len(todo):
                return found
        raise DataError(
            "the values of an attribute nearly always come together, so that no photo can be a "
            "negative; leave the attribute out, or give each photo fewer of its values"
        )

    def _draw_once(self, count: int, rng: np.random.Generator) -> tuple[Places, Places]:
        first = rng.integers(self.num_values, size=count)
        second = _another(first, np.full(count, self.num_values), rng)
        anchor = rng.integers(self._counts[first])
        positive = _another(anchor, self._counts[first], rng)
        negative = rng.integers(self._counts[second])
        starts = self._starts
        places = (starts[first] + anchor, starts[first] + positive, starts[second] + negative)
        return first, self._flat[np.stack(places, axis=1)]

    def _shows(self, places: Places, values: Places) -> NDArray[np.bool_]:
        """Whether the photos show these values (as a photo of several values may)."""
        wanted = values * self._num_photos + places
        spot = np.searchsorted(self._codes, wanted).clip(max=len(self._codes) - 1)
        return np.asarray(self._codes[spot] == wanted)


def _another(chosen: Places, counts: Places, rng: np.random.Generator) -> Places:
    """Uniform below `counts`, but never the chosen one."""
    drawn = rng.integers(counts - 1)
    return np.asarray(drawn + (drawn >= chosen), dtype=np.int64)
