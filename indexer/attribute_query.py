"""A query by attributes: how alike each item of a gallery is to it in each of them.

A attributes, n items, E width of an embedding. S_a is the cosine of two embeddings; of a query
with several photos or scales it is the mean over them.

    score = (overall * fused + sum of w_a S_a) / (overall + sum of w_a)
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.cropping import read_crop
from indexer.protocols import Gallery, Recalled, Selection
from model.attributes.heads import AttributeHeads
from model.errors import StorageError

# Items compared together: bounds the float32 copy of their embeddings.
_AT_ONCE = 65_536

Floats = NDArray[np.float32]


class AttributeQuery:
    """Compares one query with all items that a search may return; every item is compared."""

    def __init__(
        self,
        gallery: Gallery,
        photos: Sequence[Any],
        weights: Mapping[str, float],
        overall: float,
        selection: Selection | None,
        until: float | None = None,
    ) -> None:
        """Compare; the first use of an attribute computes what it sees of all items.

        Args:
            gallery: whose attributes and items.
            photos: `model.encoder.Encoded`, each with a row a scale.
            weights: by attribute.
            overall: weight of the fused score.
            selection: the rows to compare, or not to; None for all.
            until: how long to wait for a first use, on the clock of `time.monotonic`.

        Raises:
            AttributePendingError: the first use of an attribute takes longer.
        """
        self.overall = overall
        self._weights = np.array(list(weights.values()), np.float32)
        scores = []
        rows = np.empty(0, np.int64)
        for name in weights:
            query = embed_query(gallery.attributes.find(name), name, photos)
            found = gallery.embed_items(name, until)
            rows, places = _select(found.rows, selection)
            scores.append(_compare(found.vectors, places, query))
        self._rows = rows
        self._scores = np.stack(scores, axis=1)  # (n, A)
        self._sums = self._scores @ self._weights

    def rank(self, count: int) -> Recalled:
        """The `count` items most alike by the attributes alone, best first."""
        sums, chosen = self._sums, np.arange(len(self._sums))
        if count < len(sums):
            # All that tie with the last one, so that a larger count begins with the same items.
            least = np.partition(sums, len(sums) - count)[len(sums) - count]
            chosen = np.flatnonzero(sums >= least)
        best = chosen[np.argsort(-sums[chosen], kind="stable")[:count]]
        return Recalled(self._rows[best], sums[best] / self._weights.sum())

    def read(self, rows: NDArray[np.int64]) -> Floats:
        """S_a of these rows, (n, A), each in [-1, 1]."""
        return self._scores[self._find(rows)]

    def combine(self, rows: NDArray[np.int64], fused: Floats) -> Floats:
        """The score of these rows; `fused` may be NaN where it has no weight."""
        sums = self._sums[self._find(rows)]
        if self.overall > 0:
            sums = sums + np.float32(self.overall) * fused
        combined: Floats = sums / (np.float32(self.overall) + self._weights.sum())
        return combined

    def _find(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        at = np.searchsorted(self._rows, rows)
        if (self._rows.take(at, mode="clip") != rows).any():
            raise StorageError("a row asked for is not in this gallery; open the index again")
        return at


def embed_query(heads: AttributeHeads, name: str, photos: Sequence[Any]) -> Floats:
    """Embed a query, (E,): a mean of cosines is the product with the mean embedding."""
    means = [
        heads.embed(name, photo.tokens, photo.mass, read_crop(photo)).mean(0) for photo in photos
    ]
    mean: Floats = np.mean(means, axis=0)
    return mean


def _select(
    rows: NDArray[np.int64], selection: Selection | None
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """The rows to compare, and their places among all; None for all."""
    if selection is None:
        return rows, None
    places = np.flatnonzero(np.isin(rows, selection.rows) == selection.inside)
    return rows[places], places


def _compare(
    vectors: NDArray[np.float16], places: NDArray[np.int64] | None, query: Floats
) -> Floats:
    """Cosines of the chosen items with a query (E,): (n,)."""
    chosen = vectors if places is None else vectors[places]
    scores = np.empty(len(chosen), np.float32)
    for start in range(0, len(chosen), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        scores[part] = chosen[part].astype(np.float32) @ query[: chosen.shape[1]]
    return np.clip(scores, -1, 1)
