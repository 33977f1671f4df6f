"""What lies or stands behind a garment: floors, beds, walls. Float arrays, 0-255."""

import numpy as np
from numpy.typing import NDArray

from stitch.palette import RGB
from stitch.tiles import Floats, noise_field, noise_slopes, weave_tile

FLAT = ("wood", "bed", "carpet", "tiles", "concrete", "wood", "bed")
UPRIGHT = ("wall", "room", "door", "brick", "wall", "room")

_WOODS: tuple[RGB, ...] = ((176, 130, 86), (120, 82, 54), (206, 176, 138), (150, 120, 96))
_SHEETS: tuple[RGB, ...] = (
    (232, 230, 224),
    (190, 204, 216),
    (222, 202, 190),
    (120, 130, 142),
    (205, 210, 190),
)
_WALLS: tuple[RGB, ...] = (
    (222, 216, 206),
    (204, 210, 212),
    (186, 196, 186),
    (226, 208, 190),
    (150, 158, 168),
    (235, 235, 232),
)
_CARPETS: tuple[RGB, ...] = ((150, 140, 128), (98, 104, 116), (176, 164, 146), (120, 90, 84))


def paint_backdrop(kind: str, size: int, rng: np.random.Generator) -> Floats:
    """A (size, size, 3) picture."""
    turn = np.deg2rad(rng.uniform(-12, 12) + (90 if rng.random() < 0.4 and kind in FLAT else 0))
    if kind not in FLAT:
        turn = np.deg2rad(rng.uniform(-2.5, 2.5))
    line = (np.arange(size, dtype=np.float32) / size - 0.5) * np.float32(rng.uniform(0.8, 1.5))
    x, y = line[None, :], line[:, None]
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    u = x * c - y * s + np.float32(rng.uniform(0, 9))
    v = x * s + y * c + np.float32(rng.uniform(0, 9))
    return _PAINTERS[kind](u, v, rng)


def _pick(colours: tuple[RGB, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    return np.array(colours[int(rng.integers(len(colours)))], np.float32)


def _read(tile: Floats, u: Floats, v: Floats) -> Floats:
    count = tile.shape[0]
    row, column = ((t * count).astype(np.int32) & (count - 1) for t in (v, u))
    values: Floats = tile[row, column]
    return values


def _tint(colour: NDArray[np.float32], light: Floats) -> Floats:
    picture: Floats = light[..., None] * colour
    return picture


def _wood(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    width = rng.uniform(0.1, 0.2)
    board = np.floor(v / np.float32(width))
    edge = v / np.float32(width) - board
    shade = _read(noise_field(7), board * 0.137, board * 0.311)
    shift = board * np.float32(0.37)
    grain = (
        _read(noise_field(5), u * 0.25 + shift, v * 3.0) * 0.6
        + _read(noise_field(6), u * 0.12 + shift, v * 5.0) * 0.4
    )
    joint = np.abs(((u * 0.55 + shift * 3) % 1) - 0.5) < 0.004
    light = 0.78 + 0.26 * shade + 0.3 * (grain - 0.5)
    light = np.where((edge < 0.025) | joint, light * 0.55, light)
    return _tint(_pick(_WOODS, rng), light)


def _bed(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    broad, fine = noise_slopes(2), noise_slopes(3)
    light = np.full(np.broadcast(u, v).shape, 0.92, np.float32)
    for slope in broad:
        light -= np.clip(_read(slope, u * 0.5 + v * 0.2, v * 0.5) * 0.05, -0.16, 0.14)
    for slope in fine:
        light -= _read(slope, u * 0.45, v * 0.6 + u * 0.3) * np.float32(0.014)
    return _tint(_pick(_SHEETS, rng), light)


def _carpet(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    fuzz = weave_tile("fuzz")
    light = (
        0.6 + 0.5 * _read(fuzz, u * 1.3, v * 1.3) + 0.2 * _read(noise_field(3), u * 0.5, v * 0.5)
    )
    return _tint(_pick(_CARPETS, rng), light)


def _tiles(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    width = np.float32(rng.uniform(0.25, 0.5))
    a, b = (u / width) % 1, (v / width) % 1
    joint = (np.minimum(a, b) < 0.02) | (np.maximum(a, b) > 0.985)
    cloud = _read(noise_field(3), u * 0.5, v * 0.5) * 0.16 + _read(noise_field(6), u, v) * 0.06
    light = np.where(joint, 0.66, 0.86 + cloud)
    return _tint(_pick(_WALLS, rng), light.astype(np.float32))


def _concrete(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    light = (
        0.62 + 0.3 * _read(noise_field(3), u * 0.6, v * 0.6) + 0.16 * _read(noise_field(6), u, v)
    )
    light = light + 0.1 * _read(weave_tile("fine"), u, v)
    return _tint(np.array([168, 168, 164], np.float32), light.astype(np.float32))


def _wall(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    cloud = _read(noise_field(3), u * 0.3, v * 0.3)
    light = 0.92 + 0.08 * cloud + 0.04 * _read(weave_tile("fine"), u, v)
    return _tint(_pick(_WALLS, rng), light.astype(np.float32))


def _room(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    """A wall, a skirting board and some floor."""
    picture = _wall(u, v, rng)
    floor = _wood(u, v * 1.4, rng)
    line = float(v[0, 0]) + float(v[-1, 0] - v[0, 0]) * rng.uniform(0.72, 0.95)
    depth = v - np.float32(line)
    picture = np.where((depth > 0)[..., None], floor, picture)
    skirting = (depth < 0) & (depth > -0.07)
    return np.where(skirting[..., None], np.float32(228), picture).astype(np.float32)


def _door(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    """A panelled door, where hangers hang."""
    light = 0.9 + 0.05 * _read(noise_field(5), u * 0.1, v * 0.6)
    start = float(u[0, 0]) + rng.uniform(0.05, 0.2)
    a, b = ((u - np.float32(start)) / 0.5) % 1, (v / 0.7) % 1
    gap = np.minimum(np.minimum(a, 1 - a) * 0.5, np.minimum(b, 1 - b) * 0.7)
    light = np.where(np.abs(gap - 0.06) < 0.008, light * 0.78, light)
    light = np.where(np.abs(gap - 0.075) < 0.006, light * 1.06, light)
    return _tint(_pick((*_WALLS, (140, 98, 66)), rng), light.astype(np.float32))


def _brick(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    row = np.floor(v / np.float32(0.07))
    a, b = ((u / np.float32(0.2)) + 0.5 * (row % 2)) % 1, (v / np.float32(0.07)) % 1
    column = np.floor((u / np.float32(0.2)) + 0.5 * (row % 2))
    shade = _read(noise_field(7), column * 0.173 + row * 0.071, row * 0.29)
    light = 0.66 + 0.3 * shade + 0.2 * _read(noise_field(6), u, v)
    joint = (a < 0.04) | (b < 0.1)
    base = _pick(((170, 92, 70), (214, 208, 200), (150, 112, 92)), rng)
    picture = _tint(base, light.astype(np.float32))
    return np.where(
        joint[..., None], np.float32(188) * (0.7 + 0.3 * light[..., None]), picture
    ).astype(np.float32)


_PAINTERS = {
    "wood": _wood, "bed": _bed, "carpet": _carpet, "tiles": _tiles, "concrete": _concrete,
    "wall": _wall, "room": _room, "door": _door, "brick": _brick,
}  # fmt: skip
