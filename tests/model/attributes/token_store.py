"""Attributes with random weights, and photos whose tokens are drawn around a value."""

import numpy as np
from numpy.typing import NDArray

from model.attributes.heads import AttributeHeads, AttributeInfo
from model.attributes.slot_heads import Scaling

LEVELS, TOKENS, WIDTH = 2, 3, 8
Store = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def draw_store(count: int, seed: int = 0) -> Store:
    """Tokens, mass and geometry of `count` images."""
    rng = np.random.default_rng(seed)
    tokens = rng.standard_normal((count, LEVELS, TOKENS, WIDTH)).astype(np.float32)
    tokens /= np.linalg.norm(tokens, axis=-1, keepdims=True)
    mass = rng.dirichlet(np.ones(TOKENS), (count, LEVELS)).astype(np.float32)
    geometry = (rng.random((count, LEVELS, TOKENS, 5)) / 5).astype(np.float32)
    return tokens, mass, geometry


def make_heads() -> AttributeHeads:
    """Two attributes, random weights, on slots that hold nothing on average."""
    rng = np.random.default_rng(1)
    features = WIDTH + 6
    scaling = Scaling(
        rng.standard_normal((LEVELS, TOKENS, features)).astype(np.float32) / 10,
        rng.uniform(0.5, 2, features).astype(np.float32),
    )
    infos = [
        AttributeInfo("collar", ("point", "polo"), 0.5, 100, "drawn garments"),
        AttributeInfo("hem", ("curved", "straight"), None, 80, "drawn garments"),
    ]
    maps = {
        info.name: rng.standard_normal((rows, LEVELS, TOKENS, features)).astype(np.float32)
        for info, rows in zip(infos, (6, 2), strict=True)
    }
    return AttributeHeads("f" * 64, infos, scaling, maps)
