"""A design: all there is to know about a garment, as attributes with closed lists of values."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType

from stitch.errors import StitchError
from stitch.palette import COLOURS
from stitch.rules import CATEGORIES, values_for


@dataclass(frozen=True, slots=True)
class Design:
    """One garment. Fields stand in the order in which they are chosen: later ones depend on
    earlier ones (`stitch.rules`). A value that does not apply is the word "none".

    >>> Design.of(category="skirt", silhouette="a-line", length="knee", fabric="denim",
    ...           colour="navy", waist="loops").title
    'Navy denim a-line knee-length skirt with belt loops'
    """

    category: str
    silhouette: str
    length: str
    fabric: str
    colour: str
    neckline: str
    collar: str
    sleeve_length: str
    sleeve_shape: str
    cuff: str
    closure: str
    pockets: str
    hem: str
    waist: str
    print: str
    print_scale: str
    trim: str
    second_colour: str
    hardware: str
    logo: str
    logo_place: str

    def __post_init__(self) -> None:
        """Refuse combinations that no tailor would make."""
        chosen: dict[str, str] = {}
        for name, value in asdict(self).items():
            chosen[name] = _checked(name, value, values_for(name, chosen), chosen)

    @classmethod
    def of(cls, **attributes: str) -> "Design":
        """Build from some attributes; each of the others takes its first allowed value.

        Raises StitchError for an unknown attribute or a combination that does not exist.
        """
        unknown = sorted(set(attributes) - set(ATTRIBUTES))
        if unknown:
            raise StitchError(
                f"{unknown[0]!r} is not an attribute of a design; "
                f"expected some of: {', '.join(ATTRIBUTES)}"
            )
        chosen: dict[str, str] = {}
        for name in ATTRIBUTES:
            allowed = values_for(name, chosen)
            chosen[name] = _checked(name, attributes.get(name, allowed[0]), allowed, chosen)
        return cls(**chosen)

    @property
    def key(self) -> str:
        """A hex digest that two designs share only when they are equal."""
        return _digest(asdict(self))

    @property
    def kin(self) -> str:
        """A digest shared by all designs that differ only in details.

        Splits go by it, so that near-twins never stand on both sides.
        """
        return _digest({name: getattr(self, name) for name in KIN_ATTRIBUTES})

    @property
    def attributes(self) -> dict[str, str]:
        """All attributes in their order."""
        return asdict(self)

    @property
    def title(self) -> str:
        """The garment in words, as a shop would name it."""
        from stitch.words import write_title

        return write_title(self)


ATTRIBUTES: tuple[str, ...] = tuple(field.name for field in fields(Design))
KIN_ATTRIBUTES = ("category", "silhouette", "length", "fabric", "colour", "sleeve_length")


def _all_values() -> dict[str, tuple[str, ...]]:
    closed: dict[str, tuple[str, ...]] = {"category": tuple(CATEGORIES)}
    for name in ATTRIBUTES[1:]:
        seen = {value: None for rules in CATEGORIES.values() for value in rules.get(name, ())}
        closed[name] = tuple(dict.fromkeys(("none", *seen)))
    closed["colour"] = tuple(COLOURS)
    closed["second_colour"] = ("none", *COLOURS)
    closed["print_scale"] = ("none", "small", "medium", "large")
    closed["hardware"] = ("none", "tonal", "white", "black", "brass")
    closed["logo_place"] = ("none", "chest-left", "chest-right", "centre", "thigh")
    return closed


VALUES: Mapping[str, tuple[str, ...]] = MappingProxyType(_all_values())


def applicable(category: str) -> dict[str, tuple[str, ...]]:
    """The attributes that vary within a category, each with the values it may take there.

    >>> applicable("skirt")["silhouette"]
    ('slim', 'a-line', 'flared', 'pleated')
    """
    if category not in CATEGORIES:
        raise StitchError(
            f"{category!r} is not a category; expected one of: {', '.join(CATEGORIES)}"
        )
    varying = {name: values for name, values in CATEGORIES[category].items() if len(values) > 1}
    return {name: varying[name] for name in ATTRIBUTES if name in varying}


def _checked(name: str, value: str, allowed: tuple[str, ...], chosen: Mapping[str, str]) -> str:
    if value not in allowed:
        where = f" for a {chosen['category']}" if chosen else ""
        raise StitchError(
            f"a design with {name} {value!r} does not exist{where}; "
            f"expected one of: {', '.join(allowed)}"
        )
    return value


def _digest(attributes: Mapping[str, str]) -> str:
    text = "\n".join(f"{name}={value}" for name, value in attributes.items())
    return hashlib.sha256(text.encode()).hexdigest()
