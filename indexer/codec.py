"""How tokens and their geometry become a few bytes each, and come back.

n images, L levels, M tokens a level, d token width.

Tokens: int8 with one float16 scale a token, scale = max|x| / 127, so that an
element is off by at most half a scale. A token of zeros (unused) stays zeros.

Geometry: six bytes a token.

    byte  value                       range     code
    0, 1  cx, cy  centre              [0, 1]    round(255 v)         step 1/255
    2, 3  sx, sy  standard deviation  [0, 1]    round(255 v)         step 1/255
    4     rho     correlation         [-1, 1]   128 + round(127 v)   0 is exact
    5     mass    share of the image  [0, 1]    round(255 sqrt(v))   see below

x and y are fractions of the photo's width and height. The square root keeps small
shares apart: around 1/16, an even share of 16 tokens, the step is 2e-3, and a
share above zero never becomes zero. Values outside their range are clipped.
"""

import numpy as np
from numpy.typing import NDArray

GEOMETRY_BYTES = 6


def pack_tokens(tokens: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """Quantise (..., d) tokens to int8 with one scale a token.

    >>> codes, scales = pack_tokens(np.array([[0.6, -0.8], [0.0, 0.0]], dtype=np.float32))
    >>> codes.tolist(), scales[1].item()
    ([[95, -127], [0, 0]], 0.0)
    """
    scales = (np.abs(tokens).max(axis=-1) / 127).astype(np.float16)
    # Divide by the scale as stored: its own rounding must not add to the error.
    divisor = np.where(scales > 0, scales, 1).astype(np.float32)[..., None]
    codes: NDArray[np.int8] = np.clip(np.rint(tokens / divisor), -127, 127).astype(np.int8)
    return codes, scales


def unpack_tokens(codes: NDArray[np.int8], scales: NDArray[np.floating]) -> NDArray[np.float32]:
    """Bring (..., d) codes back to unit-length tokens; unused tokens stay zero."""
    tokens: NDArray[np.float32] = codes.astype(np.float32) * scales.astype(np.float32)[..., None]
    length = np.linalg.norm(tokens, axis=-1, keepdims=True)
    unit: NDArray[np.float32] = (tokens / np.where(length > 0, length, 1)).astype(np.float32)
    return unit


def pack_geometry(geometry: NDArray[np.float32], mass: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Quantise (..., 5) geometry and (...) mass to (..., 6) bytes."""
    ellipse = np.rint(255 * np.clip(geometry[..., 0:4], 0, 1))
    rho = 128 + np.rint(127 * np.clip(geometry[..., 4:5], -1, 1))
    share = np.rint(255 * np.sqrt(np.clip(mass, 0, 1)))
    share = np.where(mass > 0, np.maximum(share, 1), share)
    return np.concatenate([ellipse, rho, share[..., None]], axis=-1).astype(np.uint8)


def unpack_geometry(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Bring (..., 6) bytes back to (..., 5) cx, cy, sx, sy, rho."""
    values = codes.astype(np.float32)
    return np.concatenate([values[..., 0:4] / 255, (values[..., 4:5] - 128) / 127], axis=-1)


def unpack_mass(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Read the share of the image from (..., 6) bytes.

    >>> f"{unpack_mass(np.array([0, 0, 0, 0, 0, 51], dtype=np.uint8)):.3f}"
    '0.040'
    """
    share: NDArray[np.float32] = np.square(codes[..., 5] / 255).astype(np.float32)
    return share
