"""What an attribute may read of a token: its content, how much it holds, where it looks.

B images, L levels, M tokens a level, d token width, F = d + 6 features a token.
"""

import numpy as np
from numpy.typing import NDArray

from model.errors import ParameterError

Floats = NDArray[np.float32]

# Centre x, y, standard deviation x, y, correlation, and the root of the mass.
GEOMETRY_FEATURES = 6


def describe_tokens(tokens: Floats, mass: Floats, geometry: Floats) -> Floats:
    """Join what is known of each token: (B, L, M, d + 6).

    The content is the token (unit length) times the root of its mass, as in the granular
    vector (docs/math.md, Eq. 13), so that a token that holds little says little.

    Args:
        tokens: (B, L, M, d), unit length, or all zero for an unused token.
        mass: (B, L, M) in [0, 1].
        geometry: (B, L, M, 5), as `model.encoder.Encoded` has it.

    Raises:
        ParameterError: the three do not belong together, or hold a value that is no number.
    """
    _check(tokens, mass, geometry)
    root = np.sqrt(mass)[..., None]
    joined: Floats = np.concatenate((tokens * root, geometry, root), axis=-1, dtype=np.float32)
    return joined


def _check(tokens: Floats, mass: Floats, geometry: Floats) -> None:
    if tokens.ndim != 4 or mass.shape != tokens.shape[:3] or geometry.shape != (*mass.shape, 5):
        raise ParameterError(
            f"tokens {tokens.shape}, mass {mass.shape} and geometry {geometry.shape} do not belong "
            "together; expected (B, L, M, d), (B, L, M) and (B, L, M, 5)"
        )
    if not all(np.isfinite(x).all() for x in (tokens, mass, geometry)) or (mass < 0).any():
        raise ParameterError(
            "tokens, mass or geometry hold a value that is no number, or a mass below zero; "
            "encode the photos anew"
        )
