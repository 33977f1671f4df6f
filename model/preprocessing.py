"""The one definition of how a photo becomes the network's input.

H = W = `image_size`. A photo is scaled so that its longer side fills the square,
centred, and padded with white: no part of the garment is cropped away.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

WHITE = (255, 255, 255)
# The coarsest stride of a network: smaller inputs are multiples of it, so that no map is cut off.
STEP = 32
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Preprocessing(BaseModel):
    """Travels inside the checkpoint; `mean` and `std` belong to the weights, in units of 0..1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_size: int = Field(default=320, ge=32, le=2048)
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


@dataclass(frozen=True)
class Frame:
    """Where the photo lies in the square input: fractions of the input's side."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Prepared:
    """One photo, ready for the network: uint8 HWC RGB (0..255) and its frame."""

    pixels: NDArray[np.uint8]
    frame: Frame


def prepare(image: Image.Image, preprocessing: Preprocessing) -> Prepared:
    """Letterbox an RGB photo of any size. Thread-safe.

    >>> done = prepare(Image.new("RGB", (200, 100)), Preprocessing(image_size=64))
    >>> done.pixels.shape, done.frame.height
    ((64, 64, 3), 0.5)
    """
    side = preprocessing.image_size
    scale = side / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    left, top = (side - width) // 2, (side - height) // 2
    canvas = Image.new("RGB", (side, side), WHITE)
    # reducing_gap lets Pillow shrink by whole factors first: 3x faster on large photos.
    small = image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)
    canvas.paste(small, (left, top))
    frame = Frame(left / side, top / side, width / side, height / side)
    return Prepared(np.array(canvas), frame)


def prepare_scales(
    image: Image.Image, preprocessing: Preprocessing, scales: Sequence[float]
) -> tuple[Prepared, ...]:
    """Letterbox an RGB photo into a square for each scale, as fractions of `image_size`.

    Below scale 1, sides are whole multiples of 32 pixels.

    >>> small = prepare_scales(Image.new("RGB", (200, 100)), Preprocessing(image_size=320), (0.5,))
    >>> small[0].pixels.shape
    (160, 160, 3)
    """
    sides = (scale_side(preprocessing.image_size, scale) for scale in scales)
    return tuple(
        prepare(image, preprocessing.model_copy(update={"image_size": side})) for side in sides
    )


def scale_side(image_size: int, scale: float) -> int:
    """Pixels of a side at a scale; at scale 1 it is `image_size`, whatever that is.

    >>> scale_side(320, 0.5), scale_side(320, 0.35), scale_side(330, 1.0)
    (160, 128, 330)
    """
    if scale == 1.0:
        return image_size
    return max(STEP, STEP * math.floor(image_size * scale / STEP + 0.5))


def needed_side(input_side: int) -> int:
    """Pixels that a photo's longer side should keep when it is decoded for this input.

    A margin of a half: what the JPEG decoder drops is then finer than what `prepare` keeps.

    >>> needed_side(320)
    480
    """
    return input_side + input_side // 2


def to_photo(geometry: NDArray[np.float32], frames: list[Frame]) -> NDArray[np.float32]:
    """Move token ellipses from the square input to each photo's own frame.

    `geometry` is (B, L, M, 5): cx, cy, sx, sy, rho as fractions of the input; the
    result is in fractions of the photo, centres clipped to [0, 1] (a token may look
    at the padding).
    """
    boxes = np.array([(f.left, f.top, f.width, f.height) for f in frames], dtype=np.float32)
    left, top, width, height = (boxes[:, i, None, None] for i in range(4))
    moved = geometry.copy()
    moved[..., 0] = np.clip((geometry[..., 0] - left) / width, 0.0, 1.0)
    moved[..., 1] = np.clip((geometry[..., 1] - top) / height, 0.0, 1.0)
    moved[..., 2] = np.clip(geometry[..., 2] / width, 0.0, 1.0)
    moved[..., 3] = np.clip(geometry[..., 3] / height, 0.0, 1.0)
    return moved
