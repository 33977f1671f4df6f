"""What every gallery promises (`indexer.protocols.Gallery`), whatever it is kept in."""

import random
from typing import Any

import numpy as np
import pytest

from indexer.protocols import Gallery, Selection
from model.errors import ItemNotFoundError, ParameterError, StorageError
from model.images import read_image
from tests.indexer.contract.conftest import COUNT, Shop


def encode(shop: Shop, name: str) -> Any:
    return shop.encoder.encode([shop.encoder.prepare(read_image(shop.photos / name))]).recall


def names(gallery: Gallery, rows: Any) -> list[str]:
    return [item.item_id for item in gallery.read_items(rows)]


def test_it_counts_items_and_products(gallery: Gallery) -> None:
    assert len(gallery) == gallery.stamp.items == COUNT
    assert gallery.num_products() == 15
    assert gallery.stamp.fingerprint == gallery.manifest.fingerprint


@pytest.mark.parametrize("number", [0, 7, 44])
def test_every_photo_finds_itself(shop: Shop, gallery: Gallery, number: int) -> None:
    [found] = gallery.recall(encode(shop, f"{number:02}.png"), 3)
    assert names(gallery, found.rows)[0] == f"{number:02}.png"
    assert found.scores[0] == pytest.approx(1, abs=1e-5)
    assert (np.diff(found.scores) <= 0).all()


def test_several_vectors_are_answered_as_each_alone(shop: Shop, gallery: Gallery) -> None:
    vectors = np.concatenate([encode(shop, f"{n:02}.png") for n in (3, 9, 21)])
    for vector, found in zip(vectors, gallery.recall(vectors, 5), strict=True):
        [alone] = gallery.recall(vector[None], 5)
        np.testing.assert_array_equal(found.rows, alone.rows)


@pytest.mark.parametrize("inside", [True, False])
def test_recall_stays_within_a_selection(shop: Shop, gallery: Gallery, inside: bool) -> None:
    rows = np.sort([gallery.find_row(f"{n:02}.png") for n in range(0, COUNT, 4)])
    [found] = gallery.recall(encode(shop, "07.png"), 100, Selection(rows, inside))
    assert len(found.rows) == (len(rows) if inside else COUNT - len(rows))
    assert np.isin(found.rows, rows).all() == inside


@pytest.mark.parametrize("count", [0, 3])
def test_nothing_is_found_in_an_empty_selection(shop: Shop, gallery: Gallery, count: int) -> None:
    nothing = Selection(np.empty(0, np.int64), inside=True)
    [found] = gallery.recall(encode(shop, "07.png"), count, nothing)
    assert len(found.rows) == len(found.scores) == 0


def test_fewer_come_back_only_where_there_are_fewer(shop: Shop, gallery: Gallery) -> None:
    [found] = gallery.recall(encode(shop, "07.png"), COUNT + 5)
    assert len(set(found.rows.tolist())) == COUNT


def test_a_query_of_another_width_is_refused(gallery: Gallery) -> None:
    with pytest.raises(ParameterError, match="a query has 3 values, the gallery"):
        gallery.recall(np.ones((1, 3), np.float32), 5)


def test_tokens_and_items_come_in_the_order_asked_for(gallery: Gallery) -> None:
    rows = np.array([gallery.find_row(f"{n:02}.png") for n in (11, 2, 17, 2)])
    assert names(gallery, rows) == ["11.png", "02.png", "17.png", "02.png"]
    block = gallery.read_tokens(rows)
    for i, row in enumerate(rows):
        alone = gallery.read_tokens(np.array([row]))
        np.testing.assert_array_equal(block.tokens[i], alone.tokens[0])
        np.testing.assert_array_equal(block.scales[i], alone.scales[0])
    assert block.tokens.dtype == np.int8
    assert block.scales.dtype == block.mass.dtype == np.float32
    assert block.geometry.dtype == np.uint8


def test_nothing_asked_for_is_nothing_read(gallery: Gallery) -> None:
    nothing = np.empty(0, np.int64)
    assert gallery.read_items(nothing) == []
    assert gallery.read_tokens(nothing).tokens.shape[0] == 0


def test_a_row_that_is_not_there_is_named(gallery: Gallery) -> None:
    with pytest.raises(StorageError, match=r"again"):
        gallery.read_tokens(np.array([12345678]))


@pytest.mark.parametrize("item_id", ["nowhere.png", "", "' OR 1=1 --", '"', "\\"])
def test_an_unknown_item_is_named(gallery: Gallery, item_id: str) -> None:
    with pytest.raises(ItemNotFoundError, match="the gallery has no item"):
        gallery.find_row(item_id)
    with pytest.raises(ItemNotFoundError, match="the gallery has no item"):
        gallery.read_thumbnail(item_id)


def test_both_galleries_hold_the_same(shop: Shop) -> None:
    one, other = shop.galleries["embedded"], shop.galleries["milvus"]
    assert one.metadata_columns() == other.metadata_columns()
    for number in range(COUNT):
        name = f"{number:02}.png"
        rows = [np.array([each.find_row(name)]) for each in (one, other)]
        assert one.read_items(rows[0]) == other.read_items(rows[1])
        assert one.read_thumbnail(name) == other.read_thumbnail(name)
        for a, b in zip(one.read_tokens(rows[0]), other.read_tokens(rows[1]), strict=True):
            assert (a is None and b is None) or np.array_equal(a, b)
        stored = zip(
            one.read_encoded(int(rows[0][0])), other.read_encoded(int(rows[1][0])), strict=True
        )
        assert all(np.array_equal(a, b) for a, b in stored)


CONDITIONS = {
    "category": ["= 'coat'", "!= 'dress'", "LIKE 'co%'", "NOT LIKE 'co%'", "< 'coat'",
                 "IN ('coat', 'a \"b\" \\ ''c'' é👗')", "NOT IN ('coat')", "IS NULL",
                 "= 'a \"b\" \\ ''c'' é👗'", "= '\n'"],
    "price": ["< 19.5", ">= 19.5", "<= 20.5", "> 20.5", "= 20", "= 20.0", "!= 20.5", "= 20.5",
              "IN (20, 21.5, 1e300)", "NOT IN (20, 21)", "BETWEEN 15 AND 25.5", "< 1e300",
              "> -1e300", "NOT BETWEEN 15.5 AND 25", "IS NULL", "IS NOT NULL",
              "<> 9223372036854775807"],
    "rating": ["< 2", ">= 2.5", "= 1e-300", "< 1e308", "NOT BETWEEN 1 AND 2", "IN (0.5, 1)"],
    "since": ["< '1970-01-01'", "BETWEEN '1969-01-10' AND '1970-01-20'", "= '1971-01-03'"],
    "seen": ["< '2026-01-01 10:00:20'", "= '2026-01-01 10:00:07.123456'", "> '0001-01-01'"],
    "sale": ["= TRUE", "!= TRUE", "< TRUE", "IN (TRUE, FALSE)", "BETWEEN FALSE AND TRUE",
             "IS NULL"],
    "dress size": ["= 'm'", "IS NULL", "NOT IN ('m', 'l')", "LIKE 'm'"],
    "item_id": ["IN ('07.png', '08.png', 'x')", "LIKE '1%'", "IS NULL", "IS NOT NULL"],
    "product_id": ["= 'p3'", "NOT IN ('p3', 'p4')"],
}  # fmt: skip


def make_condition(choose: random.Random, depth: int = 0) -> str:
    if depth < 3 and choose.random() < 0.5:
        inner = [make_condition(choose, depth + 1) for _ in range(2)]
        return f"({choose.choice([' AND ', ' OR ']).join(inner)})"
    if depth < 3 and choose.random() < 0.3:
        return f"NOT {make_condition(choose, depth + 1)}"
    name = choose.choice(list(CONDITIONS))
    return f"`{name}` {choose.choice(CONDITIONS[name])}"


def find_both(shop: Shop, text: str) -> list[list[str]]:
    """The ids that each gallery finds for a filter; the granular shop tells nothing new."""
    engines = shop.engines.values()
    galleries = [engine._gallery for engine in engines]
    kinds = {"item_id": "string", "product_id": "string", **galleries[0].metadata_columns()}
    from indexer.filters import to_sql

    sql = to_sql(text, kinds)
    return [sorted(names(each, each.find_rows(sql))) for each in galleries]


@pytest.mark.parametrize(
    "text", [f"`{name}` {rest}" for name, each in CONDITIONS.items() for rest in each]
)
def test_a_condition_finds_the_same_everywhere(shop: Shop, text: str) -> None:
    if shop.galleries["milvus"].manifest.recall != "global":
        pytest.skip("conditions do not look at vectors")
    one, other = find_both(shop, text)
    assert one == other


@pytest.mark.parametrize("seed", range(8))
def test_what_null_does_to_not_and_and_or_is_what_sql_says(shop: Shop, seed: int) -> None:
    choose = random.Random(seed)
    for _ in range(4):
        text = make_condition(choose)
        one, other = find_both(shop, text)
        assert one == other, text
