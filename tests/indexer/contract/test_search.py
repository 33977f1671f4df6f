"""The same queries, the same hits, the same scores: over a folder and over a Milvus server."""

from typing import Any

import pytest

from indexer.engine import SearchEngine
from indexer.requests import SearchRequest
from indexer.results import SearchResult
from model.errors import ItemNotFoundError, ParameterError
from tests.indexer.contract.conftest import COUNT, Shop

REQUESTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "few": {"k": 3, "candidates": 5},
    "all": {"k": 100, "candidates": 100},
    "second page": {"k": 5, "offset": 5, "candidates": 7},
    "by product": {"k": 6, "group_by": "product", "candidates": 6},
    "products, second page": {"k": 4, "offset": 4, "group_by": "product"},
    "filter": {"filter": "price < 30 AND category IN ('coat', 'dress')"},
    "filter with NULL": {"filter": "NOT (price < 30 OR sale)"},
    "nothing fits": {"filter": "price > 1000"},
    "few fit": {"filter": "price BETWEEN 20 AND 22", "k": 10},
    "excluded": {"exclude_items": ("07.png", "08.png", "x"), "exclude_products": ("p3",)},
    "filter and excluded": {"filter": "price < 30", "exclude_products": ("p2", "p'4")},
    "sorted": {"sort": "-price", "k": 8},
    "facets": {"facets": ("category", "price", "since", "seen"), "k": 2},
    "alpha 1": {"alpha": 1.0, "k": 20},
    "alpha 0": {"alpha": 0.0, "k": 20},
    "too late": {"deadline": 0.0},
}


def describe(result: SearchResult) -> list[tuple[Any, ...]]:
    """Hits; equal scores in the order of ids, since rows differ."""
    hits = [
        (
            -round(hit.scores.fused or hit.scores.global_score, 5),
            hit.item,
            round(hit.scores.global_score, 5),
            round(hit.scores.token_score or 9, 5),
        )
        for hit in result.hits
    ]
    return sorted(hits, key=lambda hit: (hit[0], hit[1].item_id))


@pytest.mark.parametrize("name", REQUESTS)
def test_both_galleries_give_the_same_hits_and_scores(shop: Shop, name: str) -> None:
    request = SearchRequest(**REQUESTS[name])
    photo = (shop.photos / "07.png").read_bytes()
    one, other = (engine.search(photo, request) for engine in shop.engines.values())
    assert describe(one) == describe(other)
    assert one.facets == other.facets
    assert one.reranked == other.reranked


def test_an_item_is_searched_with_and_not_found(shop: Shop) -> None:
    request = SearchRequest(k=9, filter="price < 40")
    one, other = (each.search_item("12.png", request) for each in shop.engines.values())
    assert describe(one) == describe(other)
    assert "12.png" not in [hit.item.item_id for hit in other.hits]


def test_several_photos_are_searched_with_together(shop: Shop) -> None:
    from indexer.requests import QueryPhoto

    photos = [QueryPhoto((shop.photos / f"{n:02}.png").read_bytes()) for n in (7, 21)]
    one, other = (each.search(photos, SearchRequest(k=6)) for each in shop.engines.values())
    assert describe(one) == describe(other)


def test_items_and_thumbnails_are_looked_up(engine: SearchEngine) -> None:
    assert engine.item("07.png").product_id == "p2"
    assert engine.thumbnail("07.png")[:2] == b"\xff\xd8"
    assert engine.info().gallery.items == COUNT
    with pytest.raises(ItemNotFoundError):
        engine.item("none")


def test_an_unknown_attribute_is_refused(engine: SearchEngine) -> None:
    with pytest.raises(ParameterError, match="has no attribute 'collar'"):
        engine.check(SearchRequest(attributes={"collar": 1.0}))
