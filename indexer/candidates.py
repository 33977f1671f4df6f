"""The candidates of one search: recalled in blocks, each block re-ranked on its own.

P photos of one garment (usually one), each at S scales, R width of the recall vector,
n candidates.

Blocks make paging possible: what a later page needs never changes the order of an
earlier one. The first block holds `candidates` items, and a usual search ends in it.

A search by attributes compares every item with them (`indexer.attribute_query`): their best
are candidates beside those that recall finds, or alone where the whole likeness has no weight.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.attribute_query import AttributeQuery
from indexer.protocols import Gallery, Recalled, Selection, TokenBlock
from indexer.ranking import Ranking, Timer, to_token_set
from model.encoder import Encoded
from model.fusion import fuse

# Candidates aligned together: bounds the memory of one call, and how late a deadline is seen.
ALIGN_CHUNK = 256


class DeadlinePassed(Exception):
    """Time ran out while aligning; the engine goes on without it."""


class Blocks(NamedTuple):
    """Candidates of each block, best first; `all_found`: the gallery has no others."""

    blocks: list[Recalled]
    all_found: bool


class Candidates:
    """Recalls and re-ranks for one query, with one photo or several of the same garment.

    Several photos: an item is a candidate when any photo recalls it, and its scores are the
    means over the photos. The mean asks an item to agree with every view, where a maximum
    would let one lucky likeness win; and it keeps the shares of an explanation exact.
    The scales of one photo are averaged in the same way, but recall together (Eq. 9a).
    """

    def __init__(
        self,
        gallery: Gallery,
        encoder: Any,
        photos: Sequence[Encoded],
        alpha: float,
        selection: Selection | None,
        timer: Timer,
        attributes: AttributeQuery | None = None,
    ) -> None:
        self._gallery = gallery
        self._encoder = encoder
        self._photos = photos
        self._alpha = alpha
        self._selection = selection
        self._timer = timer
        self._attributes = attributes

    def recall(self, edges: Sequence[int]) -> Blocks:
        """Block b holds what is among the first edges[b] of any list, and in no block before.

        There is a list a photo, and one by attributes.
        """
        count = edges[-1]
        with self._timer.stage("recall"):
            # A mean of inner products is the inner product with the mean.
            vectors = np.stack([photo.recall.mean(0) for photo in self._photos])  # (P, R)
            found = self._find(vectors, count)
            whole, place = found[0], np.arange(len(found[0].rows))
            if len(found) > 1 or self._attributes is not None:
                whole, place = self._merge(vectors, found)
        block_of = np.searchsorted(np.asarray(edges), place, side="right")
        members = [np.flatnonzero(block_of == number) for number in range(len(edges))]
        blocks = [Recalled(whole.rows[part], whole.scores[part]) for part in members]
        return Blocks(blocks, all(len(each.rows) < count for each in found))

    def rerank(self, found: Recalled, deadline: float | None) -> Ranking:
        """Order candidates by their score; DeadlinePassed when there is no time to."""
        pairs = []
        for start in range(0, len(found.rows), ALIGN_CHUNK):
            if deadline is not None and time.monotonic() >= deadline:
                raise DeadlinePassed
            part = slice(start, start + ALIGN_CHUNK)
            pairs.append(self._score(Recalled(found.rows[part], found.scores[part])))
        scores = np.concatenate(pairs, axis=1) if pairs else np.empty((2, 0), np.float32)
        fused = fuse(scores[0], scores[1], self._alpha)
        ranking = self._add_attributes(found.rows, scores[0], scores[1], fused)
        # Stable: equal scores keep the order of stage one.
        return ranking.take(np.argsort(-ranking.combined, kind="stable"))

    def leave(self, found: Recalled) -> Ranking:
        """Keep the order of stage one, without scores of the second."""
        unknown = np.full(len(found.rows), np.nan, np.float32)
        return self._add_attributes(found.rows, found.scores, unknown, unknown)

    def with_global_scores(self, ranking: Ranking) -> Ranking:
        """Put global scores where those of recall stand: they differ for other vectors."""
        with self._timer.stage("fetch"):
            block = self._gallery.read_tokens(ranking.rows)
            return ranking._replace(global_scores=self._compare(block, ranking.global_scores))

    def _find(self, vectors: NDArray[np.float32], count: int) -> list[Recalled]:
        """The lists of candidates, `count` in each; fewer only where the gallery has no others."""
        if self._attributes is None:
            return self._gallery.recall(vectors, count, self._selection)
        best = self._attributes.rank(count)
        if self._attributes.overall == 0:
            return [best]
        return [*self._gallery.recall(vectors, count, self._selection), best]

    def _add_attributes(
        self,
        rows: NDArray[np.int64],
        whole: NDArray[np.float32],
        token: NDArray[np.float32],
        fused: NDArray[np.float32],
    ) -> Ranking:
        if self._attributes is None:
            none = np.empty((len(rows), 0), np.float32)
            return Ranking(rows, whole, token, fused, none, fused)
        likeness = self._attributes.read(rows)
        combined = self._attributes.combine(rows, fused)
        return Ranking(rows, whole, token, fused, likeness, combined)

    def _merge(
        self, vectors: NDArray[np.float32], found: Sequence[Recalled]
    ) -> tuple[Recalled, NDArray[np.int64]]:
        """All candidates in the order of stage one, and each one's best place in any list.

        That order is by the mean score of the photos, combined with the attributes.
        """
        rows = np.unique(np.concatenate([each.rows for each in found]))
        place = np.full(len(rows), np.iinfo(np.int64).max)
        for each in found:
            at = np.searchsorted(rows, each.rows)
            place[at] = np.minimum(place[at], np.arange(len(at)))
        # Photos score each other's candidates too.
        scores = np.zeros(len(rows), np.float32)
        for each in self._gallery.recall(vectors, len(rows), Selection(rows, inside=True)):
            scores[np.searchsorted(rows, each.rows)] += each.scores / len(vectors)
        by = scores if self._attributes is None else self._attributes.combine(rows, scores)
        order = np.argsort(-by, kind="stable")
        return Recalled(rows[order], scores[order]), place[order]

    def _score(self, found: Recalled) -> NDArray[np.float32]:
        """Read a few candidates once and score them: (2, n), global and token."""
        with self._timer.stage("fetch"):
            block = self._gallery.read_tokens(found.rows)
            candidates = to_token_set(block)
        with self._timer.stage("align"):
            aligned = [
                self._encoder.align(photo.token_set, candidates).mean(0) for photo in self._photos
            ]
            return np.stack((self._compare(block, found.scores), np.mean(aligned, axis=0)))

    def _compare(self, block: TokenBlock, recalled: NDArray[np.float32]) -> NDArray[np.float32]:
        """Global scores: those of recall, where it compares the global feature."""
        if block.global_feature is None:
            return recalled
        queries = np.stack([photo.global_feature.mean(0) for photo in self._photos])
        scores: NDArray[np.float32] = np.clip(block.global_feature @ queries.T, -1, 1).mean(1)
        return scores
