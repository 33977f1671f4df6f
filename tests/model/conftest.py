"""A tiny checkpoint, made once."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.fit import create_checkpoint


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve smooth colour fields of different shapes."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    files = []
    for number in range(12):
        seeds = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
        size = (60 + 5 * number, 90)
        files.append(folder / f"{number:02}.png")
        Image.fromarray(seeds).resize(size, Image.Resampling.BICUBIC).save(files[-1])
    return files


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, photos: list[Path]) -> Path:
    """The tiny preset with random weights, fitted on `photos`."""
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    create_checkpoint(path, preset="tiny", photos=photos)
    return path
