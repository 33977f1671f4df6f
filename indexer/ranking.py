"""What the engine puts in order, and how long each stage of that took.

n items, L levels, M tokens a level, d token width.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from indexer.protocols import TokenBlock
from model.attended import CodedTokens


class Ranking(NamedTuple):
    """Re-ranked candidates, best first; token scores and fused are NaN where time ran out.

    aligned: (n,), whether the token score is the whole one; without it, it says nothing of a
    probability.
    attributes: (n, A), the likeness in each attribute asked for. combined: what they are ordered
    by, the fused score or the one combined with attributes; NaN where time ran out before it.
    """

    rows: NDArray[np.int64]
    global_scores: NDArray[np.float32]
    token_scores: NDArray[np.float32]
    fused: NDArray[np.float32]
    attributes: NDArray[np.float32]
    combined: NDArray[np.float32]
    aligned: NDArray[np.bool_]

    def take(self, order: NDArray[np.int64] | slice) -> "Ranking":
        """The candidates at these places."""
        return Ranking._make(part[order] for part in self)


def join(rankings: Sequence[Ranking]) -> Ranking:
    """One ranking after the other."""
    return Ranking(*map(np.concatenate, zip(*rankings, strict=True)))


class Timer:
    """Milliseconds a stage, in the order the stages began, and of the whole search."""

    def __init__(self) -> None:
        self.stages = dict.fromkeys(("decode", "encode", "recall", "fetch", "align"), 0.0)
        self._before = 0.0
        self._since = time.perf_counter()

    def begin_answer(self) -> None:
        """From here on the total counts all time, also that between the stages.

        Of what was before it has the stages: photos may have been encoded with those of others.
        """
        self._before = sum(self.stages.values())
        self._since = time.perf_counter()

    @contextmanager
    def stage(self, name: str, share: int = 1) -> Iterator[None]:
        """Add the time spent inside, divided by the `share` searches it served."""
        start = time.perf_counter()
        yield
        self.stages[name] += (time.perf_counter() - start) * 1000 / share

    def report(self) -> dict[str, float]:
        """Stages and the total, which is somewhat more than their sum; rounded to microseconds."""
        stages = {name: round(spent, 3) for name, spent in self.stages.items()}
        total = self._before + (time.perf_counter() - self._since) * 1000
        return {**stages, "total": round(total, 3)}


def first_of_each(products: Sequence[str]) -> list[int]:
    """Places where a product appears for the first time.

    >>> first_of_each(["a", "b", "a", "c"])
    [0, 1, 3]
    """
    first: dict[str, int] = {}
    for place, product in enumerate(products):
        first.setdefault(product, place)
    return list(first.values())


def to_coded(block: TokenBlock) -> CodedTokens:
    """Hand n stored items to the network as they are."""
    # What comes straight from disk is read-only, and torch cannot know that.
    parts = (np.require(x, requirements="W") for x in (block.tokens, block.scales, block.mass))
    return CodedTokens(*map(torch.from_numpy, parts))
