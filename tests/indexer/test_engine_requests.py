"""Filters, exclusions, paging, sorting, facets, deadlines, boxes and several photos."""

import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from indexer import candidates
from indexer.build import build_gallery
from indexer.engine import SearchEngine
from indexer.gallery import EmbeddedGallery
from indexer.requests import QueryPhoto, SearchRequest
from indexer.results import SearchResult
from model.errors import ParameterError
from model.evaluation.calibration import Calibration
from tests.indexer.aligner import Aligner
from tests.indexer.conftest import small
from tests.indexer.fakes import draw_photo
from tests.indexer.test_engine import Granular, ids

COUNT = 60
CATEGORIES = ("coat", "dress", "skirt")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Sixty photos of twenty products: three categories, whole prices, some without."""
    lines = ["image,product_id,category,price,rating,since,sale"]
    for i in range(COUNT):
        draw_photo(tmp_path / "shop" / f"{i:02}.png", i)
        price = "" if i % 10 == 9 else str(10 + i)
        row = (CATEGORIES[i % 3], price, i / 8, f"2026-01-{1 + i % 28:02}", str(i % 2 == 0).lower())
        lines.append(f"{i:02}.png,p{i // 3}," + ",".join(map(str, row)))
    (tmp_path / "shop/gallery.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "shop"


@pytest.fixture(params=["global", "granular"])
def engine(shop: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    aligner = Aligner() if request.param == "global" else Granular()
    build_gallery(shop, tmp_path / "index", aligner, options=small())
    engine = SearchEngine(EmbeddedGallery.open(tmp_path / "index"), aligner)  # type: ignore[arg-type]
    yield engine
    engine.close()


@pytest.fixture
def photo(shop: Path) -> bytes:
    return (shop / "07.png").read_bytes()


def numbers(result: SearchResult) -> list[int]:
    return [int(name[:2]) for name in ids(result)]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("price < 20", lambda i: 10 + i < 20 and i % 10 != 9),
        ("price IS NULL", lambda i: i % 10 == 9),
        ("price BETWEEN 20.5 AND 30", lambda i: 20.5 <= 10 + i <= 30 and i % 10 != 9),
        ("category = 'dress' AND NOT sale", lambda i: i % 3 == 1 and i % 2),
        ("category IN ('coat', 'skirt') AND rating >= 5", lambda i: i % 3 != 1 and i / 8 >= 5),
        ("category LIKE 'co%' OR product_id = 'p1'", lambda i: i % 3 == 0 or i // 3 == 1),
        ("item_id = '03.png'", lambda i: i == 3),
        ("since > '2026-01-20' AND (sale OR rating < 3)",
         lambda i: i in {*range(20, 25), *range(26, 27), *range(48, 55, 2)}),
        ("price > 1000", lambda i: False),
    ],
)  # fmt: skip
def test_a_filter_returns_every_item_that_fits_and_no_other(
    engine: SearchEngine, photo: bytes, text: str, holds: Any
) -> None:
    found = engine.search(photo, SearchRequest(k=COUNT, filter=text))
    assert sorted(numbers(found)) == [i for i in range(COUNT) if holds(i)]


def test_a_filter_is_pushed_into_recall_and_leaves_scores_alone(
    engine: SearchEngine, photo: bytes
) -> None:
    everything = engine.search(photo, SearchRequest(k=COUNT, alpha=1.0)).hits
    coats = [hit.item for hit in everything if hit.item.metadata["category"] == "coat"]
    request = SearchRequest(k=15, candidates=15, alpha=1.0, filter="category = 'coat'")
    found = engine.search(photo, request).hits
    assert len(found) == 15
    if engine.info().recall == "global":
        assert [hit.item for hit in found] == coats[:15]


def test_a_filter_is_looked_up_once_while_the_gallery_stays(
    engine: SearchEngine, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    find = EmbeddedGallery.find_rows
    monkeypatch.setattr(
        EmbeddedGallery, "find_rows", lambda self, sql: asked.append(sql) or find(self, sql)
    )
    for text in ("price < 20", "price   <  20", "price < 21"):
        engine.search(photo, SearchRequest(filter=text))
    assert asked == ["`price` < 20", "`price` < 21"]


def test_exclusions_leave_out_products_and_items_with_and_without_a_filter(
    engine: SearchEngine, photo: bytes
) -> None:
    out = {"exclude_products": ("p2", "p3", "no such"), "exclude_items": ("00.png", "o'hara")}
    gone = {0, 6, 7, 8, 9, 10, 11}
    found = engine.search(photo, SearchRequest(k=COUNT, **out))  # type: ignore[arg-type]
    assert set(numbers(found)) == set(range(COUNT)) - gone
    found = engine.search(photo, SearchRequest(k=COUNT, filter="category = 'coat'", **out))  # type: ignore[arg-type]
    assert set(numbers(found)) == set(range(0, COUNT, 3)) - gone


def test_an_items_own_product_can_be_left_out(engine: SearchEngine) -> None:
    request = SearchRequest(k=COUNT, filter="price < 30", exclude_products=("p2",))
    found = numbers(engine.search_item("05.png", request))
    assert sorted(found) == [i for i in range(20) if i not in (5, 6, 7, 8, 9, 19)]


def test_grouping_finds_k_products_whatever_is_filtered_and_left_out(
    engine: SearchEngine, photo: bytes
) -> None:
    request = SearchRequest(
        k=12, candidates=12, group_by="product", filter="sale", exclude_products=("p0",)
    )
    hits = engine.search(photo, request).hits
    assert len({hit.item.product_id for hit in hits}) == 12
    assert all(hit.item.metadata["sale"] and hit.item.product_id != "p0" for hit in hits)


@pytest.mark.parametrize("sort", [None, "-price", "category"])
@pytest.mark.parametrize("group_by", ["item", "product"])
@pytest.mark.parametrize("k", [4, 7])
def test_pages_are_slices_of_one_ordering(
    engine: SearchEngine, photo: bytes, group_by: Any, k: int, sort: str | None
) -> None:
    how: dict[str, Any] = {"candidates": 10, "group_by": group_by, "sort": sort, "k": k}
    pages = [
        engine.search(photo, SearchRequest(offset=offset, **how))
        for offset in range(0, COUNT + 2 * k, k)
    ]
    hits = [hit for page in pages for hit in page.hits]
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    keys = [hit.item.product_id if group_by == "product" else hit.item.item_id for hit in hits]
    assert len(set(keys)) == len(keys) == (20 if group_by == "product" else COUNT)
    odd = engine.search(photo, SearchRequest(offset=3, **how)).hits
    assert odd == hits[3 : 3 + k]


def test_a_page_aligns_only_its_own_candidates(engine: SearchEngine, photo: bytes) -> None:
    engine.search(photo, SearchRequest(k=10, offset=40, candidates=10))
    assert engine._encoder.aligned == 10  # type: ignore[attr-defined]


def test_sorting_orders_the_candidates_with_nulls_last_and_ties_by_score(
    engine: SearchEngine, photo: bytes
) -> None:
    prices = [
        hit.item.metadata["price"]
        for hit in engine.search(photo, SearchRequest(k=COUNT, sort="price")).hits
    ]
    known = [price for price in prices if price is not None]
    assert known == sorted(known)
    assert prices[len(known) :] == [None] * 6
    hits = engine.search(photo, SearchRequest(k=COUNT, sort="-category")).hits
    found = [hit.item.metadata["category"] for hit in hits]
    assert found == ["skirt"] * 20 + ["dress"] * 20 + ["coat"] * 20
    for start in range(0, COUNT, 20):
        fused = [hit.scores.fused or 0 for hit in hits[start : start + 20]]
        assert fused == sorted(fused, reverse=True)


def test_facets_count_the_candidates_the_same_on_every_page(
    engine: SearchEngine, photo: bytes
) -> None:
    names = ("category", "price", "rating", "since", "sale")
    how: dict[str, Any] = {"k": 5, "candidates": COUNT, "facets": names}
    first, later = (engine.search(photo, SearchRequest(offset=o, **how)) for o in (0, 55))
    assert first.facets == later.facets
    assert first.facet_candidates == COUNT
    assert list(first.facets) == list(names)
    category, price = first.facets["category"], first.facets["price"]
    assert {(value.value, value.count) for value in category.values} == {
        (name, 20) for name in CATEGORIES
    }
    assert (price.minimum, price.maximum, price.missing) == (10, 68, 6)
    assert sum(entry.count for entry in price.bins) == 54
    assert len(price.bins) == 10


def test_facets_without_candidates_are_empty(engine: SearchEngine, photo: bytes) -> None:
    found = engine.search(photo, SearchRequest(filter="price > 1000", facets=("price", "sale")))
    assert found.facet_candidates == 0
    assert found.facets["price"].minimum is None
    assert found.facets["sale"].values == ()


@pytest.mark.parametrize("group_by", ["item", "product"])
@pytest.mark.parametrize("when", ["before", "between two chunks"])
def test_past_the_deadline_hits_are_in_the_order_of_stage_one(
    engine: SearchEngine, photo: bytes, when: str, group_by: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "ALIGN_CHUNK", 8)
    deadline = time.monotonic() - 1
    if when != "before":
        clock = iter([0.0, 2.0])
        monkeypatch.setattr(candidates.time, "monotonic", lambda: next(clock))
        deadline = 1.0
    found = engine.search(photo, SearchRequest(k=6, group_by=group_by, deadline=deadline))
    assert not found.reranked
    assert engine._encoder.aligned == (0 if when == "before" else 8)  # type: ignore[attr-defined]
    assert {(hit.scores.token_score, hit.scores.fused) for hit in found.hits} == {(None, None)}
    row = engine._gallery.find_row("07.png")
    near = engine._gallery.recall(engine._gallery.read_encoded(row).recall, COUNT)[0].rows
    items = engine._gallery.read_items(near)
    if group_by == "product":
        items = list({item.product_id: item for item in reversed(items)}.values())
        items.sort(key=lambda item: near.tolist().index(engine._gallery.find_row(item.item_id)))
    assert [hit.item for hit in found.hits] == items[:6]


def test_past_the_deadline_global_scores_are_still_those_of_the_global_feature(
    engine: SearchEngine, photo: bytes
) -> None:
    in_time = engine.search(photo, SearchRequest(k=COUNT)).hits
    whole = {hit.item.item_id: hit.scores.global_score for hit in in_time}
    for hit in engine.search(photo, SearchRequest(deadline=0.0)).hits:
        assert hit.scores.global_score == pytest.approx(whole[hit.item.item_id], abs=1e-5)


def test_a_deadline_that_is_kept_changes_nothing(engine: SearchEngine, photo: bytes) -> None:
    late = engine.search(photo, SearchRequest(deadline=time.monotonic() + 1000))
    assert late.reranked
    assert late.hits == engine.search(photo).hits


def test_past_the_deadline_no_hit_is_confident(
    engine: SearchEngine, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Aligner, "calibration", Calibration(slope=20.0, intercept=-14.0))
    late = engine.search(photo, SearchRequest(deadline=0.0, explain=0))
    assert {hit.confidence for hit in late.hits} == {None}
    refused = engine.search(photo, SearchRequest(deadline=0.0, min_confidence=0.0))
    assert (refused.hits, refused.no_confident_match, refused.reranked) == ([], True, False)


def test_the_same_photo_twice_is_the_photo_once(engine: SearchEngine, photo: bytes) -> None:
    once = engine.search(photo, SearchRequest(k=20))
    twice = engine.search([QueryPhoto(photo), QueryPhoto(photo)], SearchRequest(k=20))
    assert ids(twice) == ids(once)
    for one, other in zip(once.hits, twice.hits, strict=True):
        assert one.scores.fused == pytest.approx(other.scores.fused, abs=1e-5)


def test_several_photos_score_the_mean_over_the_union_of_their_candidates(
    engine: SearchEngine, shop: Path
) -> None:
    photos = [QueryPhoto((shop / f"{i:02}.png").read_bytes()) for i in (7, 30)]
    alone = [engine.search([photo], SearchRequest(k=COUNT)) for photo in photos]
    scores = [{hit.item.item_id: hit.scores for hit in result.hits} for result in alone]
    together = engine.search(photos, SearchRequest(k=COUNT))
    for hit in together.hits:
        two = [each[hit.item.item_id] for each in scores]
        for name in ("global_score", "token_score", "fused"):
            mean = np.mean([getattr(score, name) for score in two])
            assert getattr(hit.scores, name) == pytest.approx(mean, abs=1e-5)
    few = SearchRequest(k=5, candidates=5)
    union = {name for photo in photos for name in ids(engine.search([photo], few))}
    engine._encoder.aligned = 0  # type: ignore[attr-defined]
    assert set(ids(engine.search(photos, few))) <= union
    # Compared with both photos at once.
    assert engine._encoder.aligned == len(union)  # type: ignore[attr-defined]


def test_pages_of_several_photos_do_not_overlap(engine: SearchEngine, shop: Path) -> None:
    photos = [QueryPhoto((shop / f"{i:02}.png").read_bytes()) for i in (1, 17, 44)]
    encoded = engine.encode(photos)
    for group_by, expected in (("item", COUNT), ("product", 20)):
        pages = [
            engine.search_encoded(
                encoded,
                SearchRequest(k=4, offset=offset, candidates=4, group_by=group_by),  # type: ignore[arg-type]
            )
            for offset in range(0, COUNT + 4, 4)
        ]
        keys = [
            hit.item.product_id if group_by == "product" else hit.item.item_id
            for page in pages
            for hit in page.hits
        ]
        assert len(set(keys)) == len(keys) == expected


def test_an_encoded_photo_is_searched_with_as_the_photo(engine: SearchEngine, photo: bytes) -> None:
    encoded = engine.encode([QueryPhoto(photo)])
    assert engine.search_encoded(encoded).hits == engine.search(photo).hits


def make_photo(image: Image.Image, orientation: int | None = None) -> bytes:
    buffer, exif = io.BytesIO(), Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    image.save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


def test_a_box_is_a_crop_of_the_upright_photo(engine: SearchEngine, photo: bytes) -> None:
    crop = Image.open(io.BytesIO(photo)).convert("RGB")
    wide = Image.new("RGB", (256, 128), "blue")
    wide.paste(crop, (128, 64))
    box = (0.5, 0.5, 0.75, 1.0)
    turned = make_photo(wide.rotate(90, expand=True), orientation=6)
    for data in (make_photo(wide), turned):
        [boxed] = engine.encode([QueryPhoto(data, box)])
        [plain] = engine.encode([QueryPhoto(photo)])
        np.testing.assert_allclose(boxed.tokens, plain.tokens, atol=1e-5)
        # Geometry is told in fractions of the whole photo.
        expected = np.array([0.5, 0.5, 0, 0, 0]) + plain.geometry * [0.25, 0.5, 0.25, 0.5, 1]
        np.testing.assert_allclose(boxed.geometry, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((0.5, 0.1, 0.5, 0.9), "box is 0.5, 0.1, 0.5, 0.9, which holds nothing"),
        ((0.9, 0.1, 0.5, 0.9), "expected left < right and top < bottom"),
        ((-0.1, 0.1, 0.5, 0.9), "expected left, top, right, bottom as fractions"),
        ((0.1, 0.1, 0.5, 1.2), "from 0 to 1"),
        ((float("nan"), 0.1, 0.5, 1.0), "box is nan"),
        ((0.1, 0.2), "expected left, top, right, bottom"),
    ],
)
def test_a_box_that_is_no_part_of_the_photo_is_refused(box: Any, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        QueryPhoto(b"", box)


def test_a_box_with_too_few_pixels_is_refused(engine: SearchEngine, photo: bytes) -> None:
    with pytest.raises(ParameterError, match=r"holds 6 x 64 pixels of the photo's 64 x 64"):
        engine.encode([QueryPhoto(photo, (0.0, 0.0, 0.1, 1.0))])


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"filter": "colour = 'red'"}, "'colour', which this gallery lacks; it has item_id, prod"),
        ({"filter": "tokens IS NULL"}, "names the column 'tokens'"),
        ({"filter": "price <"}, "at character 8: it ends, where a number after < was expected"),
        ({"sort": "-colour"}, "sort names the column 'colour', .* it has category, price"),
        ({"facets": ("price", "hue")}, "facets names the column 'hue'"),
    ],
)
def test_columns_that_are_not_there_are_answered_with_those_that_are(
    engine: SearchEngine, photo: bytes, request_: dict[str, Any], words: str
) -> None:
    with pytest.raises(ParameterError, match=words):
        engine.search(photo, SearchRequest(**request_))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"offset": -1}, "offset is -1; expected a whole number from 0 to 1000"),
        ({"offset": 995, "k": 6}, "reach to hit 1001; at most 1000 hits can be paged"),
        ({"explain": 11}, "explain is 11"),
        ({"explain": 1, "k": 101}, "expected k up to 100"),
        ({"facets": "price"}, "facets is 'price'; expected several names"),
        ({"exclude_items": ("a",) * 1001}, "exclude_items has 1001 names"),
        ({"k": 2.5}, "k is 2.5"),
        ({"k": True}, "k is True"),
    ],
)
def test_a_request_out_of_range_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        SearchRequest(**options)


@pytest.mark.parametrize("count", [0, 9])
def test_a_query_has_one_to_eight_photos(engine: SearchEngine, photo: bytes, count: int) -> None:
    with pytest.raises(ParameterError, match=f"has {count} photos; expected 1 to 8"):
        engine.search([QueryPhoto(photo)] * count)
    with pytest.raises(ParameterError, match=f"has {count} photos; expected 1 to 8"):
        engine.search_encoded(engine.encode([QueryPhoto(photo)]) * count)
