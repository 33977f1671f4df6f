"""The candidates of one search: recalled in blocks, each block re-ranked on its own.

P photos of one garment (usually one), each at S scales, R width of the recall vector,
n candidates.

Blocks make paging possible: what a later page needs never changes the order of an
earlier one. The first block holds `candidates` items, and a usual search ends in it.

Re-ranking is a cascade where the checkpoint's alignment has a trained first stage: the attended
similarity of bare tokens orders the whole block, then the best `aligned` are compared by the
whole alignment and ordered by that, before all others. Where it has none, both say the same.

A search by attributes compares every item with them (`indexer.attribute_query`): their best
are candidates beside those that recall finds, or alone where the whole likeness has no weight.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from indexer.attribute_query import AttributeQuery
from indexer.protocols import Gallery, Recalled, Selection, TokenBlock
from indexer.ranking import Ranking, Timer, join, to_coded
from indexer.requests import DEFAULT_ALIGNED
from model.alignment import TokenSet
from model.attended import CodedTokens
from model.encoder import Encoded
from model.fusion import fuse

# Candidates compared together: bounds the memory of one call, and how late a deadline is seen.
ALIGN_CHUNK = 256

Compare = Callable[[TokenSet, CodedTokens], NDArray[np.float32]]


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
        aligned: int = DEFAULT_ALIGNED,
    ) -> None:
        self._gallery = gallery
        self._encoder = encoder
        self._photos = photos
        self._alpha = alpha
        self._selection = selection
        self._timer = timer
        self._attributes = attributes
        self._aligned = aligned

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
        rows, whole, token = found.rows, [], []
        for part in _cut(len(rows), deadline):
            block = self._read(rows[part])
            whole.append(self._compare(block, found.scores[part]))
            token.append(self._score(self._encoder.compare, block))
        ranking = self._rank(rows, _join(whole), _join(token), not self._encoder.refines_pairs)
        if not self._encoder.refines_pairs:
            return ranking
        head = self._align(ranking.take(slice(0, self._aligned)), deadline)
        return join([head, ranking.take(slice(self._aligned, None))])

    def leave(self, found: Recalled) -> Ranking:
        """Keep the order of stage one, without scores of the second."""
        unknown = np.full(len(found.rows), np.nan, np.float32)
        return self._add_attributes(found.rows, found.scores, unknown, unknown, False)

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

    def _align(self, ranking: Ranking, deadline: float | None) -> Ranking:
        """Order a few by the whole alignment."""
        token = [
            self._score(lambda asked, items: self._encoder.align(asked, items.decode()), block)
            for part in _cut(len(ranking.rows), deadline)
            for block in [self._read(ranking.rows[part])]
        ]
        return self._rank(ranking.rows, ranking.global_scores, _join(token), True)

    def _rank(
        self,
        rows: NDArray[np.int64],
        whole: NDArray[np.float32],
        token: NDArray[np.float32],
        aligned: bool,
    ) -> Ranking:
        fused = fuse(whole, token, self._alpha)
        ranking = self._add_attributes(rows, whole, token, fused, aligned)
        # Stable: equal scores keep the order they came in.
        return ranking.take(np.argsort(-ranking.combined, kind="stable"))

    def _add_attributes(
        self,
        rows: NDArray[np.int64],
        whole: NDArray[np.float32],
        token: NDArray[np.float32],
        fused: NDArray[np.float32],
        aligned: bool,
    ) -> Ranking:
        flags = np.full(len(rows), aligned)
        if self._attributes is None:
            none = np.empty((len(rows), 0), np.float32)
            return Ranking(rows, whole, token, fused, none, fused, flags)
        likeness = self._attributes.read(rows)
        combined = self._attributes.combine(rows, fused)
        return Ranking(rows, whole, token, fused, likeness, combined, flags)

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

    def _read(self, rows: NDArray[np.int64]) -> TokenBlock:
        with self._timer.stage("fetch"):
            return self._gallery.read_tokens(rows)

    def _score(self, compare: Compare, block: TokenBlock) -> NDArray[np.float32]:
        """Token scores of a few candidates, all views of all photos at once: (n,)."""
        with self._timer.stage("align"):
            sets = [photo.token_set for photo in self._photos]
            views = TokenSet(*(torch.cat(parts) for parts in zip(*sets, strict=True)))
            found = compare(views, to_coded(block))
            places = np.cumsum([len(each.mass) for each in sets])[:-1]
            means: NDArray[np.float32] = np.mean(
                [each.mean(0) for each in np.split(found, places)], axis=0
            )
            return means

    def _compare(self, block: TokenBlock, recalled: NDArray[np.float32]) -> NDArray[np.float32]:
        """Global scores: those of recall, where it compares the global feature."""
        if block.global_feature is None:
            return recalled
        queries = np.stack([photo.global_feature.mean(0) for photo in self._photos])
        scores: NDArray[np.float32] = np.clip(block.global_feature @ queries.T, -1, 1).mean(1)
        return scores


def _cut(count: int, deadline: float | None) -> Iterator[slice]:
    """Parts of so many candidates, as long as there is time."""
    for start in range(0, count, ALIGN_CHUNK):
        if deadline is not None and time.monotonic() >= deadline:
            raise DeadlinePassed
        yield slice(start, start + ALIGN_CHUNK)


def _join(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.concatenate([np.empty(0, np.float32), *parts])
