"""Query photos of which a part was encoded: where tokens lie in that part, and on the photo."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from indexer.explain import crop_to_photo
from model.encoder import Encoded
from model.images import Box

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


class EncodedCrop(Encoded):
    """An encoding whose geometry is on the whole photo, and the part of it that was encoded.

    Items are encoded as they are, so that an attribute, which reads where tokens lie, has to
    read the crop as if it were a photo of its own.
    """

    box: Box

    @classmethod
    def place(cls, encoded: Encoded, box: Box) -> Self:
        """Move geometry from the crop to the photo, `box` in its fractions."""
        placed = cls(*encoded._replace(geometry=crop_to_photo(encoded.geometry, box)))
        placed.box = box
        return placed


def read_crop(photo: Any) -> NDArray[np.float32]:
    """Geometry (..., 5) of an encoding in the fractions of what was encoded."""
    left, top, right, bottom = getattr(photo, "box", WHOLE)
    width, height = right - left, bottom - top
    moved = photo.geometry - np.array([left, top, 0, 0, 0], np.float32)
    own: NDArray[np.float32] = moved / np.array([width, height, width, height, 1], np.float32)
    return own
