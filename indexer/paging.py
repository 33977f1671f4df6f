"""One page of hits out of the candidates: ordered, grouped, and from where it was asked for."""

import math
from typing import NamedTuple

import numpy as np

from indexer.candidates import Candidates, DeadlinePassed
from indexer.facets import order_by
from indexer.protocols import Gallery, Recalled
from indexer.ranking import Ranking, Timer, first_of_each, join
from indexer.requests import SearchRequest
from indexer.results import Item


class Page(NamedTuple):
    """Hits of a page with their items; `head` is the first block of candidates."""

    ranking: Ranking
    items: list[Item]
    head: Recalled
    reranked: bool


class Pager:
    """Finds pages for one request; `column` is what to sort by, None for the score."""

    def __init__(
        self,
        gallery: Gallery,
        candidates: Candidates,
        request: SearchRequest,
        column: tuple[str | None, bool],
        timer: Timer,
    ) -> None:
        self._gallery = gallery
        self._candidates = candidates
        self._request = request
        self._column, self._descending = column
        self._timer = timer
        self._in_time = True

    def find(self) -> Page:
        """Find the page; in the order of stage one where time runs out before it is re-ranked."""
        find = self._find_products if self._request.group_by == "product" else self._find_items
        try:
            return find()
        except DeadlinePassed:
            self._in_time = False
            page = find()
        return page._replace(ranking=self._candidates.with_global_scores(page.ranking))

    def _find_items(self) -> Page:
        request = self._request
        end, block = request.offset + request.k, request.block
        found = self._candidates.recall([block * (i + 1) for i in range(math.ceil(end / block))])
        passed, parts = 0, []
        for candidates in found.blocks:
            # Blocks before the page need no alignment: their order does not matter to it.
            if passed < end and passed + len(candidates.rows) > request.offset:
                skipped = max(0, request.offset - passed)
                parts.append(self._order(candidates).take(slice(skipped, end - passed)))
            passed += len(candidates.rows)
        ranking = join(parts) if parts else self._candidates.leave(_nothing())
        return Page(ranking, self._read(ranking), found.blocks[0], self._in_time)

    def _find_products(self) -> Page:
        """Keep the best item of each product, fetching on until there are enough products."""
        request = self._request
        end, edges = request.offset + request.k, [request.block]
        ranking, items, head = self._candidates.leave(_nothing()), list[Item](), _nothing()
        while True:
            found = self._candidates.recall(edges)
            fresh = found.blocks[-1]
            # Searching more cells may change who is near; nobody comes twice.
            new = ~np.isin(fresh.rows, ranking.rows)
            more = self._order(Recalled(fresh.rows[new], fresh.scores[new]))
            head = head if len(edges) > 1 else found.blocks[0]
            ranking, items = join([ranking, more]), items + self._read(more)
            first = first_of_each([item.product_id for item in items])
            if len(first) >= end or found.all_found:
                page = first[request.offset : end]
                chosen = ranking.take(np.array(page, dtype=np.int64))
                return Page(chosen, [items[i] for i in page], head, self._in_time)
            edges.append(2 * edges[-1])

    def _order(self, candidates: Recalled) -> Ranking:
        """Order one block: by score, or by the column that was asked for."""
        if self._in_time:
            ranking = self._candidates.rerank(candidates, self._request.deadline)
        else:
            ranking = self._candidates.leave(candidates)
        if self._column is None:
            return ranking
        order = order_by(self._read(ranking), self._column, self._descending)
        return ranking.take(np.array(order, dtype=np.int64))

    def _read(self, ranking: Ranking) -> list[Item]:
        with self._timer.stage("fetch"):
            return self._gallery.read_items(ranking.rows)


def _nothing() -> Recalled:
    return Recalled(np.empty(0, np.int64), np.empty(0, np.float32))
