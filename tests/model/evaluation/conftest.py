"""Features whose ranking can be worked out, and a small set of photos."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.alignment import TokenAlignment
from model.config import AlignmentOptions
from model.data.records import Photo, RetrievalSet
from model.evaluation.embedding import Embedded
from model.evaluation.pairing import Pairing

LEVELS, TOKENS, WIDTH = 2, 3, 8
Make = Callable[[int], tuple[Embedded, Embedded, Pairing]]


def embed(rng: np.random.Generator, centres: np.ndarray, noise: float) -> Embedded:
    """Features around each row of `centres` (N, WIDTH)."""
    shape = (len(centres), LEVELS, TOKENS, WIDTH)
    tokens = centres[:, None, None] + noise * rng.normal(size=shape)
    vectors = centres + noise * rng.normal(size=centres.shape)
    unit = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (vectors, tokens)]
    mass = rng.uniform(0.1, 0.3, shape[:3])
    return Embedded(*(x.astype(np.float32) for x in (*unit, mass)))


@pytest.fixture
def make() -> Make:
    """Two queries and three gallery photos of each of `count` items."""

    def build(count: int) -> tuple[Embedded, Embedded, Pairing]:
        rng = np.random.default_rng(3)
        centres, item = rng.normal(size=(count, WIDTH)), np.arange(count)
        asked, kept = np.repeat(item, 2), np.repeat(item, 3)
        photos = np.arange(5 * count)
        pairing = Pairing(asked, kept, photos[: 2 * count], photos[2 * count :])
        return embed(rng, centres[asked], 0.8), embed(rng, centres[kept], 0.8), pairing

    return build


@pytest.fixture(scope="session")
def alignment() -> TokenAlignment:
    """A transformer that does something: its last layers do not start at zero."""
    torch.manual_seed(1)
    options = AlignmentOptions(num_heads=2, compare="all")
    built = TokenAlignment(LEVELS, WIDTH, options).eval()
    for parameter in built.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    return built


@pytest.fixture(scope="session")
def retrieval(tmp_path_factory: pytest.TempPathFactory) -> RetrievalSet:
    """Six colours, one query and two gallery photos each, and a query nobody can answer."""
    folder, rng = tmp_path_factory.mktemp("colours"), np.random.default_rng(0)
    colours = rng.integers(0, 255, (7, 3))

    def photo(item: int, number: int) -> Photo:
        path = folder / f"{item}-{number}.png"
        noise = rng.integers(-20, 20, (8, 8, 3))
        pixels = np.clip(colours[item] + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).resize((64, 64)).save(path)
        return Photo(path, f"item {item}")

    gallery = [photo(item, number) for item in range(6) for number in (1, 2)]
    return RetrievalSet("test", tuple(photo(item, 0) for item in range(7)), tuple(gallery))


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder an item, four photos each, for the command line."""
    root, rng = tmp_path_factory.mktemp("items"), np.random.default_rng(1)
    for item in range(12):
        (root / f"item{item}").mkdir()
        colour = rng.integers(0, 255, 3)
        for number in range(4):
            pixels = np.clip(colour + rng.integers(-20, 20, (8, 8, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).resize((48, 48)).save(root / f"item{item}" / f"{number}.png")
    return root
