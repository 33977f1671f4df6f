"""Which photos make a batch: P items with K photos each, from both domains where there are two.

N photos, P items and K photos of each in a batch; a group is K slots of one item.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from model.data.records import Photo
from model.errors import ParameterError

# One item with thousands of photos must not fill an epoch: it gives so many groups at most.
MAX_GROUPS = 16

Group = list[tuple[int, bool]]  # photo number, valid


@dataclass(frozen=True)
class Batch:
    """P x K slots, an item's slots side by side.

    `photos` (P*K) are places in the photo list, `items` (P*K) labels from 0, and `valid`
    (P*K) is false where a photo stands a second time only to fill up: such a slot is
    to be kept out of the losses.
    """

    step: int
    photos: NDArray[np.int64]
    items: NDArray[np.int64]
    valid: NDArray[np.bool_]


class ItemSampler:
    """Batches of an epoch as a function of (seed, epoch): nothing else is remembered.

    Every photo comes once an epoch (up to 16 groups an item); an item's last group is
    filled up with repeated photos, marked invalid. With `views`, repeats are valid: each
    slot is another augmented view. Items with both domains give K/2 photos of each to
    every group; the rarer domain comes again where it runs out.

    `alike` (I, n) names each item's most similar ones, nearest first: then `together` items
    that look alike stand in the same batch as often as that can be arranged.
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        *,
        num_items: int = 12,
        num_photos: int = 4,
        seed: int = 0,
        views: bool = False,
        alike: NDArray[np.int64] | None = None,
        together: int = 1,
    ) -> None:
        if num_items < 2 or num_photos < 1:
            raise ParameterError(
                f"a batch of {num_items} items x {num_photos} photos cannot be built; "
                "expected 2 items or more, 1 photo or more of each"
            )
        self.names = tuple(dict.fromkeys(photo.item for photo in photos))
        if len(self.names) < num_items:
            raise ParameterError(
                f"a batch of {num_items} items needs as many in the training set, which has "
                f"{len(self.names)}; ask for smaller batches or add items"
            )
        self.num_items, self.num_photos, self.seed, self.views = num_items, num_photos, seed, views
        self._alike, self._together = alike, together
        self._domains = [
            _split_domains(photos, part) if num_photos > 1 else [part]
            for part in _places(photos, self.names)
        ]
        counts = [_count_groups(parts, num_photos) for parts in self._domains]
        self._num_batches = max(-(-sum(counts) // num_items), max(counts))

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        return self._num_batches

    @property
    def num_classes(self) -> int:
        """How many items there are; labels run from 0 to this, in the order of `names`."""
        return len(self.names)

    def batches(self, epoch: int) -> list[Batch]:
        """Every batch of an epoch; `batches(epoch)[step:]` continues one."""
        rng = np.random.default_rng([self.seed, epoch])
        piles = self._deal(rng)
        order = rng.permutation(len(piles))
        return [self._pack(step, piles[int(k)]) for step, k in enumerate(order)]

    def _deal(self, rng: np.random.Generator) -> list[list[tuple[int, Group]]]:
        """Deal all groups out, so that no batch holds two of one item, and fill up."""
        piles: list[list[tuple[int, Group]]] = [[] for _ in range(len(self))]
        turn = 0
        for cluster in self._cluster(rng):
            # An item has no more groups than there are batches: side by side they never meet.
            groups = [[(item, group) for group in self._group(item, rng)] for item in cluster]
            for together in zip_longest(*groups):
                for dealt in filter(None, together):
                    _next_pile(piles, turn, dealt[0], self.num_items).append(dealt)
                turn += 1
        for pile in piles:
            held = {item for item, _ in pile}
            while len(pile) < self.num_items:
                item = int(rng.integers(self.num_classes))
                if item not in held:
                    held.add(item)
                    pile.append((item, self._group(item, rng)[0]))
        return piles

    def _cluster(self, rng: np.random.Generator) -> list[list[int]]:
        """Every item once, in clusters of items that look alike; alone without `alike`."""
        left = dict.fromkeys(rng.permutation(self.num_classes).tolist())
        clusters: list[list[int]] = []
        while left:
            item = next(iter(left))
            near = [] if self._alike is None else self._alike[item].tolist()
            cluster = [item, *[other for other in near if other in left][: self._together - 1]]
            for member in cluster:
                del left[member]
            clusters.append(cluster)
        if self._alike is not None:
            # Items of many groups find a place while there is room in every batch.
            clusters.sort(key=self._most_groups, reverse=True)
        return clusters

    def _most_groups(self, cluster: list[int]) -> int:
        return max(_count_groups(self._domains[item], self.num_photos) for item in cluster)

    def _group(self, item: int, rng: np.random.Generator) -> list[Group]:
        """Cut an item's photos, shuffled, into groups of K."""
        parts = [[part[k] for k in rng.permutation(len(part))] for part in self._domains[item]]
        count = _count_groups(parts, self.num_photos)
        if len(parts) == 1:
            size = self.num_photos
            chunks = [parts[0][k * size : (k + 1) * size] for k in range(count)]
            return [self._fill(chunk, self.num_photos) for chunk in chunks]
        first = self.num_photos // 2
        sizes = (first, self.num_photos - first)
        halves = [
            [_take_around(part, k * size, size) for k in range(count)]
            for part, size in zip(parts, sizes, strict=True)
        ]
        return [
            [
                slot
                for half, size in zip(pair, sizes, strict=True)
                for slot in self._fill(half, size)
            ]
            for pair in zip(*halves, strict=True)
        ]

    def _fill(self, chunk: list[int], size: int) -> Group:
        """Repeat photos until there are `size`."""
        return [(chunk[k % len(chunk)], k < len(chunk) or self.views) for k in range(size)]

    def _pack(self, step: int, pile: list[tuple[int, Group]]) -> Batch:
        slots = [(item, photo, valid) for item, group in pile for photo, valid in group]
        items, photos, valid = zip(*slots, strict=True)
        return Batch(step, np.array(photos), np.array(items), np.array(valid))


def _next_pile(
    piles: list[list[tuple[int, Group]]], turn: int, item: int, size: int
) -> list[tuple[int, Group]]:
    """The pile whose turn it is, or the next one with room that lacks the item."""
    for step in range(len(piles)):
        pile = piles[(turn + step) % len(piles)]
        if len(pile) < size and all(held != item for held, _ in pile):
            return pile
    return []  # no batch can take it: it sits this epoch out


def _places(photos: Sequence[Photo], names: Sequence[str]) -> list[list[int]]:
    label = {name: k for k, name in enumerate(names)}
    places: list[list[int]] = [[] for _ in names]
    for place, photo in enumerate(photos):
        places[label[photo.item]].append(place)
    return places


def _split_domains(photos: Sequence[Photo], places: list[int]) -> list[list[int]]:
    """One list, or one a domain when the item has exactly two."""
    domains = sorted(Counter(photos[place].domain for place in places))
    if len(domains) != 2:
        return [places]
    return [[p for p in places if photos[p].domain == domain] for domain in domains]


def _count_groups(parts: Sequence[Sequence[int]], num_photos: int) -> int:
    if len(parts) == 1:
        wanted = -(-sum(len(part) for part in parts) // num_photos)
    else:
        first = num_photos // 2
        sizes = (first, num_photos - first)
        wanted = max(-(-len(part) // size) for part, size in zip(parts, sizes, strict=True))
    return min(MAX_GROUPS, wanted)


def _take_around(part: list[int], start: int, size: int) -> list[int]:
    """`size` different photos from `start` on, beginning again at the end; fewer if it is short."""
    count = min(size, len(part))
    return [part[(start + k) % len(part)] for k in range(count)]
