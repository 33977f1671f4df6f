"""Records and the words around them."""

from pathlib import Path

import pytest

from model.data.holdout import check_retrieval, hold_out
from model.data.records import Photo, RetrievalSet
from model.errors import DataError


def make(item, count, domain=""):
    return [Photo(Path(f"{item}{domain}{k}.jpg"), item, domain) for k in range(count)]


def test_photos_can_be_told_apart_in_a_set():
    assert len({Photo(Path("a"), "x"), Photo(Path("a"), "x"), Photo(Path("b"), "x")}) == 2


@pytest.mark.parametrize("num_photos", [2, 3, 5])
def test_each_held_out_item_stands_on_both_sides_with_different_photos(num_photos):
    photos = [p for item in "abcdefghij" for p in make(item, num_photos)]
    kept, held = hold_out(photos, 0.3, 0)
    assert {p.item for p in held.queries} == {p.item for p in held.gallery}
    assert not set(held.queries) & set(held.gallery)
    assert sorted([*kept, *held.queries, *held.gallery], key=str) == sorted(photos, key=str)
    assert len({p.item for p in held.queries}) == 3


def test_across_domains_only_items_with_both_are_held_out():
    photos = [*make("a", 3, "shop"), *make("b", 3, "consumer")]
    photos += [
        p for item in "cde" for domain in ("shop", "consumer") for p in make(item, 1, domain)
    ]
    for seed in range(5):
        _, held = hold_out(photos, 0.4, seed)
        assert {p.item for p in held.queries} <= set("cde")


def test_two_items_always_stay_for_training():
    photos = [p for item in "abc" for p in make(item, 2)]
    kept, _ = hold_out(photos, 0.99, 0)
    assert len({p.item for p in kept}) == 2


def test_too_few_items_to_hold_out_is_a_sentence():
    with pytest.raises(DataError, match="2 of 2 training items have two photos or more; three"):
        hold_out([*make("a", 2), *make("b", 2)], 0.1, 0)


@pytest.mark.parametrize("sides", [((), make("a", 1)), (make("a", 1), ())])
def test_a_set_without_queries_or_gallery_is_refused(sides):
    with pytest.raises(DataError, match="it needs both"):
        check_retrieval(RetrievalSet("test", *map(tuple, sides)), "here")
