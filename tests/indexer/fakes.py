"""An encoder whose answers a person can work out: the colours of a photo.

Global feature: mean red, green, blue and a constant 1, brought to unit length.
Level l, token m: the mean colour of one quarter of the photo (left to right, top
to bottom), shifted by l, at that quarter's centre, with a share of one quarter.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

LEVELS, TOKENS, WIDTH, GLOBAL = 2, 4, 8, 4
CENTRES = [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)]


class Encoded(NamedTuple):
    """The fields of model.encoder.Encoded, without torch."""

    global_feature: NDArray[np.float32]
    tokens: NDArray[np.float32]
    mass: NDArray[np.float32]
    geometry: NDArray[np.float32]
    recall: NDArray[np.float32]


class FakeEncoder:
    """Counts what it is given; `name` decides the fingerprint.

    With `recall_vector` granular, stage one compares the tokens of level 0 in place of the
    global feature.
    """

    device = "cpu"
    input_side = 64
    trained_for_retrieval = False
    weights = "mean colours"

    def __init__(self, name: str = "fake", recall_vector: str = "global") -> None:
        self.fingerprint = hashlib.sha256(name.encode()).hexdigest()
        self.recall_vector = recall_vector
        self.batches: list[int] = []

    def prepare(self, image: Image.Image) -> NDArray[np.float32]:
        return np.asarray(image.resize((8, 8), Image.Resampling.BOX), np.float32) / 255

    def prepare_query(self, image: Image.Image) -> tuple[NDArray[np.float32], ...]:
        return (self.prepare(image),)

    def encode_queries(self, photos: Sequence[tuple[NDArray[np.float32], ...]]) -> list[Any]:
        from model.encoder import Encoded as WithTokenSet  # only searches need torch

        encoded = self.encode([photo[0] for photo in photos])
        return [WithTokenSet(*(part[i : i + 1] for part in encoded)) for i in range(len(photos))]

    def encode(self, prepared: Sequence[NDArray[np.float32]]) -> Encoded:
        self.batches.append(len(prepared))
        pixels = np.stack(prepared)
        mean = pixels.mean(axis=(1, 2))
        count = len(pixels)
        # The size of the batch leaks into the last bit, as in real networks.
        constant = np.full((count, 1), 1 + 1e-6 * count, np.float32)
        quarters = pixels.reshape(count, 2, 4, 2, 4, 3).mean(axis=(2, 4)).reshape(count, 4, 3)
        tokens = np.zeros((count, LEVELS, TOKENS, WIDTH), np.float32)
        for level in range(LEVELS):
            tokens[:, level, :, level : level + 3] = quarters + 0.1
        geometry = np.array([[*centre, 0.25, 0.25, 0.0] for centre in CENTRES], np.float32)
        whole, tokens = unit(np.concatenate([mean, constant], axis=1)), unit(tokens)
        granular = unit(tokens[:, 0].reshape(count, -1) - 0.3)
        return Encoded(
            whole,
            tokens,
            np.full((count, LEVELS, TOKENS), 0.25, np.float32),
            np.broadcast_to(geometry, (count, LEVELS, TOKENS, 5)).copy(),
            whole if self.recall_vector == "global" else granular,
        )


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / length).astype(np.float32)


def draw_photo(path: Path, number: int, side: int = 64) -> Path:
    """Draw a square of its own colour on white: no two numbers look alike."""
    image = Image.new("RGB", (side, side), "white")
    colour = (37 * number % 256, 101 * number % 256, 7 * number % 256)
    box = (side // 4, side // 4 + number % 5, 3 * side // 4, 3 * side // 4)
    ImageDraw.Draw(image).rectangle(box, fill=colour)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=90)
    return path


def draw_photos(folder: Path, count: int) -> Path:
    """Draw `count` photos in two folders."""
    for number in range(count):
        draw_photo(folder / f"part{number % 2}" / f"{number:04}.jpg", number)
    return folder
