"""Drawn garments (`stitch`) with all their details as attributes.

A photo is labelled with what it shows, not with what is true of its garment:

    shop, person   every attribute: both are taken from the front
    back           those that a garment shows from behind as from the front
    detail         the fabric and the colour: where the close-up lies is not recorded

A sixth of the people's photos are close-ups too, and some are cut by their edge or covered
by an arm; that is not recorded either, so their labels stay, as a person's query would.

"none" is a value where the garment could have had something (no pockets, no print, no
logo, sleeveless), and no label where another attribute speaks instead: a garment with a
neckline has no collar, one without print no size of print.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from model.attributes.data.assemble import (
    Named,
    divide,
    find_untrainable,
    label,
    list_attributes,
    note_split,
    take_share,
)
from model.attributes.records import AttributeData
from model.data.records import Photo, RetrievalSet
from model.data.spec import Options
from model.data.stitched import load_stitch

# What stitch says of a photo rather than of its design.
NOT_DESIGN = ("view", "family")
BEHIND = (
    "category", "silhouette", "length", "fabric", "colour",
    "sleeve_length", "sleeve_shape", "cuff", "print", "print_scale",
)  # fmt: skip
CLOSE = ("fabric", "colour")
# Of two designs that share these, stitch draws both into one split (`Design.kin`).
KIN = ("category", "silhouette", "length", "fabric", "colour", "sleeve_length")
NONE = "none"
NONE_IS_SEEN = ("sleeve_length", "closure", "pockets", "waist", "print", "trim", "logo")


def load_stitch_attributes(path: Path | None, options: Options, seed: int) -> AttributeData:
    """Draw what is not there yet, then read every design attribute.

    Options: those of the retrieval set `stitch` (`designs`, `val`, `test`, `photos`,
    `persons`, `families`, `size`, `seed`, `workers`; the same folder serves both), and
    `queries`, the per cent of validation and test photos that ask (20).

    Near-identical designs share a split, and within it the side: no query finds its own
    design or one of its hard family among the candidates.
    """
    share = take_share(options)
    drawn = load_stitch(path, options, seed, 0.1)
    assert drawn.test is not None
    parts = [drawn.train, _photos_of(drawn.validation), _photos_of(drawn.test)]
    applicable = find_applicable(drawn.train)
    named = [[_name(photo, applicable) for photo in part] for part in parts]
    names = [name for name in drawn.train[0].attributes if name not in NOT_DESIGN]
    attributes = list_attributes(names, (photo for part in named for photo in part))
    idle = find_untrainable(attributes, label(named[0], attributes))
    dropped = [attributes[k].name for k in idle]
    attributes = tuple(each for each in attributes if each.name not in dropped)
    valid, test = (
        divide(part, attributes, share, np.random.default_rng([seed, number]))
        for number, part in enumerate(named[1:])
    )
    notes = [*drawn.notes, "Backs and close-ups are labelled with what they show only."]
    if dropped:
        notes.append(f"Left out, as too few training photos show them: {', '.join(dropped)}.")
    notes += note_split("Validation", valid, attributes) + note_split("Test", test, attributes)
    train = label(named[0], attributes)
    return AttributeData(drawn.name, attributes, train, valid, test, tuple(notes))


def list_visible(
    attributes: Mapping[str, str], applicable: Mapping[str, frozenset[str]]
) -> dict[str, tuple[str, ...]]:
    """What a photo shows of its design, by the rules above.

    `applicable` maps a category to the attributes that a garment of it can have.
    """
    view = attributes["view"]
    shown = {name: value for name, value in attributes.items() if name not in NOT_DESIGN}
    if view == "back":
        shown = {name: shown[name] for name in BEHIND}
    elif view == "detail":
        # A close-up of a garment in two blocks of colour may show the other one.
        seen = CLOSE[:1] if shown["print"] == "colour-block" else CLOSE
        shown = {name: shown[name] for name in seen}
    able = applicable.get(attributes["category"], frozenset())
    return {
        name: (value,)
        for name, value in shown.items()
        if value != NONE or (name in NONE_IS_SEEN and name in able)
    }


def find_applicable(photos: Iterable[Photo]) -> dict[str, frozenset[str]]:
    """Map each category to the attributes that some garment of it has."""
    found: dict[str, set[str]] = {}
    for photo in photos:
        able = found.setdefault(photo.attributes["category"], set())
        able.update(name for name, value in photo.attributes.items() if value != NONE)
    return {category: frozenset(able) for category, able in found.items()}


def _name(photo: Photo, applicable: Mapping[str, frozenset[str]]) -> Named:
    kin = "/".join(photo.attributes[name] for name in KIN)
    return Named(photo, list_visible(photo.attributes, applicable), kin)


def _photos_of(found: RetrievalSet) -> tuple[Photo, ...]:
    return (*found.queries, *found.gallery)
