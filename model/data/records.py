"""What every data set is turned into: photos of items, and sets of queries over galleries."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SHOP, CONSUMER = "shop", "consumer"


class Box(NamedTuple):
    """A rectangle in pixels, by its corners; `x2` and `y2` are exclusive."""

    x1: int
    y1: int
    x2: int
    y2: int


class BoxFrame(NamedTuple):
    """The resized photo that a box was drawn in, when it is not the stored photo itself.

    The photo was scaled so that its longer side is `side` pixels and, where `padded`,
    centred in a square of that side.
    """

    side: int
    padded: bool


@dataclass(frozen=True)
class Photo:
    """One photo of one item. Two photos match when their `item` is equal.

    `box` is in pixels of the stored photo, or of `box_frame` where there is one. A
    `view_seed` asks `read_photo` for that augmented view instead of the photo itself:
    so an unlabelled photo becomes a query that is not its own copy.
    """

    path: Path
    item: str
    domain: str = ""
    box: Box | None = None
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)
    box_frame: BoxFrame | None = None
    view_seed: int | None = None


@dataclass(frozen=True)
class RetrievalSet:
    """Queries, each to be found in the gallery by its item."""

    name: str
    queries: tuple[Photo, ...]
    gallery: tuple[Photo, ...]

    @property
    def num_without_positive(self) -> int:
        """Queries whose item has no photo in the gallery."""
        items = {photo.item for photo in self.gallery}
        return sum(photo.item not in items for photo in self.queries)


@dataclass(frozen=True)
class DataSet:
    """Photos to train on, held-out items to choose by, and a test set to report.

    `notes` are sentences about what was found. `extra` are further retrieval sets,
    such as hard families. With `views`, every photo is its own item, and its
    positives are augmented views of itself.
    """

    name: str
    train: tuple[Photo, ...]
    validation: RetrievalSet
    test: RetrievalSet | None = None
    notes: tuple[str, ...] = ()
    extra: Mapping[str, RetrievalSet] = field(default_factory=dict, hash=False)
    views: bool = False


def group_by_item(photos: Iterable[Photo]) -> dict[str, list[Photo]]:
    """Map each item to its photos, both in the order given.

    >>> list(group_by_item([Photo(Path("a.jpg"), "x"), Photo(Path("b.jpg"), "y")]))
    ['x', 'y']
    """
    found: dict[str, list[Photo]] = {}
    for photo in photos:
        found.setdefault(photo.item, []).append(photo)
    return found
