"""Logos: shapes and short words drawn as strokes, so that no font is needed."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from stitch.curve import Curve, circle, polyline, scaled
from stitch.garments.cut import Cut
from stitch.garments.work import Work
from stitch.palette import RGB, contrast

# Strokes on a 4 x 6 grid, y downwards.
_LETTERS: Mapping[str, tuple[tuple[complex, ...], ...]] = MappingProxyType(
    {
        "N": ((6j, 0j, 4 + 6j, 4 + 0j),),
        "O": ((1 + 0j, 3 + 0j, 4 + 1j, 4 + 5j, 3 + 6j, 1 + 6j, 5j, 1j, 1 + 0j),),
        "R": ((6j, 0j, 3 + 0j, 4 + 1j, 4 + 2j, 3 + 3j, 3j), (2 + 3j, 4 + 6j)),
        "D": ((0j, 2.5 + 0j, 4 + 1.5j, 4 + 4.5j, 2.5 + 6j, 6j, 0j),),
        "A": ((6j, 2 + 0j, 4 + 6j), (0.8 + 4j, 3.2 + 4j)),
        "T": ((0j, 4 + 0j), (2 + 0j, 2 + 6j)),
        "L": ((0j, 6j, 4 + 6j),),
        "S": (
            (4 + 1j, 3 + 0j, 1 + 0j, 1j, 2j, 1 + 3j, 3 + 3j, 4 + 4j, 4 + 5j, 3 + 6j, 1 + 6j, 5j),
        ),
        "8": (
            (
                1 + 3j,
                2j,
                1j,
                1 + 0j,
                3 + 0j,
                4 + 1j,
                4 + 2j,
                3 + 3j,
                1 + 3j,
                4j,
                5j,
                1 + 6j,
                3 + 6j,
                4 + 5j,
                4 + 4j,
                3 + 3j,
            ),
        ),
    }
)


def draw_logo(work: Work, cut: Cut) -> None:
    """A logo on the chest."""
    if work.design.logo == "none":
        return
    side = cut.pit.real * 0.46
    y = max(cut.pit.imag + 10, cut.throat.imag + 40)
    at, size = {
        "centre": (complex(0, y + 40), 92.0),
        "chest-left": (complex(side, y - 12), 40.0),
        "chest-right": (complex(-side, y - 12), 40.0),
    }[work.design.logo_place]
    if work.design.pockets == "kangaroo" and work.design.logo_place == "centre":
        at, size = at - 14j, 80.0
    draw_mark(work, at, size)


def draw_thigh_logo(work: Work, at: complex) -> None:
    """A logo on the left thigh of trousers."""
    if work.design.logo != "none":
        draw_mark(work, at, 38.0)


def draw_mark(work: Work, at: complex, size: float) -> None:
    """Draw the design's logo, `size` being half its height, or a third of a word's width."""
    ink = contrast(work.main)
    if work.design.trim in ("contrast-edge", "side-stripe"):
        ink = work.second
    logo = work.design.logo
    if logo in _SHAPES:
        for curve in _SHAPES[logo]():
            work.sheet.blot(scaled(curve, size).moved(at), ink, 2.2)
        if logo == "ring":
            work.sheet.blot(circle(at, size * 0.55), work.main, 2.2)
    else:
        _draw_word(work, logo, at, size, ink)
    work.sheet.focus("logo", at, max(95.0, size * 1.7))


def _draw_word(work: Work, word: str, at: complex, size: float, ink: RGB) -> None:
    unit = size * 0.23 if len(word) == 2 else size * 2.3 / (len(word) * 5.4)
    width = (len(word) * 5.4 - 1.4) * unit
    for k, letter in enumerate(word):
        corner = at + complex(-width / 2 + k * 5.4 * unit, -3 * unit)
        for stroke in _LETTERS[letter]:
            line = polyline([corner + point * unit for point in stroke])
            work.sheet.line(line, ink, unit * 1.25)


def _star() -> list[Curve]:
    spokes = [
        np.exp(1j * (np.pi * k / 5 - np.pi / 2)) * (1 if k % 2 == 0 else 0.42) for k in range(10)
    ]
    return [polyline([complex(p) for p in spokes])]


def _heart() -> list[Curve]:
    half = (
        Curve(-0.5j)
        .cubic(0.2 - 1.1j, 1.05 - 0.95j, 1 - 0.25j)
        .cubic(0.95 + 0.3j, 0.35 + 0.6j, 0.95j)
    )
    return [half.then(half.mirrored().reversed())]


def _bolt() -> list[Curve]:
    return [
        polyline([0.25 - 1j, -0.62 + 0.15j, -0.06 + 0.15j, -0.28 + 1j, 0.62 - 0.25j, 0.05 - 0.25j])
    ]


def _mountain() -> list[Curve]:
    return [
        polyline([-1.15 + 0.8j, -0.35 - 0.85j, 0.02 - 0.1j, 0.4 - 0.55j, 1.15 + 0.8j]),
    ]


def _ring() -> list[Curve]:
    return [circle(0, 0.95)]


def _leaf() -> list[Curve]:
    return [
        Curve(1j).cubic(-1 + 0.7j, -0.9 - 0.6j, -1j).cubic(0.9 - 0.6j, 1 + 0.7j, 1j),
        polyline([0.06 + 1.45j, -0.06 + 1.45j, -0.06 + 0.9j, 0.06 + 0.9j]),
    ]


def _crown() -> list[Curve]:
    return [
        polyline([-1 + 0.5j, -1.1 - 0.6j, -0.5 - 0.05j, -0.9j, 0.5 - 0.05j, 1.1 - 0.6j, 1 + 0.5j]),
        polyline([-1 + 0.62j, 1 + 0.62j, 1 + 0.85j, -1 + 0.85j]),
    ]


_SHAPES = {
    "star": _star, "heart": _heart, "bolt": _bolt, "mountain": _mountain, "ring": _ring,
    "leaf": _leaf, "crown": _crown,
}  # fmt: skip
