"""From photos with values by name to indices, and to queries that never meet their own kin."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from model.attributes.records import Attribute, AttributeSplit, Labelled
from model.data.records import Photo
from model.data.spec import Options
from model.errors import ParameterError

LEAST = 2  # photos that a value needs to give an anchor and a positive


@dataclass(frozen=True)
class Named:
    """A photo and its values by name: several where a cell lists several.

    Photos of one `group` (a product, or designs that differ only in details) stand on the
    same side wherever photos are divided.
    """

    photo: Photo
    values: Mapping[str, tuple[str, ...]] = field(hash=False)
    group: str


def list_attributes(names: Sequence[str], photos: Iterable[Named]) -> tuple[Attribute, ...]:
    """The attributes of these names, each with all values found, in the order of the alphabet."""
    found: dict[str, set[str]] = {name: set() for name in names}
    for photo in photos:
        for name in names:
            found[name].update(photo.values.get(name, ()))
    return tuple(Attribute(name, tuple(sorted(found[name]))) for name in names)


def label(photos: Iterable[Named], attributes: Sequence[Attribute]) -> tuple[Labelled, ...]:
    """Put indices for names.

    >>> from pathlib import Path
    >>> red = Named(Photo(Path("a.jpg"), "a"), {"colour": ("red",)}, "a")
    >>> label([red], [Attribute("colour", ("blue", "red"))])[0].values
    {0: 1}
    """
    places = [{value: k for k, value in enumerate(each.values)} for each in attributes]
    found = []
    for photo in photos:
        known = {
            k: tuple(places[k][value] for value in photo.values[attribute.name])
            for k, attribute in enumerate(attributes)
            if photo.values.get(attribute.name)
        }
        others = {k: indices[1:] for k, indices in known.items() if len(indices) > 1}
        first = {k: indices[0] for k, indices in known.items()}
        found.append(Labelled(photo.photo, first, others))
    return tuple(found)


def find_untrainable(attributes: Sequence[Attribute], photos: Sequence[Labelled]) -> list[int]:
    """The attributes without two values of two photos each: no triplet can be made of them."""
    return [
        k
        for k in range(len(attributes))
        if sum(count >= LEAST for count in count_values(photos, k).values()) < 2
    ]


def count_values(photos: Iterable[Labelled], attribute: int) -> Counter[int]:
    """How many photos show each value of one attribute."""
    return Counter(value for photo in photos for value in photo.all_values(attribute))


def divide(
    photos: Sequence[Named],
    attributes: Sequence[Attribute],
    share: float,
    rng: np.random.Generator,
) -> AttributeSplit:
    """Let whole groups, in random order, ask until they hold `share` of the photos.

    The others answer. Attributes that only one side knows are left out.
    """
    counts = Counter(photo.group for photo in photos)
    names = sorted(counts)
    asking: set[str] = set()
    held = 0
    for k in rng.permutation(len(names)):
        if held >= share * len(photos) or len(asking) == len(names) - 1:
            break
        asking.add(names[int(k)])
        held += counts[names[int(k)]]
    labelled = label(photos, attributes)
    asks = [photo.group in asking for photo in photos]
    return AttributeSplit(labelled, *_divide_attributes(labelled, asks))


def ask_all(photos: Sequence[Named], attributes: Sequence[Attribute]) -> AttributeSplit:
    """Let every photo ask, for the photos of all items but its own."""
    labelled = label(photos, attributes)
    known = {k: tuple(places) for k, places in _places(labelled).items()}
    return AttributeSplit(labelled, known, known, leave_own_item=True)


def take_share(options: Options, default: int = 20) -> float:
    """Take `queries`, the per cent of photos that ask: 20 is 4 candidates for each."""
    percent = options.take_number("queries", default, 1)
    if percent > 80:
        raise ParameterError(
            f"{options.kind} has queries={percent}; expected 1 to 80, the per cent of the held-out "
            "photos that ask (20: four candidates for each query)"
        )
    return percent / 100


def note_split(name: str, split: AttributeSplit, attributes: Sequence[Attribute]) -> list[str]:
    """Count the queries and candidates; name the attributes that nobody asks for."""
    candidates = sum(len(found) for found in split.candidates.values())
    notes = [
        f"{name}: {split.num_queries:,} queries and {candidates:,} candidates, "
        f"summed over {len(split.queries)} attributes."
    ]
    unasked = [each.name for k, each in enumerate(attributes) if k not in split.queries]
    if unasked:
        notes.append(
            f"{name}: {', '.join(unasked)} cannot be measured; queries or candidates lack it."
        )
    return notes


def _divide_attributes(
    photos: Sequence[Labelled], asks: Sequence[bool]
) -> tuple[dict[int, tuple[int, ...]], dict[int, tuple[int, ...]]]:
    queries, candidates = {}, {}
    for k, places in sorted(_places(photos).items()):
        asked = tuple(place for place in places if asks[place])
        answers = tuple(place for place in places if not asks[place])
        if asked and answers:
            queries[k], candidates[k] = asked, answers
    return queries, candidates


def _places(photos: Sequence[Labelled]) -> dict[int, list[int]]:
    """Map each attribute to the photos that know it."""
    found: dict[int, list[int]] = {}
    for place, photo in enumerate(photos):
        for k in sorted(photo.values):
            found.setdefault(k, []).append(place)
    return found
