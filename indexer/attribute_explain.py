"""Where an attribute looks: its shares of the tokens, as regions of both photos.

K hits, S scales, L levels, M tokens a level.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from indexer.attributes import AttributeSet
from indexer.cropping import read_crop
from indexer.explain import to_ellipse
from indexer.results import AttributeRegions, Region
from model.attributes.heads import AttributeHeads


def explain_attributes(
    attributes: AttributeSet,
    names: Iterable[str],
    photos: Sequence[Any],
    hits: Sequence[Any],
    count: int,
) -> list[dict[str, AttributeRegions]]:
    """For each hit, by attribute: the `count` regions that decide most, on query and item.

    `photos` are `model.encoder.Encoded` with a row a scale, of which each has an equal part of
    its photo's shares; `hits` are of one row.
    """
    found: list[dict[str, AttributeRegions]] = [{} for _ in hits]
    for name in names:
        heads = attributes.find(name)
        query = _find_regions(heads, name, photos, count)
        for regions, hit in zip(found, hits, strict=True):
            regions[name] = AttributeRegions(query, _find_regions(heads, name, [hit], count))
    return found


def _find_regions(
    heads: AttributeHeads, name: str, photos: Sequence[Any], count: int
) -> tuple[Region, ...]:
    regions = []
    for number, photo in enumerate(photos):
        shares = heads.attend(name, photo.tokens, photo.mass, read_crop(photo)) / len(photo.mass)
        # Tokens that add nothing explain nothing.
        best = np.argsort(-shares, axis=None, kind="stable")[:count]
        for at in (at for at in best if shares.flat[at] > 0):
            place = np.unravel_index(at, shares.shape)
            ellipse = to_ellipse(photo.geometry[place])
            regions.append(Region(ellipse, float(shares.flat[at]), number))
    return tuple(sorted(regions, key=lambda region: -region.share)[:count])
