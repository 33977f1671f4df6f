"""Tiles that repeat without a seam: prints, weaves, noise. Made once, at first use.

A print tile says how much of the second colour covers a point (0-1), a weave tile how bright the
thread is there (0.5 is neutral). Sides are powers of two so that repeating is a bit mask.
"""

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

# float32 at run time; numpy's stubs widen it in mixed expressions
Floats = NDArray[np.floating[Any]]

SIDE = 256
# Cells a pixel: fewer make a print blocky, more let it shimmer.
OVERSAMPLING = 2.8
# Canvas units after which a print repeats.
PRINT_SIDES: Mapping[str, float] = MappingProxyType(
    {"small": 62.0, "medium": 112.0, "large": 196.0}
)

# texture, strength by fabric
_WEAVES: Mapping[str, tuple[str, float]] = MappingProxyType(
    {
        "jersey": ("fine", 0.1), "pique": ("pique", 0.14), "rib-knit": ("rib", 0.26),
        "fine-knit": ("knit", 0.22), "cable-knit": ("cable", 0.5), "fleece": ("fuzz", 0.2),
        "poplin": ("fine", 0.05), "linen": ("slub", 0.16), "denim": ("twill", 0.24),
        "twill": ("twill", 0.1), "corduroy": ("wale", 0.3), "wool": ("fuzz", 0.24),
        "satin": ("fine", 0.03), "leather": ("grain", 0.13), "quilted": ("quilt", 0.36),
    }
)  # fmt: skip


def weave_of(fabric: str) -> tuple[str, float]:
    """The texture of a fabric and how strongly it shows."""
    return _WEAVES[fabric]


@cache
def noise_field(octave: int, seed: int = 5) -> Floats:
    """Smooth noise, 0-1, that repeats."""
    rng = np.random.default_rng([seed, octave])
    cells = 2**octave
    coarse = rng.random((cells, cells), dtype=np.float32)
    padded = np.pad(coarse, 4, mode="wrap")
    scale = SIDE // cells
    big = Image.fromarray(padded).resize((padded.shape[1] * scale,) * 2, Image.Resampling.BICUBIC)
    edge = 4 * scale
    return np.asarray(big)[edge : edge + SIDE, edge : edge + SIDE].copy()


@cache
def noise_slopes(octave: int) -> tuple[Floats, Floats]:
    """How smooth noise rises to the right and downwards, per side of the tile."""
    padded = np.pad(noise_field(octave), 1, mode="wrap")
    right = (padded[1:-1, 2:] - padded[1:-1, :-2]) * (SIDE / 2)
    down = (padded[2:, 1:-1] - padded[:-2, 1:-1]) * (SIDE / 2)
    return right, down


@cache
def weave_tile(texture: str) -> Floats:
    """Brightness of the thread, 0-1."""
    return _TEXTURES[texture][0]()


def weave_side(texture: str) -> float:
    """The side of a weave's tile in canvas units."""
    return _TEXTURES[texture][1]


@cache
def print_tile(name: str) -> Floats:
    """Cover of the second colour, 0-1."""
    return _PRINTS[name]()


def fitting(make: Callable[[str], Floats], name: str, pixels: float) -> Floats:
    """A tile that is not much finer than the pixels it covers: reading it hardly aliases."""
    cells = SIDE
    while cells > 8 and cells > OVERSAMPLING * pixels:
        cells //= 2
    return _shrunk(make, name, cells)


@cache
def _shrunk(make: Callable[[str], Floats], name: str, cells: int) -> Floats:
    tile = make(name)
    if cells == SIDE:
        return tile
    share = SIDE // cells
    return _single(tile.reshape(cells, share, cells, share).mean(axis=(1, 3)))


def _single(values: Any) -> Floats:
    return np.asarray(values, np.float32)


def _grid() -> tuple[Floats, Floats]:
    line = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE
    return line[None, :] * np.ones((SIDE, 1), np.float32), line[:, None] * np.ones(
        (1, SIDE), np.float32
    )


def _white(seed: int) -> Floats:
    return np.random.default_rng(seed).random((SIDE, SIDE), dtype=np.float32)


def _fine() -> Floats:
    return _white(1) * 0.7 + noise_field(7) * 0.3


def _fuzz() -> Floats:
    return _white(2) * 0.35 + noise_field(6) * 0.65


def _grain() -> Floats:
    return noise_field(6, 8) * 0.6 + noise_field(5, 9) * 0.4


def _slub() -> Floats:
    lines = np.random.default_rng(3).random(SIDE, dtype=np.float32)
    return 0.5 * lines[None, :] * (0.4 + noise_field(4)) + 0.5 * lines[::-1, None] * (
        0.4 + noise_field(5)
    )


def _twill() -> Floats:
    x, y = _grid()
    lines = 0.5 + 0.5 * np.sin((x + y) * np.float32(2 * np.pi * 22))
    return _single(lines * 0.45 + _white(4) * 0.35 + noise_field(5) * 0.2)


def _rib() -> Floats:
    x, _ = _grid()
    return _single(np.abs(np.sin(x * np.float32(np.pi * 16))) ** 0.6 * 0.85 + _white(5) * 0.12)


def _wale() -> Floats:
    x, _ = _grid()
    return _single(np.abs(np.sin(x * np.float32(np.pi * 20))) ** 0.7 * 0.8 + noise_field(6) * 0.2)


def _pique() -> Floats:
    x, y = _grid()
    dots = np.sin(x * np.float32(2 * np.pi * 26)) * np.sin(y * np.float32(2 * np.pi * 26))
    return _single(0.5 + 0.4 * dots)


def _knit() -> Floats:
    """Rows of little Vs."""
    x, y = _grid()
    column = (x * 22) % 1
    row = (y * 22 + np.abs(column - 0.5) * 1.2) % 1
    return _single(
        0.25
        + 0.6
        * np.sin(row * np.float32(np.pi))
        * (0.5 + np.abs(np.sin(column * np.float32(np.pi))) * 0.6)
    )


def _cable() -> Floats:
    """Two crossing strands beside plain ribs."""
    x, y = _grid()
    tile = np.full((SIDE, SIDE), 0.34, np.float32)
    for phase in (0.0, 0.5):
        centre = 0.32 + 0.13 * np.sin(2 * np.pi * (y + phase))
        depth = np.clip(1 - (np.abs(x - centre) / 0.12) ** 2, 0, 1)
        over = 0.75 + 0.25 * np.cos(2 * np.pi * (y + phase))
        tile = np.maximum(tile, (0.3 + 0.66 * depth * over).astype(np.float32))
    ribs = 0.42 + 0.3 * np.abs(np.sin(x * np.float32(np.pi * 12)))
    outside = (x > 0.62) | (x < 0.03)
    tile = np.where(outside, ribs, tile)
    stitches = 0.06 * np.sin((y * 16 + np.abs(x * 8 % 1 - 0.5)) * np.float32(2 * np.pi))
    return _single(tile + stitches)


def _quilt() -> Floats:
    """Diamonds, puffed between their stitch lines."""
    x, y = _grid()
    a, b = ((x + y) * 2) % 1, ((x - y) * 2) % 1
    puff = (np.sin(a * np.pi) * np.sin(b * np.pi)) ** 0.5
    lit = 0.42 + 0.4 * puff - 0.28 * (a - 0.5) * 0.6 - 0.2 * (0.5 - b) * 0.4
    line = np.minimum(np.minimum(a, 1 - a), np.minimum(b, 1 - b)) < 0.045
    return _single(np.where(line, 0.05, lit))


# how to make it, canvas units a side
_TEXTURES = {
    "fine": (_fine, 300.0), "fuzz": (_fuzz, 340.0), "grain": (_grain, 420.0),
    "slub": (_slub, 560.0), "twill": (_twill, 190.0), "rib": (_rib, 170.0),
    "wale": (_wale, 230.0), "pique": (_pique, 250.0), "knit": (_knit, 240.0),
    "cable": (_cable, 150.0), "quilt": (_quilt, 170.0),
}  # fmt: skip


def _drawn(draw_on: Callable[[ImageDraw.ImageDraw, int], None]) -> Floats:
    """Draw at four times the size, then reduce: soft edges."""
    side = SIDE * 4
    picture = Image.new("L", (side, side))
    draw_on(ImageDraw.Draw(picture), side)
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32) / 255


def _soft(value: Floats, sharp: float = 26.0) -> Floats:
    """A step at 0 with a soft edge."""
    return _single(1 / (1 + np.exp(-np.clip(value * sharp, -30, 30))))


def _stripes() -> Floats:
    _, y = _grid()
    return _soft(np.sin(y * np.float32(4 * np.pi)) - 0.15, 9)


def _vertical() -> Floats:
    return np.ascontiguousarray(_stripes().T)


def _check() -> Floats:
    """A tartan: broad bands, thin lines, darker where they cross."""
    x, y = _grid()

    def bands(t: Floats) -> Floats:
        broad = _soft(np.cos(t * np.float32(2 * np.pi)) - 0.35, 12) * 0.5
        thin = _soft(0.03 - np.abs(t - 0.5), 160) * 0.7
        return _single(np.maximum(broad, thin))

    return _single(1 - (1 - bands(x)) * (1 - bands(y)))


def _gingham() -> Floats:
    x, y = _grid()
    across, down = (
        _soft(np.sin(x * np.float32(4 * np.pi)), 9),
        _soft(np.sin(y * np.float32(4 * np.pi)), 9),
    )
    return (across + down) / 2


def _dots() -> Floats:
    x, y = _grid()
    found = np.zeros_like(x)
    for cx, cy in ((0.25, 0.25), (0.75, 0.75)):
        found = np.maximum(found, _soft(0.15 - np.hypot(x - cx, y - cy), 170))
    return found


def _chevron() -> Floats:
    x, y = _grid()
    zigzag = np.abs(((x * 2) % 1) - 0.5) * 0.5
    return _soft(np.sin((y + zigzag) * np.float32(4 * np.pi)) - 0.1, 8)


def _geometric() -> Floats:
    x, y = _grid()
    a, b = np.abs(((x * 2) % 1) - 0.5), np.abs(((y * 2) % 1) - 0.5)
    diamond = a + b
    return np.maximum(_soft(0.2 - diamond, 60), _soft(0.06 - np.abs(diamond - 0.4), 70))


def _camo() -> Floats:
    blobs = noise_field(2, 31) * 0.6 + noise_field(3, 32) * 0.4
    patch = _soft(blobs - np.float32(np.quantile(blobs, 0.55)), 60)
    other = noise_field(2, 33) * 0.5 + noise_field(3, 34) * 0.5
    dark = _soft(other - np.float32(np.quantile(other, 0.72)), 60)
    return _single(np.maximum(patch, dark * 0.55))


def _leopard() -> Floats:
    """Broken rings of uneven blots, small blots between them."""

    def rosettes(draw: ImageDraw.ImageDraw, side: int) -> None:
        rng = np.random.default_rng(77)
        for row in range(4):
            for column in range(3):
                x = (column + 0.5 * (row % 2) + rng.uniform(-0.2, 0.2)) / 3 * side
                y = (row + 0.5 + rng.uniform(-0.2, 0.2)) / 4 * side
                r = side * rng.uniform(0.07, 0.1)
                turn, gap = rng.uniform(0, 2 * np.pi), int(rng.integers(6))
                for k in range(6):
                    if k == gap or rng.random() < 0.15:
                        continue
                    way = turn + (k + rng.uniform(-0.25, 0.25)) * np.pi / 3
                    blot = r * rng.uniform(0.26, 0.6)
                    _wrapped_dot(draw, x + r * np.cos(way), y + r * 0.8 * np.sin(way), blot, side)
                x += side * 0.165
                _wrapped_dot(draw, x, y + side * rng.uniform(-0.05, 0.05), r * 0.36, side)

    return _drawn(rosettes)


def _wrapped_dot(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, side: int) -> None:
    for dx in (-side, 0, side):
        for dy in (-side, 0, side):
            draw.ellipse([x + dx - r, y + dy - r, x + dx + r, y + dy + r], fill=255)


def _floral() -> Floats:
    def flowers(draw: ImageDraw.ImageDraw, side: int) -> None:
        for cx, cy, r in (
            (0.27, 0.27, 0.1),
            (0.76, 0.74, 0.1),
            (0.76, 0.22, 0.05),
            (0.26, 0.78, 0.05),
        ):
            for dx in (-1, 0, 1):
                for dy in (-1, 0, 1):
                    _flower(draw, (cx + dx) * side, (cy + dy) * side, r * side)

    return _drawn(flowers)


def _flower(draw: ImageDraw.ImageDraw, x: float, y: float, r: float) -> None:
    for k in range(5):
        angle = 2 * np.pi * k / 5 + x
        px, py = x + r * np.cos(angle), y + r * np.sin(angle)
        draw.ellipse([px - r * 0.66, py - r * 0.66, px + r * 0.66, py + r * 0.66], fill=255)
    draw.ellipse([x - r * 0.42, y - r * 0.42, x + r * 0.42, y + r * 0.42], fill=20)
    if r > 0.07:
        draw.line(
            [x + r * 1.5, y + r * 1.2, x + r * 2.5, y + r * 2.1],
            fill=170,
            width=max(2, int(r * 0.3)),
        )


_PRINTS = {
    "stripes": _stripes, "vertical-stripes": _vertical, "check": _check, "gingham": _gingham,
    "dots": _dots, "floral": _floral, "geometric": _geometric, "chevron": _chevron,
    "camo": _camo, "leopard": _leopard,
}  # fmt: skip
