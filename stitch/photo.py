"""What a camera and a person do to a picture: warp, light, shadow, blur, noise, JPEG."""

import io
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from stitch.tiles import Floats

MESH = 8


def warp(
    picture: Image.Image,
    size: int,
    rng: np.random.Generator,
    *,
    turn: float,
    bend: float,
    tilt: float,
) -> Image.Image:
    """Look at an RGBA picture from elsewhere: turned (degrees), bent (share of the side), tilted.

    The picture's middle, 1/MARGIN of its side, fills the result where nothing is warped.
    """
    sources = _mesh(picture.width, rng, turn, bend, tilt)
    stops = np.linspace(0, size, MESH + 1).round().astype(int).tolist()
    data = []
    for row in range(MESH):
        for column in range(MESH):
            corners = (sources[row, column], sources[row + 1, column],
                       sources[row + 1, column + 1], sources[row, column + 1])  # fmt: skip
            quad = tuple(v for corner in corners for v in (corner.real, corner.imag))
            box = (stops[column], stops[row], stops[column + 1], stops[row + 1])
            data.append((box, quad))
    return picture.transform((size, size), Image.Transform.MESH, data, Image.Resampling.BILINEAR)


MARGIN = 1.22


def _mesh(
    width: int, rng: np.random.Generator, turn: float, bend: float, tilt: float
) -> NDArray[np.complex128]:
    """Where each corner of the mesh is read from, in pixels of the source."""
    line = np.linspace(-0.5, 0.5, MESH + 1)
    x, y = np.meshgrid(line, line)
    lean_x, lean_y = rng.uniform(-tilt, tilt, 2)
    depth = 1 + lean_x * x + lean_y * y
    place = (x + 1j * y) / depth * np.exp(-1j * np.deg2rad(turn))
    wave_x, wave_y = (rng.uniform(0, 2 * np.pi, 4) for _ in range(2))
    speed = rng.uniform(2.5, 6.5, 4)
    place = place + bend * (
        np.sin(speed[0] * y + wave_x[0]) + 0.5 * np.sin(speed[1] * (x + y) + wave_x[1])
        + 1j * (np.sin(speed[2] * x + wave_y[0]) + 0.5 * np.sin(speed[3] * (x - y) + wave_y[1]))
    )  # fmt: skip
    corners: NDArray[np.complex128] = (place / MARGIN + 0.5 + 0.5j) * width
    return corners


def cast_shadow(alpha: Floats, shift: tuple[int, int], blur: float, strength: float) -> Floats:
    """How much light an object with this alpha (0-1) takes from what lies behind it."""
    small = max(16, alpha.shape[0] // 3)
    coded = Image.fromarray((alpha * 255).astype(np.uint8)).resize(
        (small, small), Image.Resampling.BOX
    )
    soft = coded.filter(ImageFilter.GaussianBlur(blur / 3)).resize(
        alpha.shape[::-1], Image.Resampling.BILINEAR
    )
    return slide(np.asarray(soft, np.float32), shift) * np.float32(strength / 255)


def slide(values: Floats, shift: tuple[int, int]) -> Floats:
    """Move right and down; what comes in repeats the edge."""
    (x, y), side = shift, values.shape[0]
    rows = np.clip(np.arange(side) - y, 0, side - 1)
    columns = np.clip(np.arange(side) - x, 0, side - 1)
    return values[rows[:, None], columns[None, :]]


def relight(picture: Floats, rng: np.random.Generator, mood: float) -> None:
    """Change colour temperature, exposure and the direction of light, in place."""
    size = picture.shape[0]
    warmth = rng.normal(0, 0.07) * mood
    gains = np.array([1 + warmth, 1 + rng.normal(0, 0.015) * mood, 1 - warmth], np.float32)
    exposure = 1 + rng.uniform(-0.22, 0.16) * mood
    angle = rng.uniform(0, 2 * np.pi)
    line = np.linspace(-1, 1, size, dtype=np.float32)
    slope = line[None, :] * np.float32(np.cos(angle)) + line[:, None] * np.float32(np.sin(angle))
    field = 1 + slope * np.float32(rng.uniform(0.02, 0.17) * mood)
    field -= (line[None, :] ** 2 + line[:, None] ** 2) * np.float32(rng.uniform(0, 0.09) * mood)
    picture *= field[..., None] * (gains * np.float32(exposure))
    if rng.random() < 0.2 * mood:
        _add_flash(picture, line, rng)
    contrast = np.float32(1 + rng.uniform(-0.14, 0.1) * mood)
    picture -= 128
    picture *= contrast
    picture += 128 + np.float32(rng.uniform(-4, 9) * mood)


def _add_flash(picture: Floats, line: Floats, rng: np.random.Generator) -> None:
    cx, cy = rng.uniform(-0.4, 0.4, 2)
    glow = np.exp(
        -((line[None, :] - np.float32(cx)) ** 2 + (line[:, None] - np.float32(cy)) ** 2) * 2.2
    )
    picture *= (0.86 + 0.32 * glow)[..., None]


def expose(picture: Floats, rng: np.random.Generator, *, blur: float, noise: float) -> Image.Image:
    """Blur (pixels), sensor noise (0-255) and rounding to bytes."""
    size = picture.shape[0]
    if noise:
        grain = _noise_plate()
        top, left = (int(v) for v in rng.integers(0, 512, 2))
        plate = np.roll(grain, (top, left), (0, 1))
        reps = -(-size // 512)
        plate = np.tile(plate, (reps, reps))[:size, :size] if reps > 1 else plate[:size, :size]
        picture += plate[..., None] * np.float32(noise)
    np.clip(picture, 0, 255, out=picture)
    image = Image.fromarray(picture.astype(np.uint8), "RGB")
    return image.filter(ImageFilter.GaussianBlur(blur)) if blur > 0.3 else image


def compress(image: Image.Image, quality: int) -> Image.Image:
    """Through JPEG and back, as every shared photo goes."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


@cache
def _noise_plate() -> Floats:
    return np.random.default_rng(9).standard_normal((512, 512), dtype=np.float32)
