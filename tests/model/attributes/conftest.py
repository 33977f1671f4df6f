"""Attributes with random weights, and photos whose tokens are drawn around a value."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from model.attributes.heads import AttributeHeads, AttributeInfo
from model.attributes.slot_heads import SlotBasis

LEVELS, TOKENS, WIDTH, SLOT, DIM = 2, 3, 8, 12, 6
Store = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def draw_store(count: int, seed: int = 0) -> Store:
    """Tokens, mass and geometry of `count` images."""
    rng = np.random.default_rng(seed)
    tokens = rng.standard_normal((count, LEVELS, TOKENS, WIDTH)).astype(np.float32)
    tokens /= np.linalg.norm(tokens, axis=-1, keepdims=True)
    mass = rng.dirichlet(np.ones(TOKENS), (count, LEVELS)).astype(np.float32)
    geometry = (rng.random((count, LEVELS, TOKENS, 5)) / 5).astype(np.float32)
    return tokens, mass, geometry


@pytest.fixture
def store() -> Callable[..., Store]:
    return draw_store


@pytest.fixture
def heads() -> AttributeHeads:
    """Two attributes, random weights."""
    rng = np.random.default_rng(1)
    features = WIDTH + 6
    basis = SlotBasis(
        rng.standard_normal((LEVELS, TOKENS, features)).astype(np.float32) / 10,
        rng.standard_normal((LEVELS, TOKENS, features, SLOT)).astype(np.float32),
    )
    infos = [
        AttributeInfo("collar", ("point", "polo"), 0.5, 100, "drawn garments"),
        AttributeInfo("hem", ("curved", "straight"), None, 80, "drawn garments"),
    ]
    maps = {
        info.name: rng.standard_normal((DIM, LEVELS, TOKENS, SLOT)).astype(np.float32)
        for info in infos
    }
    return AttributeHeads("f" * 64, infos, basis, maps)
