"""An engine for the page's tests: forty garments with columns, facets and matched regions.

Colours and scores are those of `fake_engine`; filters, sorting and counting are the real ones.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from PIL import Image

from indexer.facets import check_columns, count_facet, order_by
from indexer.filters import to_sql
from indexer.requests import QueryPhoto, SearchRequest
from indexer.results import (
    Ellipse,
    EngineInfo,
    Explanation,
    Hit,
    Item,
    RegionPair,
    Scores,
    SearchResult,
)
from model.errors import ParameterError
from model.images import Box
from tests.service.fake_attributes import Colour, explain, main_score
from tests.service.fake_engine import PLAIN, FakeEngine

COLUMNS = {"name": "string", "category": "string", "price": "float", "sale": "bool"}
CATEGORIES = ["Dresses", "Jackets", "Shirts", "Skirts"]
NUM_GARMENTS = 40

# In the photos' unit squares: the neckband of both, and a cuff against a hem.
PAIRS = (
    RegionPair(
        photo=0,
        level=0,
        query=Ellipse(0.5, 0.1, 0.2, 0.05, 0.0),
        item=Ellipse(0.5, 0.2, 0.2, 0.05, 30.0),
        similarity=0.91,
        share=0.25,
    ),
    RegionPair(
        photo=0,
        level=2,
        query=Ellipse(0.2, 0.5, 0.1, 0.05, 90.0),
        item=Ellipse(0.8, 0.9, 0.1, 0.05, 0.0),
        similarity=0.62,
        share=0.125,
    ),
)


def make_garments() -> tuple[dict[str, Colour], dict[str, dict[str, Any]]]:
    """From red to blue: every other one is the second photo of the product before it."""
    colours, metadata = {}, {}
    for i in range(NUM_GARMENTS):
        item_id = f"garment-{i:02}.jpg"
        colours[item_id] = (255 - 6 * i, 0, 6 * i)
        metadata[item_id] = {
            "name": f"Garment {i:02}",
            "category": CATEGORIES[i % 4],
            "price": 10.0 + i,
            "sale": i % 5 == 0,
        }
    return colours, metadata


class PageEngine(FakeEngine):
    """Answers requests with everything that the page shows."""

    def __init__(self) -> None:
        colours, metadata = make_garments()
        super().__init__(colours)
        self.metadata = metadata
        self.reranks = True
        self.boxes: list[Box | None] = []

    def check(self, request: SearchRequest) -> None:
        """Refuse what the real engine refuses."""
        self.check_attributes(request)
        check_columns(request.sort, request.facets, COLUMNS)
        self._select(request.filter)

    def prepare(self, photo: QueryPhoto) -> Image.Image:
        """Remember the box."""
        self.boxes.append(photo.box)
        return super().prepare(photo)

    def search_encoded(self, photos: Sequence[Any], request: SearchRequest = PLAIN) -> SearchResult:
        """Remember how many photos there were."""
        result = super().search_encoded(photos, request)
        self.calls[-1]["photos"] = len(photos)
        return result

    def item(self, item_id: str) -> Item:
        """Two photos a product."""
        item = super().item(item_id)
        return replace(item, product_id=f"P{int(item_id[8:10]) // 2:02}")

    def info(self) -> EngineInfo:
        """Name the columns."""
        return replace(super().info(), metadata_columns=COLUMNS, products=NUM_GARMENTS // 2)

    def _rank(
        self, colour: Sequence[float], request: SearchRequest, leave_out: str | None = None
    ) -> SearchResult:
        column, descends = check_columns(request.sort, request.facets, COLUMNS)
        alpha = 0.5 if request.alpha is None else request.alpha
        scores = {
            name: self.combine(self._score(colour, other, alpha), colour, name, request)
            for name, other in self.colours.items()
        }
        allowed = self._select(request.filter) - {leave_out or ""}
        order = sorted(allowed, key=lambda name: (-main_score(scores[name]), name))
        items = [self.item(name) for name in order]
        facets = {name: count_facet(items, name, COLUMNS[name]) for name in request.facets}
        if column:
            items = [items[place] for place in order_by(items, column, descends)]
        if request.group_by == "product":
            items = list({item.product_id: item for item in reversed(items)}.values())[::-1]
        page = items[request.offset : request.offset + request.k]
        hits = [
            self._make_hit(rank, item, scores[item.item_id], request)
            for rank, item in enumerate(page, start=request.offset + 1)
        ]
        hits = [hit for hit in hits if (hit.confidence or 0) >= (request.min_confidence or 0)]
        return SearchResult(
            hits,
            {"decode": 1.0, "encode": 2.0, "total": 3.0},
            self._stamp(),
            no_confident_match=request.min_confidence is not None and not hits,
            reranked=self.reranks,
            facets=facets,
            facet_candidates=len(order),
        )

    def _make_hit(self, rank: int, item: Item, scores: Any, request: SearchRequest) -> Hit:
        explanation = explain(Explanation(PAIRS[: request.explain], 0.5, 0.0), request)
        is_sure = self.calibrated and not request.attributes
        return Hit(rank, item, scores, scores.fused if is_sure else None, explanation)

    def compare(self, name: str, colour: Sequence[float], item_id: str, scores: Scores) -> float:
        """Every third garment has the same collar, and the one after it a similar one."""
        if name == "collar":
            return (0.95, 0.4, 0.1)[int(item_id[8:10]) % 3]
        return super().compare(name, colour, item_id, scores)

    def _select(self, text: str | None) -> set[str]:
        """The real grammar; what it understood is SQL that SQLite reads, too."""
        if text is None:
            return set(self.colours)
        known = {**COLUMNS, "item_id": "string", "product_id": "string"}
        condition = to_sql(text, known)
        with closing(sqlite3.connect(":memory:")) as table:
            table.execute("CREATE TABLE t (item_id, name, category, price, sale)")
            rows = [(name, *values.values()) for name, values in self.metadata.items()]
            table.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows)
            try:
                found = table.execute(f"SELECT item_id FROM t WHERE {condition}")
            except sqlite3.OperationalError as error:
                raise ParameterError(str(error)) from None
            return {row[0] for row in found}
