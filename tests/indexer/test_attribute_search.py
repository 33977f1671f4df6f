"""Searches by attributes whose scores a person can work out: alone, mixed, filtered, in pages."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer import candidates
from indexer.engine import SearchEngine
from indexer.requests import MAX_ATTRIBUTES, QueryPhoto, SearchRequest
from indexer.results import SearchResult
from model.alignment import TokenSet
from model.errors import ParameterError
from model.evaluation.calibration import Calibration
from model.explain import Decomposition
from tests.indexer.garments import OTHER, build_garments, draw_garment, open_garments

TOP, BOTTOM = {"top": 1.0}, {"bottom": 1.0}
ALL = 9


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    engine = open_garments(build_garments(tmp_path))
    yield engine
    engine.close()


def ids(result: SearchResult) -> list[str]:
    return [hit.item.item_id for hit in result.hits]


def search(engine: SearchEngine, look: str, **request: Any) -> SearchResult:
    return engine.search(draw_garment(look), SearchRequest(**{"k": ALL, **request}))


def test_an_attribute_alone_finds_the_same_top_whatever_the_rest(engine: SearchEngine) -> None:
    hits = search(engine, "rw", attributes=TOP).hits
    assert {hit.item.item_id for hit in hits[:3]} == {"rr", "rg", "rb"}
    for place, hit in enumerate(hits):
        expected = 1 if place < 3 else OTHER
        assert hit.scores.attributes == {"top": pytest.approx(expected, abs=0.01)}
        assert hit.scores.combined == pytest.approx(hit.scores.attributes["top"], abs=1e-6)
        assert hit.confidence is None


def test_weights_decide_which_of_two_attributes_counts_more(engine: SearchEngine) -> None:
    found = search(engine, "rg", attributes={"top": 1.0, "bottom": 0.5})
    assert ids(found)[0] == "rg"
    assert set(ids(found)[1:3]) == {"rr", "rb"}
    assert set(ids(found)[3:5]) == {"gg", "bg"}
    second = found.hits[1].scores
    assert second.combined == pytest.approx((1 + 0.5 * OTHER) / 1.5, abs=0.01)


def test_hits_without_attributes_say_nothing_of_them(engine: SearchEngine) -> None:
    scores = search(engine, "rg").hits[0].scores
    assert (scores.attributes, scores.combined) == ({}, None)


@pytest.mark.parametrize("overall", [0.25, 1.0])
def test_a_mixed_score_joins_fused_and_attributes(engine: SearchEngine, overall: float) -> None:
    hits = search(engine, "rg", attributes={"top": 0.5}, overall=overall).hits
    for hit in hits:
        scores = hit.scores
        assert scores.fused is not None
        expected = (overall * scores.fused + 0.5 * scores.attributes["top"]) / (overall + 0.5)
        assert scores.combined == pytest.approx(expected, abs=1e-5)
    order = [hit.scores.combined for hit in hits]
    assert order == sorted(order, reverse=True)


def test_overall_0_is_the_same_as_leaving_it_out(engine: SearchEngine) -> None:
    none, zero = (search(engine, "rg", attributes=TOP, overall=w).hits for w in (None, 0.0))
    assert none == zero


def test_candidates_of_a_mixed_search_come_from_both_sides(engine: SearchEngine) -> None:
    """One candidate a list: the photo's nearest item, and the one of the same bottom."""
    found = search(engine, "rg", k=1, candidates=1, attributes=BOTTOM, overall=0.001, facets=())
    assert found.hits[0].scores.attributes["bottom"] == pytest.approx(1, abs=0.01)
    whole = search(engine, "ww", k=2, candidates=2, attributes=TOP, overall=1.0)
    assert whole.hits[0].scores.combined is not None


def test_filters_and_exclusions_hold(engine: SearchEngine) -> None:
    cheap = search(engine, "rw", attributes=TOP, filter="price >= 20")
    assert sorted(ids(cheap)) == ["bb", "bg", "br", "gb", "gg", "gr", "rb"]
    assert ids(cheap)[0] == "rb"
    rest = search(
        engine, "rw", attributes=TOP, exclude_items=("rr",), exclude_products=("r-g",), overall=0.5
    )
    assert len(rest.hits) == 7
    assert not {"rr", "rg"} & set(ids(rest))
    assert search(engine, "rw", attributes=TOP, filter="price > 1000").hits == []


@pytest.mark.parametrize("overall", [None, 0.4])
def test_pages_are_cut_from_one_order(engine: SearchEngine, overall: float | None) -> None:
    asked = {"attributes": {"top": 1.0, "bottom": 0.3}, "overall": overall, "candidates": 3}
    whole = ids(search(engine, "rg", k=3, **asked))
    for offset in (3, 6):
        whole += ids(search(engine, "rg", k=3, offset=offset, **asked))
    assert len(set(whole)) == ALL
    if overall is None:
        assert whole == ids(search(engine, "rg", **asked))


def test_products_come_once_and_are_fetched_until_there_are_enough(tmp_path: Path) -> None:
    names = [f"r{below}{copy}" for below in "rgb" for copy in range(5)] + ["gg0", "bb0"]
    with_copies = open_garments(build_garments(tmp_path, names))
    found = search(with_copies, "rr", k=5, candidates=2, group_by="product", attributes=TOP)
    products = [hit.item.product_id for hit in found.hits]
    assert set(products[:3]) == {"r-r", "r-g", "r-b"}
    assert set(products[3:]) == {"g-g", "b-b"}


def test_a_column_may_order_the_candidates_and_facets_count_them(engine: SearchEngine) -> None:
    asked = {"k": 3, "candidates": 3, "attributes": TOP}
    found = search(engine, "bw", sort="-price", facets=("price",), **asked)
    assert ids(found) == ["bb", "bg", "br"]
    assert found.facets["price"].distinct == found.facet_candidates == 3


def test_several_photos_are_averaged(engine: SearchEngine) -> None:
    photos = [QueryPhoto(draw_garment("rw")), QueryPhoto(draw_garment("gw"))]
    hits = engine.search(photos, SearchRequest(k=ALL, attributes=TOP)).hits
    assert {hit.item.item_id[0] for hit in hits[:6]} == {"r", "g"}
    assert hits[0].scores.attributes["top"] == pytest.approx((1 + OTHER) / 2, abs=0.01)


def test_a_part_of_a_photo_is_read_as_a_photo_of_its_own(engine: SearchEngine) -> None:
    """An attribute may read where tokens lie: in the crop, as in an item's own photo."""
    from indexer.cropping import read_crop

    [photo] = engine.encode([QueryPhoto(draw_garment("rg"), (0.5, 0.25, 1.0, 0.75))])
    assert photo.geometry[0, 0, 0, :2].tolist() == [0.625, 0.375]
    [whole] = engine.encode([QueryPhoto(draw_garment("rg"))])
    np.testing.assert_allclose(read_crop(photo), whole.geometry, atol=1e-6)
    np.testing.assert_allclose(read_crop(whole), whole.geometry, atol=1e-6)


def test_an_item_is_searched_with_and_left_out(engine: SearchEngine) -> None:
    found = engine.search_item("rg", SearchRequest(k=ALL, attributes=TOP))
    assert set(ids(found)[:2]) == {"rr", "rb"}
    assert "rg" not in ids(found)


def test_a_batch_answers_as_single_searches_do(engine: SearchEngine) -> None:
    request = SearchRequest(k=4, attributes={"bottom": 0.5}, overall=0.5)
    looks = ["rg", "bw"]
    found = engine.search_batch([draw_garment(look) for look in looks], request)
    for look, result in zip(looks, found, strict=True):
        assert ids(result) == ids(engine.search(draw_garment(look), request))


def test_a_deadline_that_passed_leaves_the_attributes_order(engine: SearchEngine) -> None:
    late = {"deadline": time.monotonic() - 1}
    found = search(engine, "rg", attributes={"top": 1.0, "bottom": 0.5}, **late)
    assert not found.reranked
    assert ids(found)[0] == "rg"
    assert found.hits[0].scores.combined == pytest.approx(1, abs=0.01)
    assert found.hits[0].scores.fused is None
    mixed = search(engine, "rg", attributes=TOP, overall=0.5, **late).hits[0].scores
    assert (mixed.combined, mixed.fused) == (None, None)
    assert mixed.attributes["top"] == pytest.approx(1, abs=0.01)


def test_many_candidates_are_compared_in_parts(engine: SearchEngine, monkeypatch: Any) -> None:
    whole = search(engine, "rg", attributes=TOP, overall=0.5)
    monkeypatch.setattr(candidates, "ALIGN_CHUNK", 2)
    assert ids(search(engine, "rg", attributes=TOP, overall=0.5)) == ids(whole)


def test_a_confidence_speaks_of_the_whole_likeness_only(engine: SearchEngine) -> None:
    engine._encoder.calibration = Calibration(slope=5.0, intercept=-2.0)
    assert search(engine, "rg").hits[0].confidence is not None
    assert search(engine, "rg", attributes=TOP, overall=0.5).hits[0].confidence is None
    with pytest.raises(ParameterError, match="leave one of the two out"):
        SearchRequest(attributes=TOP, min_confidence=0.5)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"attributes": {"collar": 1.0}}, "no attribute 'collar'; known are: top, bottom"),
        ({"attributes": {"top": 0.0}}, "weight of attribute 'top' is 0.0; expected a number above"),
        ({"attributes": {"top": 1.5}}, "is 1.5"),
        ({"attributes": {"top": float("nan")}}, "is nan"),
        ({"attributes": {"top": "1"}}, "is '1'"),
        ({"attributes": {"top": True}}, "is True"),
        ({"attributes": TOP, "overall": 1.2}, "overall is 1.2"),
        ({"overall": 0.5}, "overall is given without attributes"),
        ({"attributes": {str(i): 1.0 for i in range(MAX_ATTRIBUTES + 1)}}, "expected at most 16"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(
    engine: SearchEngine, request_: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ParameterError, match=sentence):
        search(engine, "rg", **request_)


class Explaining:
    """Every pair of tokens has the same share."""

    def explain(self, query: TokenSet, hits: TokenSet) -> Decomposition[Any]:
        shape = (hits.tokens.shape[1], *hits.tokens.shape[2:4], hits.tokens.shape[3])
        share = np.full(shape, 0.01, np.float32)
        return Decomposition(share, share, np.zeros(len(share), np.float32))


def test_an_explanation_shows_where_each_attribute_looks(
    engine: SearchEngine, monkeypatch: Any
) -> None:
    monkeypatch.setattr(type(engine._encoder), "explain", Explaining.explain, raising=False)
    found = search(engine, "rg", k=2, explain=3, attributes={"top": 1.0, "bottom": 1.0})
    for hit in found.hits:
        assert hit.explanation is not None
        looks = hit.explanation.attributes
        assert list(looks) == ["top", "bottom"]
        for name, height in (("top", 0.25), ("bottom", 0.75)):
            for side in (looks[name].query, looks[name].item):
                assert [region.ellipse.y for region in side] == pytest.approx(
                    [height] * 2, abs=0.01
                )
                assert sum(region.share for region in side) == pytest.approx(1, abs=1e-5)
    assert not search(engine, "rg", k=1, explain=3).hits[0].explanation.attributes


def test_a_gallery_without_attributes_says_that_it_has_none(tmp_path: Path) -> None:
    engine = open_garments(build_garments(tmp_path, attributes=None))
    assert engine.attributes() == ()
    with pytest.raises(ParameterError, match="no attribute 'top'; it has none"):
        search(engine, "rg", attributes=TOP)
