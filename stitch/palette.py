"""Colours by name, as sRGB triples 0-255, and the few things done with them."""

from collections.abc import Mapping
from types import MappingProxyType

RGB = tuple[int, int, int]

COLOURS: Mapping[str, RGB] = MappingProxyType(
    {
        "black": (34, 34, 37),
        "charcoal": (72, 75, 80),
        "grey": (150, 152, 155),
        "white": (240, 240, 238),
        "cream": (236, 225, 200),
        "beige": (205, 183, 150),
        "camel": (184, 134, 78),
        "brown": (98, 66, 46),
        "navy": (34, 45, 80),
        "blue": (52, 98, 176),
        "sky blue": (150, 190, 222),
        "teal": (28, 116, 120),
        "green": (48, 120, 72),
        "olive": (104, 106, 60),
        "mint": (170, 214, 190),
        "yellow": (236, 196, 64),
        "mustard": (200, 150, 40),
        "orange": (222, 116, 48),
        "red": (188, 40, 46),
        "burgundy": (108, 30, 46),
        "pink": (232, 160, 178),
        "coral": (236, 122, 104),
        "purple": (104, 66, 134),
        "lilac": (190, 170, 214),
    }
)

SKIN: tuple[RGB, ...] = (
    (244, 208, 182),
    (228, 182, 148),
    (198, 146, 108),
    (158, 106, 74),
    (110, 72, 50),
    (78, 52, 40),
)

HAIR: tuple[RGB, ...] = ((30, 24, 22), (66, 42, 28), (120, 76, 40), (190, 150, 90), (110, 50, 30))


def mix(a: RGB, b: RGB, share: float) -> RGB:
    """Go from a (share 0) to b (share 1).

    >>> mix((0, 0, 0), (200, 100, 50), 0.5)
    (100, 50, 25)
    """
    return (
        round(a[0] + (b[0] - a[0]) * share),
        round(a[1] + (b[1] - a[1]) * share),
        round(a[2] + (b[2] - a[2]) * share),
    )


def darker(colour: RGB, share: float = 0.35) -> RGB:
    """Mix with black."""
    return mix(colour, (0, 0, 0), share)


def lighter(colour: RGB, share: float = 0.25) -> RGB:
    """Mix with white."""
    return mix(colour, (255, 255, 255), share)


def lightness(colour: RGB) -> float:
    """Perceived lightness, 0 (black) to 1 (white)."""
    return (0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]) / 255


def ink(colour: RGB, share: float = 0.3) -> RGB:
    """The colour of a seam on this cloth: darker, but lighter on cloth that is nearly black."""
    return lighter(colour, 0.3) if lightness(colour) < 0.2 else darker(colour, share)


def contrast(colour: RGB) -> RGB:
    """A light thread on dark cloth, a dark one on light cloth."""
    return (238, 234, 224) if lightness(colour) < 0.55 else (44, 44, 50)


def css(colour: RGB) -> str:
    """Write as SVG wants it.

    >>> css((255, 0, 16))
    '#ff0010'
    """
    return f"#{colour[0]:02x}{colour[1]:02x}{colour[2]:02x}"
