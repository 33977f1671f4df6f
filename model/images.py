"""Bytes to an upright RGB photo: the one place where files from strangers are decoded.

Limits are checked on the header, before any pixel is decoded.
"""

import math
import struct
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from model.errors import ImageError, ImageTooLargeError, ParameterError

Box = tuple[float, float, float, float]

MAX_PIXELS = 64_000_000
MIN_SIDE = 16
# EXIF orientations that swap width and height.
_ON_ITS_SIDE = (5, 6, 7, 8)
# Formats that need another program (EPS) or that shops do not use stay closed.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
# What Pillow's decoders and EXIF reader raise on damaged files, as seen by fuzzing them.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    ZeroDivisionError,
    EOFError,
    RuntimeError,
    struct.error,
    Warning,  # where the caller's filters turn them into exceptions
)


class Decoded(NamedTuple):
    """An upright RGB photo, perhaps smaller than it was, and the whole one's width and height."""

    image: Image.Image
    size: tuple[int, int]


def read_image(path: Path, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode the file at `path`; see `decode_image`. Messages name the file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise ImageError(f"{path} cannot be read: {reason}; check the path and its rights") from (
            error
        )
    try:
        return decode_image(data, max_pixels=max_pixels)
    except ImageError as error:
        raise type(error)(f"{path}: {error}") from error


def decode_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode one image to upright RGB, 8 bits a channel.

    EXIF orientation is applied, transparency is laid on white, CMYK and 16-bit
    images are converted, and of an animation the first frame is taken.

    Raises:
        ImageTooLargeError: more than `max_pixels` pixels (found before decoding).
        ImageError: empty, not an image, truncated, damaged, or a side under 16 pixels.
    """
    return _decode(data, max_pixels).image


def decode_reduced(data: bytes, at_least: int, *, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Decode like `decode_image`, but let a JPEG that is much larger than needed come back smaller.

    The JPEG decoder shrinks by 2, 4 or 8 at a fraction of the cost, as long as the longer side
    keeps `at_least` pixels. Other formats come back whole. For the whole photo only: a crop
    needs every pixel.

    Raises as `decode_image` does.
    """
    return _decode(data, max_pixels, at_least)


def _decode(data: bytes, max_pixels: int, at_least: int | None = None) -> Decoded:
    if not data:
        raise ImageError("the image is empty (0 bytes); send a JPEG, PNG or WebP photo")
    image = _open(data, max_pixels)
    width, height = image.size
    try:
        image.seek(0)
        if at_least is not None:
            _reduce(image, at_least)
        image.load()
        on_its_side = image.getexif().get(ExifTags.Base.Orientation) in _ON_ITS_SIDE
        upright = _to_rgb(ImageOps.exif_transpose(image))
        return Decoded(upright, (height, width) if on_its_side else (width, height))
    except DECODER_ERRORS as error:
        raise ImageError(
            f"the {image.format} image is damaged or truncated ({error}); send the whole file"
        ) from error


def _reduce(image: Image.Image, at_least: int) -> None:
    """Have a JPEG decoded at 1/2, 1/4 or 1/8; narrow ones stay, so that no side vanishes."""
    if image.format != "JPEG" or min(image.size) < 8 * MIN_SIDE:
        return
    share = at_least / max(image.size)
    width, height = (max(1, math.floor(length * share)) for length in image.size)
    image.draft("RGB", (width, height))


def crop_image(image: Image.Image, box: Box | None) -> tuple[Image.Image, Box]:
    """Cut left, top, right, bottom (fractions, 0 to 1) out; return the box in whole pixels too.

    Raises ParameterError when a side of it has under 16 pixels.

    >>> crop_image(Image.new("RGB", (100, 50)), (0.0, 0.5, 0.333, 1.0))[1]
    (0.0, 0.5, 0.33, 1.0)
    """
    if box is None:
        return image, (0.0, 0.0, 1.0, 1.0)
    width, height = image.size
    left, right = (round(edge * width) for edge in box[::2])
    top, bottom = (round(edge * height) for edge in box[1::2])
    if min(right - left, bottom - top) < MIN_SIDE:
        raise ParameterError(
            f"the box holds {right - left} x {bottom - top} pixels of the photo's {width} x "
            f"{height}; each side needs at least {MIN_SIDE}, so draw it larger"
        )
    cut = (left / width, top / height, right / width, bottom / height)
    return image.crop((left, top, right, bottom)), cut


def _open(data: bytes, max_pixels: int) -> Image.Image:
    """Read the header and check the size."""
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLargeError(
            f"the image has too many pixels to be safe; at most {max_pixels:,} are accepted, "
            "scale it down"
        ) from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"these {len(data):,} bytes are not an image; send one of {', '.join(FORMATS)}"
        ) from error
    except DECODER_ERRORS as error:
        raise ImageError(f"the image header is damaged ({error}); send the whole file") from error
    width, height = image.size
    if width * height > max_pixels:
        raise ImageTooLargeError(
            f"the image is {width} x {height} = {width * height:,} pixels; at most "
            f"{max_pixels:,} are accepted, scale it down"
        )
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            f"the image is {width} x {height} pixels; each side needs at least {MIN_SIDE}"
        )
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _from_deep_grey(image).convert("RGB")
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    return image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """Lay transparency on white, as shops show their cut-outs."""
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey (0..65535) or float grey (0..1) to 8 bits: Pillow would clip it."""
    values = np.asarray(image, dtype=np.float64)
    top = 1.0 if image.mode == "F" else 65535.0
    grey = np.clip(values / top * 255.0, 0.0, 255.0).round().astype(np.uint8)
    return Image.fromarray(grey)
