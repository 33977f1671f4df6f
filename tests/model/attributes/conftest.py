"""Photos that exist only as records."""

from pathlib import Path

import numpy as np

from model.attributes.records import Attribute, AttributeData, AttributeSplit, Labelled
from model.data.records import Photo

EMPTY = AttributeSplit((), {}, {})


def photo(name, *values, item=None, others=None):
    """A record of which the k-th value is `values[k]`; None is unknown."""
    known = {k: value for k, value in enumerate(values) if value is not None}
    return Labelled(Photo(Path(f"{name}.jpg"), item or str(name)), known, others or {})


def make_data(train, counts, **more):
    """Training photos of attributes a, b, ... with these numbers of values."""
    attributes = tuple(
        Attribute("abcdef"[k], tuple(f"v{n}" for n in range(count)))
        for k, count in enumerate(counts)
    )
    return AttributeData("mini", attributes, tuple(train), EMPTY, EMPTY, **more)


def make_split(num_photos=60, counts=(4, 3), seed=0, share=3, **more):
    """Photos of random values; each `share`-th asks, the others answer."""
    rng = np.random.default_rng(seed)
    photos = tuple(
        photo(n, *(int(rng.integers(count)) for count in counts), item=f"i{n // 2}")
        for n in range(num_photos)
    )
    asks = tuple(n for n in range(num_photos) if n % share == 0)
    answers = tuple(n for n in range(num_photos) if n % share)
    known = range(len(counts))
    queries, candidates = dict.fromkeys(known, asks), dict.fromkeys(known, answers)
    attributes = tuple(Attribute("abcdef"[k], tuple("012345"[: counts[k]])) for k in known)
    return AttributeSplit(photos, queries, candidates, **more), attributes
