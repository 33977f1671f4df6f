"""Designs by seed: one, many of a split, or a hard family that differs in one detail."""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from stitch.design import ATTRIBUTES, Design
from stitch.errors import StitchError
from stitch.rules import values_for

MAX_TRIES = 1000
# The attribute is drawn first and kept for a while, so that rare kinds of detail get their share.
TRIES_PER_ATTRIBUTE = 100

# Details a shop photo shows at 224 px; none of them belongs to `Design.kin`.
FAMILY_ATTRIBUTES = (
    "neckline", "collar", "sleeve_shape", "cuff", "closure", "pockets", "hem", "waist",
    "print", "print_scale", "second_colour", "hardware", "logo", "logo_place",
)  # fmt: skip


class Split(StrEnum):
    """Three sets of designs that never share a design, nor two that differ only in details."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Family:
    """Designs that are equal but for one attribute."""

    attribute: str
    designs: tuple[Design, ...]


def sample_design(seed: int) -> Design:
    """Draw one design; the same seed gives the same design."""
    return _draw(_generator("design", seed))


def sample_designs(split: Split | str, count: int, seed: int) -> list[Design]:
    """Draw `count` different designs of one split, in a fixed order."""
    _check_count(count, "count")
    wanted, found = Split(split), dict[str, Design]()
    for design in _stream(seed):
        if split_of(design) is wanted:
            found.setdefault(design.key, design)
        if len(found) >= count:
            break
    return list(found.values())


def hard_family(
    seed: int, size: int, split: Split | str | None = None, attribute: str | None = None
) -> Family:
    """Draw `size` designs that differ in exactly one attribute, which is recorded.

    `split` and `attribute` narrow the draw. All members belong to one split, because splits go
    by what they share.
    """
    _check_count(size, "size", at_least=2)
    if attribute is not None and attribute not in FAMILY_ATTRIBUTES:
        raise StitchError(
            f"no hard family varies {attribute!r}; expected one of: {', '.join(FAMILY_ATTRIBUTES)}"
        )
    rng = _generator("family", seed)
    varied = attribute or _pick(rng, FAMILY_ATTRIBUTES)
    for tries in range(1, MAX_TRIES + 1):
        if tries % TRIES_PER_ATTRIBUTE == 0:
            varied = attribute or _pick(rng, FAMILY_ATTRIBUTES)
        design = _draw(rng)
        members = _variants(design, varied)
        if len(members) >= size and (split is None or split_of(design) is Split(split)):
            return Family(varied, tuple(_shuffled(rng, members)[:size]))
    raise StitchError(
        f"no family of {size} designs was found that differ in {attribute or 'one attribute'} "
        "only; ask for a smaller size"
    )


def split_of(design: Design) -> Split:
    """The split a design belongs to: about 70 % train, 10 % val, 20 % test."""
    place = int(design.kin[:8], 16) / 16**8
    return Split.TRAIN if place < 0.7 else Split.VAL if place < 0.8 else Split.TEST


def _stream(seed: int) -> Iterator[Design]:
    rng = _generator("designs", seed)
    while True:
        yield _draw(rng)


def _draw(rng: random.Random) -> Design:
    chosen: dict[str, str] = {}
    for name in ATTRIBUTES:
        values = values_for(name, chosen)
        # Half of all garments are plain, and most of those without a print carry no trim.
        if "none" in values and rng.random() < _PLAIN.get(name, 0.0):
            chosen[name] = "none"
        else:
            chosen[name] = _pick(rng, values)
    return Design(**chosen)


_PLAIN = {"print": 0.45, "trim": 0.45, "pockets": 0.1, "logo": 0.1, "neckline": 0.15}


def _variants(design: Design, attribute: str) -> list[Design]:
    """All designs that differ from this one in that attribute alone (itself included)."""
    values = values_for(attribute, design.attributes)
    if len(values) < 2:
        return []
    found = []
    for value in values:
        try:
            found.append(replace(design, **{attribute: value}))
        except StitchError:  # a later attribute would have to change too
            continue
    return found


def _shuffled(rng: random.Random, members: list[Design]) -> list[Design]:
    return sorted(members, key=lambda member: (rng.random(), member.key))


def _pick(rng: random.Random, values: tuple[str, ...]) -> str:
    return values[int(rng.random() * len(values))]


def _generator(purpose: str, seed: int) -> random.Random:
    digest = hashlib.sha256(f"stitch {purpose} {seed}".encode()).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))


def _check_count(count: int, name: str, at_least: int = 1) -> None:
    if count < at_least:
        raise StitchError(f"{name} is {count}; expected {at_least} or more")
