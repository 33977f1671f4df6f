"""One pass over blocks of queries: scores become ranks of the relevant items.

Q queries, G gallery items, q queries of a block, K candidates, P relevant items at most.

No (Q, G) matrix is ever held. Scores are rounded to six decimals before they are
ranked: equal pairs must tie even where a matrix product rounds them differently, and ties
count against the network.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from model.alignment import TokenAlignment
from model.errors import ParameterError
from model.evaluation.embedding import Embedded, RecallVector, as_stored, use_global
from model.evaluation.metrics import Ranks, Relevant, Scores, positive_ranks
from model.evaluation.pairing import Pairing
from model.evaluation.ranking import Shortlist, make_shortlist, two_stage_ranks
from model.evaluation.results import Hits
from model.evaluation.scoring import TokenScorer
from model.evaluation.settings import Settings
from model.fusion import fuse

_DECIMALS = 6
# Exhaustive token scores by default up to here: minutes on a CPU, and on a GPU.
_EXHAUSTIVE_PAIRS = {"cpu": 1_000_000, "cuda": 300_000_000}


class RowKey(NamedTuple):
    """Which ranking: see `model.evaluation.results.Row`."""

    scores: str
    recall: str | None = None
    candidates: int | None = None
    alpha: float | None = None


@dataclass
class Ranker:
    """Turns blocks of scores into ranks, one array a ranking.

    `alpha` is the checkpoint's, used when the settings have none. The recall vector named
    "global" is the global feature.
    """

    queries: Embedded
    gallery: Embedded
    pairing: Pairing
    alignment: TokenAlignment
    settings: Settings
    alpha: float
    recall: Mapping[str, RecallVector]
    ranks: dict[RowKey, list[Ranks]] = field(default_factory=dict)
    hits: list[Hits] = field(default_factory=list)
    left_out_pairs: int = 0

    def __post_init__(self) -> None:
        if self.settings.int8:
            pair = (self.queries, self.gallery)
            self.queries, self.gallery = (x._replace(tokens=as_stored(x.tokens)) for x in pair)
        if not self.recall:
            raise ParameterError("there is no recall vector; give at least one")
        self.scorer = TokenScorer(self.alignment, self.gallery, budget_mb=self.settings.budget_mb)
        self.vectors = {
            name: (vector(self.queries), vector(self.gallery))
            for name, vector in self.recall.items()
        }
        self.whole = use_global(self.queries)
        self.size = len(self.gallery.mass)
        self.alpha = self.alpha if self.settings.alpha is None else self.settings.alpha
        self.counts = sorted({min(k, self.size) for k in self.settings.candidates})
        below = [k for k in self.counts if k <= self.settings.main]
        self.main = below[-1] if below else self.counts[0]
        self.exhaustive = self._decide_exhaustive()

    @property
    def main_key(self) -> RowKey:
        """The ranking a search gives."""
        return RowKey("fused", next(iter(self.vectors)), self.main, self.alpha)

    def run(self) -> Iterator[int]:
        """Rank block by block; yields how many queries are done."""
        count = len(self.queries.mass)
        for start in range(0, count, self.settings.block):
            block = slice(start, min(start + self.settings.block, count))
            self._rank_block(block)
            yield block.stop

    def all_ranks(self) -> dict[RowKey, Ranks]:
        """Ranks (Q, P) of every ranking."""
        return {key: _stack(parts) for key, parts in self.ranks.items()}

    def all_hits(self) -> Hits:
        """Hits of the main ranking for all queries."""
        return Hits(
            np.concatenate([block.places for block in self.hits]),
            np.concatenate([block.fused for block in self.hits]),
            np.concatenate([block.same for block in self.hits]),
            np.concatenate([block.best_rank for block in self.hits]),
            np.concatenate([block.best_place for block in self.hits]),
        )

    def _rank_block(self, block: slice) -> None:
        out, relevant = self.pairing.left_out(block), self.pairing.relevant(block)
        self.left_out_pairs += int(out.sum())
        global_score = _cosine(self.whole[block], self.gallery.global_feature, out)
        self._add(RowKey("global"), positive_ranks(global_score, relevant))
        token: Scores | None = None
        if self.exhaustive:
            token = _hide(self.scorer.score_all(self.queries.take(block)), out)
            self._rank_exhaustive(global_score, token, relevant)
        for name, (asked, kept) in self.vectors.items():
            recall = global_score if name == "global" else _cosine(asked[block], kept, out)
            self._rank_two_stage(name, block, recall, global_score, token, relevant)

    def _rank_exhaustive(self, global_score: Scores, token: Scores, relevant: Relevant) -> None:
        self._add(RowKey("token"), positive_ranks(token, relevant))
        for alpha in {self.alpha, *self.settings.alphas}:
            fused = _fuse(global_score, token, alpha)
            self._add(RowKey("fused", alpha=alpha), positive_ranks(fused, relevant))

    def _rank_two_stage(
        self,
        name: str,
        block: slice,
        recall: Scores,
        global_score: Scores,
        token: Scores | None,
        relevant: Relevant,
    ) -> None:
        stage_one = positive_ranks(recall, relevant)
        if name != "global":
            self._add(RowKey(name), stage_one)
        longest = make_shortlist(recall, relevant, self.counts[-1])
        if token is None:
            raw = self.scorer.score(self.queries.take(block), longest.places)
            lost = np.isneginf(np.take_along_axis(recall, longest.places, axis=1))
            near = _hide(raw, lost)
        else:
            near = np.take_along_axis(token, longest.places, axis=1)
        near_global = np.take_along_axis(global_score, longest.places, axis=1)
        for alpha in {self.alpha, *self.settings.alphas}:
            fused = _fuse(near_global, near, alpha)
            for count in self.counts if alpha == self.alpha else [self.main]:
                head = Shortlist(longest.places[:, :count], longest.relevant[:, :count])
                key = RowKey("fused", name, count, alpha)
                self._add(key, two_stage_ranks(stage_one, fused[:, :count], head))
                if key == self.main_key:
                    self._keep_hits(fused[:, :count], head, recall, relevant)

    def _keep_hits(
        self, fused: Scores, head: Shortlist, recall: Scores, relevant: Relevant
    ) -> None:
        order = np.lexsort((head.relevant, -fused), axis=-1)[:, : self.settings.shown]
        places = np.take_along_axis(head.places, order, axis=1)
        scores = np.take_along_axis(fused, order, axis=1)
        same = np.take_along_axis(head.relevant, order, axis=1)
        best = self.ranks[self.main_key][-1]
        rank = best[:, 0] if best.shape[1] else np.zeros(len(best), dtype=np.int64)
        place = np.where(relevant, recall, -np.inf).argmax(1)
        self.hits.append(Hits(places, scores, same, rank, np.where(rank > 0, place, -1)))

    def _add(self, key: RowKey, ranks: Ranks) -> None:
        self.ranks.setdefault(key, []).append(ranks)

    def _decide_exhaustive(self) -> bool:
        if self.settings.exhaustive is not None:
            return self.settings.exhaustive
        pairs = len(self.queries.mass) * self.size
        return pairs <= _EXHAUSTIVE_PAIRS[self.alignment.level_weight.device.type]


def _cosine(queries: Scores, gallery: Scores, out: Relevant) -> Scores:
    return _hide((queries @ gallery.T).round(_DECIMALS), out)


def _fuse(global_score: Scores, token: Scores, alpha: float) -> Scores:
    # 0 times -inf would be NaN where one of the two has no weight.
    lost = np.isneginf(token)
    fused = fuse(np.where(lost, 0, global_score), np.where(lost, 0, token), alpha)
    return _hide(fused.astype(np.float32).round(_DECIMALS), lost)


def _hide(scores: Scores, out: Relevant) -> Scores:
    """Put pairs that do not count behind everything."""
    found: Scores = np.where(out, np.float32(-np.inf), scores.round(_DECIMALS))
    return found


def _stack(parts: list[Ranks]) -> Ranks:
    """Join blocks (q, P) of different widths."""
    width = max(part.shape[1] for part in parts)
    padded = [np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in parts]
    return np.concatenate(padded)
