"""The other way to serve attributes: every image keeps an embedding for each of them.

B images, E width of an embedding.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.attributes.features import Floats
from model.attributes.metrics import evaluate_vectors
from model.attributes.records import AttributeData, AttributeSplit
from model.attributes.results import AttributeResults
from model.attributes.slot_heads import AttributeHeads
from model.attributes.token_cache import TokenStore
from model.attributes.training import restrict


def pack_embeddings(embeddings: Floats) -> NDArray[np.int8]:
    """Quantise (B, E) unit vectors to E bytes each; the scale is lost, and a cosine needs none.

    >>> pack_embeddings(np.array([[0.6, -0.8], [0.0, 0.0]], dtype=np.float32)).tolist()
    [[95, -127], [0, 0]]
    """
    largest = np.abs(embeddings).max(axis=-1, keepdims=True)
    codes: NDArray[np.int8] = np.rint(127 * embeddings / np.where(largest > 0, largest, 1)).astype(
        np.int8
    )
    return codes


def measure_stored(
    heads: AttributeHeads, data: AttributeData, split: AttributeSplit, store: TokenStore
) -> AttributeResults:
    """Measure as `measure_heads` does, with the candidates and queries rounded to int8."""
    described = heads.describe(*store.parts)
    known = restrict(split, [k for k, a in enumerate(data.attributes) if a.name in heads.names])

    def look(k: int, places: Sequence[int]) -> Floats:
        found = heads.embed_described(data.attributes[k].name, described[list(places)])
        return pack_embeddings(found).astype(np.float32)

    return evaluate_vectors(look, known, data.attributes, data_set=data.name, method="stored int8")
