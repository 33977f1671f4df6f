"""From a record to pixels: decode, and cut the box out."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from model.data.records import Box, BoxFrame, Photo
from model.errors import DataError
from model.images import DECODER_ERRORS, MAX_PIXELS, MIN_SIDE, read_image

ORIENTATION = 0x0112


def read_photo(photo: Photo, *, at_least: int | None = None) -> Image.Image:
    """Decode a photo to RGB, cut to its box.

    With `at_least`, a large JPEG without a box may come back smaller, its longer side
    still `at_least` pixels or more: several times faster, and meant for training only.

    Raises:
        ImageError: the file cannot be read.
        DataError: the box and the photo have no pixel in common.
    """
    if photo.box is None:
        image = (at_least and _read_draft(photo.path, at_least)) or read_image(photo.path)
    else:
        image = crop(read_image(photo.path), photo)
    if photo.view_seed is None:
        return image
    # Here, not above: the views build on this module's images, not on its records.
    from model.data.augment import draw_view

    return draw_view(image, np.random.default_rng(photo.view_seed))


def crop(image: Image.Image, photo: Photo) -> Image.Image:
    """Cut the photo's box out of its image; what lies beyond the border is left out."""
    box = photo.box
    assert box is not None
    if photo.box_frame is not None:
        box = to_pixels(box, photo.box_frame, image.size)
    width, height = image.size
    inside = Box(max(0, box.x1), max(0, box.y1), min(width, box.x2), min(height, box.y2))
    if inside.x2 <= inside.x1 or inside.y2 <= inside.y1:
        raise DataError(
            f"the box {tuple(box)} of {photo.path} lies outside the image of {width} x {height} "
            "pixels; expected corners x1, y1, x2, y2 within it. Correct the box or leave it out"
        )
    return image.crop(inside)


def to_pixels(box: Box, frame: BoxFrame, size: tuple[int, int]) -> Box:
    """Move a box from the resized photo it was drawn in to the photo of `size` itself.

    >>> to_pixels(Box(64, 0, 192, 256), BoxFrame(256, padded=True), (750, 1500))
    Box(x1=0, y1=0, x2=750, y2=1500)
    """
    width, height = size
    scale = frame.side / max(size)
    left = (frame.side - scale * width) / 2 if frame.padded else 0.0
    top = (frame.side - scale * height) / 2 if frame.padded else 0.0
    return Box(
        round((box.x1 - left) / scale),
        round((box.y1 - top) / scale),
        round((box.x2 - left) / scale),
        round((box.y2 - top) / scale),
    )


def _read_draft(path: Path, at_least: int) -> Image.Image | None:
    """Let the JPEG decoder shrink by 1, 2, 4 or 8; None where the usual way has to do it.

    Also without shrinking this is faster: the pixels are not copied again.
    """
    try:
        with Image.open(path, formats=("JPEG",)) as image:
            width, height = image.size
            odd = image.mode != "RGB" or width * height > MAX_PIXELS
            if odd or min(image.size) < 8 * MIN_SIDE:
                return None
            scale = at_least / max(image.size)
            image.draft("RGB", (max(1, round(width * scale)), max(1, round(height * scale))))
            image.load()
            turned = image.getexif().get(ORIENTATION, 1) != 1
            return ImageOps.exif_transpose(image) if turned else image
    except DECODER_ERRORS:
        return None  # read_image finds the same fault and says it in a sentence
