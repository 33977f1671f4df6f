"""Token scores of many pairs, in bounded memory (docs/math.md, Eq. 4-8).

q queries of a block, G gallery items, K candidates.

What ATA needs of one image is computed once and stays on the device where that fits the
budget; otherwise it is computed again for each block of queries, which costs little as
long as a block has many.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.alignment import Prepared, TokenAlignment, TokenSet
from model.bare import can_compare_bare, compare_bare
from model.evaluation.embedding import Embedded

# Pairs compared in one call: about 0.2 MB each with the default network.
PAIRS_CPU = 512
PAIRS_GPU = 16_384
_PREPARE = 256


class TokenScorer:
    """Scores queries against one gallery."""

    def __init__(
        self, alignment: TokenAlignment, gallery: Embedded, *, budget_mb: int = 2048
    ) -> None:
        self._alignment = alignment
        self._gallery = gallery
        self._device = alignment.level_weight.device
        self._pairs = PAIRS_CPU if self._device.type == "cpu" else PAIRS_GPU
        self._resident = self._prepare_all() if self._fits(budget_mb) else None
        self.num_pairs = 0

    def score(self, queries: Embedded, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """S_token of each query with its own (q, K) gallery places: (q, K).

        Of queries at several scales, the mean (docs/math.md, Eq. 9a).
        """
        scales = queries.num_scales or 1
        return queries.average(self._score(queries.each_scale(), np.repeat(places, scales, axis=0)))

    def score_all(self, queries: Embedded) -> NDArray[np.float32]:
        """S_token of each query with every gallery item: (q, G)."""
        return queries.average(self._score_all(queries.each_scale()))

    def _score(self, queries: Embedded, places: NDArray[np.int64]) -> NDArray[np.float32]:
        prepared, found = self._prepare(queries), np.empty(places.shape, dtype=np.float32)
        width = min(places.shape[1], self._pairs)
        height = max(1, self._pairs // max(width, 1))
        for top in range(0, len(places), height):
            some = prepared.map(lambda x, top=top: x[top : top + height])  # type: ignore[misc]
            for left in range(0, places.shape[1], width):
                part = places[top : top + height, left : left + width]
                candidates = self._take(part.ravel()).map(
                    lambda x, shape=part.shape: x.unflatten(0, shape)  # type: ignore[misc]
                )
                found[top : top + height, left : left + width] = self._align(some, candidates)
        return found

    def _score_all(self, queries: Embedded) -> NDArray[np.float32]:
        count, size = len(queries.mass), len(self._gallery.mass)
        prepared, found = self._prepare(queries), np.empty((count, size), dtype=np.float32)
        width = max(1, self._pairs // count)
        for left in range(0, size, width):
            part = self._take(np.arange(left, min(left + width, size)))
            if can_compare_bare(self._alignment):
                found[:, left : left + width] = self._compare(prepared, part)
                continue
            each = part.map(lambda x: x.unsqueeze(0).expand(count, *x.shape))
            found[:, left : left + width] = self._align(prepared, each)
        return found

    @torch.inference_mode()
    def _align(self, queries: Prepared, candidates: Prepared) -> NDArray[np.float32]:
        """Score (q, ...) queries against (q, K, ...) candidates: (q, K)."""
        if can_compare_bare(self._alignment):
            places = torch.arange(len(queries.tokens), device=self._device)
            pairs = (
                (queries.take(place[None]), candidates.take(place)) for place in places.unbind()
            )
            return np.concatenate([self._compare(one, many) for one, many in pairs])
        scores = self._alignment.score(queries, candidates)
        self.num_pairs += scores.numel()
        found: NDArray[np.float32] = scores.float().cpu().numpy()
        return found

    @torch.inference_mode()
    def _compare(self, queries: Prepared, items: Prepared) -> NDArray[np.float32]:
        """Score all of some queries (q, ...) with all of some items (n, ...), without blocks."""
        sides = (TokenSet(image.tokens, image.mass) for image in (queries, items))
        levels = compare_bare(self._alignment, *sides)
        scores = levels @ self._alignment.level_weight[: levels.shape[-1]]
        self.num_pairs += scores.numel()
        found: NDArray[np.float32] = scores.float().cpu().numpy()
        return found

    @torch.inference_mode()
    def _prepare(self, images: Embedded) -> Prepared:
        tokens, mass = (x.to(self._device) for x in images.token_set)
        with torch.autocast(self._device.type, enabled=False):
            return self._alignment.prepare(TokenSet(tokens, mass))

    def _prepare_all(self) -> Prepared:
        size = len(self._gallery.mass)
        parts = [
            self._prepare(self._gallery.take(slice(start, start + _PREPARE)))
            for start in range(0, size, _PREPARE)
        ]
        return join_prepared(parts)

    def _take(self, places: NDArray[np.int64]) -> Prepared:
        if self._resident is None:
            return self._prepare(self._gallery.take(places))
        return self._resident.take(torch.from_numpy(places).to(self._device))

    def _fits(self, budget_mb: int) -> bool:
        size = len(self._gallery.mass)
        if not size:
            return True
        one = self._prepare(self._gallery.take(slice(0, 1)))
        num_bytes = sum(x.numel() * x.element_size() for x in _leaves(one))
        return size * num_bytes <= budget_mb * 1_000_000


def join_prepared(parts: list[Prepared]) -> Prepared:
    """Put blocks of images back together."""
    columns = zip(*map(_leaves, parts), strict=True)
    joined = iter([torch.cat(column) for column in columns])
    return parts[0].map(lambda _: next(joined))


def _leaves(prepared: Prepared) -> list[Tensor]:
    """The tensors, in the order `Prepared.map` visits them."""
    seen: list[Tensor] = []

    def visit(x: Tensor) -> Tensor:
        seen.append(x)
        return x

    prepared.map(visit)
    return seen
