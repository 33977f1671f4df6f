"""Two-stage ranking: recall orders the gallery, the fused score re-orders the first K.

Q queries, G gallery items, K candidates, P relevant items of a query at most.

For one query and a gallery of five, K = 3:

    recall order          a  b  c | d  e      scores .9 .8 .7 .6 .5
    fused scores          .2 .6 .4  .9 .1     those of d and e are never computed
    two-stage ranking     b  c  a | d  e      the tail stays as recall left it

d would win by its fused score, but recall did not put it among the candidates: what
stage one loses is lost. The recall ceiling says how much that is.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.evaluation.metrics import Ranks, Relevant, Scores, positive_ranks


class Shortlist(NamedTuple):
    """The first K gallery places of each query, best first, and which are relevant: (Q, K)."""

    places: NDArray[np.int64]
    relevant: Relevant


def make_shortlist(recall: Scores, relevant: Relevant, count: int) -> Shortlist:
    """Take each query's best `count` of (Q, G) recall scores; ties are pessimistic.

    >>> recall = np.array([[0.7, 0.9, 0.7]], dtype=np.float32)
    >>> make_shortlist(recall, np.array([[True, False, False]]), 2).places
    array([[1, 2]])
    """
    count = min(count, recall.shape[1])
    if count < recall.shape[1] // 4:
        return _partition(recall, relevant, count)
    order = np.lexsort((relevant, -recall), axis=-1)[:, :count]
    return Shortlist(order, np.take_along_axis(relevant, order, axis=1))


def rerank(recall: Scores, fused: Scores, count: int) -> NDArray[np.int64]:
    """Full two-stage order (Q, G) of gallery places, for small galleries and for reading.

    >>> recall = np.array([[0.9, 0.8, 0.7, 0.6, 0.5]], dtype=np.float32)
    >>> fused = np.array([[0.2, 0.6, 0.4, 0.9, 0.1]], dtype=np.float32)
    >>> ["abcde"[place] for place in rerank(recall, fused, 3)[0]]
    ['b', 'c', 'a', 'd', 'e']
    """
    order = np.argsort(-recall, axis=1, kind="stable")
    head = order[:, :count]
    inside = np.argsort(-np.take_along_axis(fused, head, axis=1), axis=1, kind="stable")
    return np.concatenate([np.take_along_axis(head, inside, axis=1), order[:, count:]], axis=1)


def two_stage_ranks(recall_ranks: Ranks, fused: Scores, shortlist: Shortlist) -> Ranks:
    """Ranks (Q, P) of the relevant items once the shortlist is in the order of `fused` (Q, K).

    `recall_ranks` are the ranks that stage one gave; those beyond K stay.
    """
    count = shortlist.places.shape[1]
    inside = positive_ranks(fused, shortlist.relevant)
    ranks = np.where(recall_ranks > count, recall_ranks, 0)
    # Ranks rise along a row, so those inside the shortlist are its first columns.
    ranks[:, : inside.shape[1]] += inside
    return ranks


def _partition(recall: Scores, relevant: Relevant, count: int) -> Shortlist:
    """As `make_shortlist`, without sorting the whole gallery."""
    bound = -np.partition(-recall, count - 1, axis=1)[:, count - 1 : count]
    places = np.empty((len(recall), count), dtype=np.int64)
    for row, score, right, least in zip(places, recall, relevant, bound, strict=True):
        # All that reach the K-th score, ties at the border included.
        near = np.flatnonzero(score >= least)
        row[:] = near[np.lexsort((right[near], -score[near]))[:count]]
    return Shortlist(places, np.take_along_axis(relevant, places, axis=1))
