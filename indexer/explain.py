"""Why a hit: token pairs with the largest shares of S_token, as regions of both photos.

K hits, L levels, M tokens a level; V views: each photo of the query at each of its scales.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from indexer.results import Ellipse, Explanation, RegionPair
from model.alignment import TokenSet
from model.encoder import Encoded

# An even region has its border at two standard deviations.
DEVIATIONS = 2.0


def explain_hits(
    encoder: Any, photos: Sequence[Encoded], hits: Sequence[Encoded], count: int
) -> list[Explanation]:
    """Take each hit's token score, the mean over the query's views, apart into region pairs."""
    if not hits:
        return []
    tokens, mass = (
        torch.from_numpy(np.stack([getattr(hit, name)[0] for hit in hits]))[None]
        for name in ("tokens", "mass")
    )
    views = [
        _View(number, Encoded(*(part[row : row + 1] for part in photo)))
        for number, photo in enumerate(photos)
        for row in range(len(photo.mass))
    ]
    found = [encoder.explain(view.encoded.token_set, TokenSet(tokens, mass)) for view in views]
    share = np.stack([each.share for each in found], axis=1) / len(views)  # (K, V, L, M, M)
    similarity = np.stack([each.similarity for each in found], axis=1)
    constant = np.mean([each.constant for each in found], axis=0)
    return [
        _explain(views, hit, share[k], similarity[k], float(constant[k]), count)
        for k, hit in enumerate(hits)
    ]


def to_ellipse(geometry: NDArray[np.float32]) -> Ellipse:
    """Draw (5,) cx, cy, sx, sy, rho as an ellipse: the eigenvectors of its covariance.

    >>> to_ellipse(np.array([0.5, 0.25, 0.1, 0.2, 0.0], dtype=np.float32)).angle
    90.0
    """
    x, y, sx, sy, rho = (float(value) for value in geometry)
    mixed = rho * sx * sy
    values, vectors = np.linalg.eigh([[sx * sx, mixed], [mixed, sy * sy]])
    minor, major = np.sqrt(np.maximum(values, 0.0))
    angle = math.degrees(math.atan2(vectors[1, 1], vectors[0, 1]))
    # An axis has no direction: 170 degrees is -10.
    angle = angle - 180.0 if angle > 90.0 else angle + 180.0 if angle <= -90.0 else angle
    return Ellipse(x, y, DEVIATIONS * float(major), DEVIATIONS * float(minor), angle)


def crop_to_photo(
    geometry: NDArray[np.float32], box: tuple[float, float, float, float]
) -> NDArray[np.float32]:
    """Move (..., 5) ellipses from a crop to the photo it was cut from, `box` in its fractions."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    moved = geometry * np.array([width, height, width, height, 1], np.float32)
    moved[..., :2] += np.array([left, top], np.float32)
    return moved


class _View(NamedTuple):
    """One scale of a photo of the query."""

    photo: int
    encoded: Encoded


def _explain(
    views: Sequence[_View],
    hit: Encoded,
    share: NDArray[np.float32],
    similarity: NDArray[np.float32],
    constant: float,
    count: int,
) -> Explanation:
    """One hit: (V, L, M, M) shares and similarities to its largest pairs."""
    # Pairs that add nothing, padding among them, explain nothing.
    best = [at for at in np.argsort(-share, axis=None, kind="stable")[:count] if share.flat[at] > 0]
    pairs = []
    for at in best:
        view, level, i, j = (int(part) for part in np.unravel_index(at, share.shape))
        pairs.append(
            RegionPair(
                photo=views[view].photo,
                level=level,
                query=to_ellipse(views[view].encoded.geometry[0, level, i]),
                item=to_ellipse(hit.geometry[0, level, j]),
                similarity=float(similarity.flat[at]),
                share=float(share.flat[at]),
            )
        )
    total = float(share.sum(dtype=np.float64))
    return Explanation(tuple(pairs), total - sum(pair.share for pair in pairs), constant)
