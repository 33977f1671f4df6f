"""Which gallery photos are relevant to which query."""

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.evaluation.metrics import Relevant

if TYPE_CHECKING:
    from model.data.records import Photo, RetrievalSet


class Pairing(NamedTuple):
    """What matches what: items as numbers, and the photo each row shows.

    A query and a gallery row of the same photo are left out: it would find itself.
    """

    query_items: NDArray[np.int64]
    gallery_items: NDArray[np.int64]
    query_photos: NDArray[np.int64]
    gallery_photos: NDArray[np.int64]

    @classmethod
    def of(cls, retrieval: "RetrievalSet") -> "Pairing":
        """Number the items and photos of a retrieval set."""
        items: dict[Hashable, int] = {}
        photos: dict[Hashable, int] = {}
        return cls(
            _number(items, (photo.item for photo in retrieval.queries)),
            _number(items, (photo.item for photo in retrieval.gallery)),
            _number(photos, map(_identity, retrieval.queries)),
            _number(photos, map(_identity, retrieval.gallery)),
        )

    def take(self, queries: NDArray[np.int64]) -> "Pairing":
        """The same gallery for the queries of these places."""
        asked = self.query_items[queries], self.query_photos[queries]
        return self._replace(query_items=asked[0], query_photos=asked[1])

    def left_out(self, block: slice) -> Relevant:
        """Pairs (q, G) that are one photo."""
        same: Relevant = self.query_photos[block, None] == self.gallery_photos[None]
        return same

    def relevant(self, block: slice) -> Relevant:
        """Pairs (q, G) of one item, and not of one photo."""
        same = self.query_items[block, None] == self.gallery_items[None]
        relevant: Relevant = same & ~self.left_out(block)
        return relevant


def _number(known: dict[Hashable, int], labels: Iterable[Hashable]) -> NDArray[np.int64]:
    """Number labels in the order they are first seen."""
    return np.array([known.setdefault(label, len(known)) for label in labels], dtype=np.int64)


def _identity(photo: "Photo") -> Hashable:
    """Equal for what reads as the same pixels."""
    return (photo.path, photo.box, photo.view_seed)
