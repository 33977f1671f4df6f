"""From flat shapes to cloth: prints, weave, folds, light. Everything works on pixel arrays.

H rows, W columns of a square raster; floats are 0-1 unless said otherwise.
"""

import io
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from stitch.curve import Points
from stitch.design import Design
from stitch.palette import COLOURS
from stitch.paper import CLOTH, PLAIN, TRIM, Frame, Sheet
from stitch.photo import slide
from stitch.tiles import (
    PRINT_SIDES,
    Floats,
    fitting,
    noise_slopes,
    print_tile,
    weave_of,
    weave_side,
    weave_tile,
)

Bytes = NDArray[np.uint8]
Indices = NDArray[np.intp]

LIGHT = (-0.75, -0.66)  # from the upper left
# How strongly folds show: soft and thick cloths blur them, shiny ones sharpen them.
FOLD_DEPTHS = {
    "satin": 0.95, "leather": 1.2, "linen": 1.2, "denim": 0.9, "fleece": 0.8, "wool": 0.7,
    "quilted": 0.7, "cable-knit": 0.6,
}  # fmt: skip


def weave(sheet: Sheet, design: Design, frame: Frame, size: int, seed: int) -> Image.Image:
    """Paint a sheet as cloth: an RGBA picture of `size` x `size` pixels."""
    flat = np.asarray(Image.open(io.BytesIO(sheet.rasterise(frame, size))).convert("RGBA"))
    # Plain machine integers: looking up with bytes converts them each time.
    regions = draw_regions(sheet, frame, size).astype(np.intp)
    table = _Table(sheet, frame, size)
    unit = frame.side / size
    x, y = _pixel_grid(size)
    slope_x, slope_y = _emboss(sheet, frame, size, seed)
    kind = table.kind[regions]
    printed = kind == CLOTH
    ux, uy = table.ux[regions], table.uy[regions]
    u = ux * x + uy * y + table.u0[regions] + slope_x * 9.0
    v = ux * y - uy * x + table.v0[regions] + slope_y * 9.0
    light = _light(table, regions, x, y, slope_x, slope_y, design)
    texture, strength = weave_of(design.fabric)
    side = weave_side(texture)
    thread = _sample(fitting(weave_tile, texture, side / unit), side, u, v)
    light *= 1 + (thread - 0.5) * np.where(printed | (kind == TRIM), np.float32(strength), 0)
    cover = _cover(design, u, v, y, frame, size) * printed if design.print != "none" else None
    shine = _gloss(design, slope_x, slope_y, kind)
    return _develop(flat, design, light, cover, shine)


def _develop(
    flat: Bytes, design: Design, light: Floats, cover: Floats | None, shine: Floats | None
) -> Image.Image:
    """Flat colours, print, light and highlights, one channel at a time (faster than together).

    Adding the difference of the colours keeps seams: what darkens the cloth darkens the print.
    """
    step = np.subtract(COLOURS.get(design.second_colour, (0, 0, 0)), COLOURS[design.colour])
    out = flat.copy()
    for channel in range(3):
        plane = flat[..., channel].astype(np.float32)
        if cover is not None:
            plane += cover * np.float32(step[channel])
        plane *= light
        if shine is not None:
            plane += shine
        np.clip(plane, 0, 255, out=plane)
        out[..., channel] = plane
    return Image.fromarray(out, "RGBA")


def draw_regions(sheet: Sheet, frame: Frame, size: int) -> Bytes:
    """The number of the region that covers each pixel, 0 where there is none."""
    picture = Image.new("L", (size, size))
    draw = ImageDraw.Draw(picture)
    for points, number in sheet.areas:
        draw.polygon(_to_pixels(points, frame, size), fill=number)
    return np.asarray(picture)


class _Table:
    """What the regions say, ready to be looked up per pixel; row 0 is the background."""

    def __init__(self, sheet: Sheet, frame: Frame, size: int) -> None:
        """Turn canvas units into pixel coefficients."""
        unit = frame.side / size
        regions = sheet.regions
        self.kind = np.array([PLAIN, *(r.kind for r in regions)], np.uint8)
        self.height = np.array([0.0, *(r.height for r in regions)], np.float32)
        self.tone = np.array([1.0, *(r.tone for r in regions)], np.float32)
        turn = np.exp(-1j * np.deg2rad(np.array([0.0, *(r.grain for r in regions)])))
        origin = np.array([0j, *(r.origin for r in regions)])
        start = turn * (frame.corner - origin)
        self.ux, self.uy = (
            (turn.real * unit).astype(np.float32),
            (-turn.imag * unit).astype(np.float32),
        )
        self.u0, self.v0 = start.real.astype(np.float32), start.imag.astype(np.float32)
        across = np.array([0j, *(r.across for r in regions)])
        length = np.maximum(np.abs(across) ** 2, 1e-9)
        way = np.where(across == 0, 0, across / length)
        centre = np.array([0j, *(r.centre for r in regions)])
        offset = ((frame.corner - centre) * way.conj()).real
        self.sx, self.sy = (
            (way.real * unit).astype(np.float32),
            (way.imag * unit).astype(np.float32),
        )
        self.s0 = offset.astype(np.float32)


def _light(
    table: _Table,
    regions: Indices,
    x: Floats,
    y: Floats,
    slope_x: Floats,
    slope_y: Floats,
    design: Design,
) -> Floats:
    """How bright each pixel is: the panel's roundness, folds, and shadows between layers."""
    s = table.sx[regions] * x + table.sy[regions] * y + table.s0[regions]
    np.clip(s, -1.3, 1.3, out=s)
    round_shade = 1.03 - 0.24 * s * s - 0.07 * s
    depth = FOLD_DEPTHS.get(design.fabric, 1.0)
    fold = slope_x * LIGHT[0] + slope_y * LIGHT[1]
    light: Floats = round_shade + np.clip(fold * depth, -0.42, 0.3)
    light *= table.tone[regions]
    light *= 1 - _layer_shadow(table.height[regions])
    return light


def _layer_shadow(height: Floats) -> Floats:
    """Higher layers darken what lies beside and below them."""
    size = height.shape[0]
    coded = Image.fromarray((height * 50).astype(np.uint8))
    wide = coded.filter(ImageFilter.BoxBlur(max(1, size // 90))).filter(
        ImageFilter.BoxBlur(max(1, size // 70))
    )
    shift = max(1, size // 130)
    around = np.asarray(wide, np.float32)
    around = slide(around, (shift // 2, shift))
    shadow: Floats = np.clip((around / 50 - height) * 0.5, 0, 0.42)
    return shadow


def _emboss(sheet: Sheet, frame: Frame, size: int, seed: int) -> tuple[Floats, Floats]:
    """Draw the folds as a relief and return its slopes to the right and downwards."""
    half = max(32, size // 2)
    scale = half / frame.side
    relief = np.zeros((half, half), np.float32)
    for limit, low, high in ((1, 0.0, 14.0), (2, 14.0, 99.0)):
        picture = Image.new("F", (half, half))
        draw = ImageDraw.Draw(picture)
        for fold in sheet.folds:
            if low <= fold.width < high:
                line = _to_pixels(fold.points, frame, half)
                draw.line(line, fill=fold.strength, width=max(1, round(fold.width * scale)))
        coarse = max(8, round(half / max(1.0, (13.0 if limit == 1 else 20.0) * scale)))
        soft = picture.resize((coarse, coarse), Image.Resampling.BILINEAR).resize(
            (half, half), Image.Resampling.BICUBIC
        )
        relief += np.asarray(soft) * (5.0 if limit == 1 else 8.0)
    right, down = _slopes(relief, frame.side / half)
    _add_undulation(right, down, frame, seed)
    return _enlarge(right, size), _enlarge(down, size)


def _slopes(relief: Floats, step: float) -> tuple[Floats, Floats]:
    right, down = np.zeros_like(relief), np.zeros_like(relief)
    right[:, 1:-1] = (relief[:, 2:] - relief[:, :-2]) / np.float32(2 * step)
    down[1:-1] = (relief[2:] - relief[:-2]) / np.float32(2 * step)
    return right, down


def _enlarge(values: Floats, size: int) -> Floats:
    picture = Image.fromarray(values).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def _add_undulation(right: Floats, down: Floats, frame: Frame, seed: int) -> None:
    """Cloth is never flat: soft waves, anchored to the canvas so that crops agree; in place."""
    size = right.shape[0]
    x, y = _pixel_grid(size)
    unit = np.float32(frame.side / size)
    gx, gy = x * unit + np.float32(frame.corner.real), y * unit + np.float32(frame.corner.imag)
    for octave, side, rise, squeeze in ((3, 660.0, 22.0, 0.75), (4, 420.0, 5.0, 0.6)):
        u, v = gx + (seed % 97) * 31 * octave, gy * np.float32(squeeze) + (seed % 89) * 17
        slope_x, slope_y = noise_slopes(octave)
        right += _sample(slope_x, side, u, v) * np.float32(rise / side)
        down += _sample(slope_y, side, u, v) * np.float32(rise / side * squeeze)


def _gloss(design: Design, slope_x: Floats, slope_y: Floats, kind: Bytes) -> Floats | None:
    """Highlights where a shiny cloth faces the light."""
    power = {"satin": 62.0, "leather": 60.0, "quilted": 18.0}.get(design.fabric)
    if power is None:
        return None
    facing = np.clip(slope_x * LIGHT[0] + slope_y * LIGHT[1] + 0.02, 0, 0.5)
    shine: Floats = np.minimum(power * (facing * 2.6) ** 2, 90.0)
    shine *= (kind == CLOTH) | (kind == TRIM)
    return shine


def _cover(design: Design, u: Floats, v: Floats, y: Floats, frame: Frame, size: int) -> Floats:
    """How much of the second colour the print lays on each pixel."""
    if design.print == "colour-block":
        world = y * np.float32(frame.side / size) + np.float32(frame.corner.imag)
        line = 60.0 if design.category in ("dress", "coat", "skirt", "trousers") else -70.0
        return (world > line).astype(np.float32)
    side = PRINT_SIDES[design.print_scale]
    return _sample(fitting(print_tile, design.print, side * size / frame.side), side, u, v)


def _sample(tile: Floats, side: float, u: Floats, v: Floats) -> Floats:
    """Read a tile that repeats every `side` units."""
    count = tile.shape[0]
    column = (u * np.float32(count / side)).astype(np.int32) & (count - 1)
    row = (v * np.float32(count / side)).astype(np.int32) & (count - 1)
    sampled: Floats = tile[row, column]
    return sampled


def _to_pixels(points: Points, frame: Frame, size: int) -> list[tuple[float, float]]:
    scaled = (points - frame.corner) * (size / frame.side) - (0.5 + 0.5j)
    return list(zip(scaled.real.tolist(), scaled.imag.tolist(), strict=True))


@cache
def _pixel_grid(size: int) -> tuple[Floats, Floats]:
    line = np.arange(size, dtype=np.float32) + 0.5
    y, x = np.broadcast_arrays(line[:, None], line[None, :])
    return np.ascontiguousarray(x), np.ascontiguousarray(y)
