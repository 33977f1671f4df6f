"""P items x K photos: a law for every epoch, not a frozen order."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from model.data.records import Photo
from model.data.sampler import MAX_GROUPS, ItemSampler
from model.errors import ParameterError


def make_photos(*counts, domains=("",)):
    """`counts[i]` photos a domain for item i."""
    return [
        Photo(Path(f"{item}-{domain}-{k}.jpg"), f"item {item}", domain)
        for item, count in enumerate(counts)
        for domain in domains
        for k in range(count)
    ]


UNEVEN = make_photos(1, 2, 3, 4, 5, 9, 13, 4, 4, 1)


@pytest.mark.parametrize(("num_items", "num_photos"), [(2, 1), (3, 4), (4, 2), (10, 4)])
@pytest.mark.parametrize("epoch", [0, 7])
def test_every_batch_has_p_different_items_with_k_slots_each(num_items, num_photos, epoch):
    sampler = ItemSampler(UNEVEN, num_items=num_items, num_photos=num_photos)
    batches = sampler.batches(epoch)
    assert [batch.step for batch in batches] == list(range(len(sampler)))
    for batch in batches:
        rows = batch.items.reshape(num_items, num_photos)
        assert (rows == rows[:, :1]).all()
        assert len(set(rows[:, 0])) == num_items


def test_labels_are_places_in_names_and_fit_the_photos():
    sampler = ItemSampler(UNEVEN, num_items=3)
    for batch in sampler.batches(0):
        for photo, item in zip(batch.photos, batch.items, strict=True):
            assert sampler.names[item] == UNEVEN[photo].item


@pytest.mark.parametrize("num_photos", [1, 2, 4])
def test_every_photo_comes_in_every_epoch(num_photos):
    sampler = ItemSampler(UNEVEN, num_items=3, num_photos=num_photos)
    for epoch in range(3):
        seen = {int(p) for batch in sampler.batches(epoch) for p in batch.photos}
        assert seen == set(range(len(UNEVEN)))


def test_a_photo_is_valid_once_in_a_batch_and_repeats_are_not():
    for batch in ItemSampler(UNEVEN, num_items=3).batches(0):
        assert max(Counter(batch.photos[batch.valid].tolist()).values()) == 1
        assert set(batch.photos.tolist()) == set(batch.photos[batch.valid].tolist())


def test_an_item_with_one_photo_has_one_valid_slot():
    sampler = ItemSampler(make_photos(1, 4, 4), num_items=3)
    for batch in sampler.batches(0):
        assert batch.valid[batch.items == 0].sum() == 1


def test_views_make_every_slot_valid():
    sampler = ItemSampler(make_photos(1, 1, 1), num_items=3, num_photos=2, views=True)
    batch = sampler.batches(0)[0]
    assert batch.valid.all()
    assert Counter(batch.photos.tolist()) == {0: 2, 1: 2, 2: 2}


def test_items_of_two_domains_give_half_of_each():
    photos = make_photos(3, 5, 2, 1, domains=("consumer", "shop"))
    for batch in ItemSampler(photos, num_items=2, num_photos=4).batches(0):
        domains = np.array([photos[k].domain for k in batch.photos]).reshape(2, 4)
        assert ((domains == "shop").sum(1) == 2).all()


def test_the_rarer_domain_comes_again_and_every_shop_photo_is_seen():
    photos = [*make_photos(1, 1, domains=("consumer",)), *make_photos(6, 6, domains=("shop",))]
    batches = ItemSampler(photos, num_items=2, num_photos=4).batches(0)
    assert len(batches) == 3
    for batch in batches:
        assert batch.valid.reshape(2, 4).sum(1).tolist() == [3, 3]
    assert {int(p) for batch in batches for p in batch.photos} == set(range(14))


def test_an_item_of_one_domain_fills_all_its_slots_among_two_domain_items():
    photos = [*make_photos(4, 4, domains=("consumer", "shop")), Photo(Path("x.jpg"), "x", "shop")]
    sampler = ItemSampler(photos, num_items=3, num_photos=4)
    assert sampler.batches(0)[0].valid.sum() == 9


def test_an_epoch_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        sampler = ItemSampler(UNEVEN, num_items=3, seed=seed)
        sampler.batches(11)  # what was asked before leaves no trace
        return np.concatenate([batch.photos for batch in sampler.batches(epoch)]).tolist()

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


def test_one_item_with_a_thousand_photos_does_not_fill_the_epoch():
    sampler = ItemSampler(make_photos(1000, 4, 4), num_items=2)
    assert len(sampler) == MAX_GROUPS


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"num_items": 11}, "needs as many in the training set, which has 10"),
        ({"num_items": 1}, "1 items x 4 photos cannot be built"),
        ({"num_items": 2, "num_photos": 0}, "2 items x 0 photos cannot be built"),
    ],
)
def test_a_batch_that_cannot_be_filled_is_refused(sizes, message):
    with pytest.raises(ParameterError, match=message):
        ItemSampler(UNEVEN, **sizes)


def share_of_neighbours(sampler):
    """How often an item has its nearest one (number ^ 1) in its batch."""
    met = [
        int(item) ^ 1 in set(batch.items.tolist())
        for epoch in range(4)
        for batch in sampler.batches(epoch)
        for item in set(batch.items.tolist())
    ]
    return sum(met) / len(met)


def test_items_that_look_alike_meet_in_a_batch():
    photos = make_photos(*(2 for _ in range(80)))
    alike = (np.arange(80) ^ 1)[:, None]
    apart = ItemSampler(photos, num_items=8, num_photos=2)
    together = ItemSampler(photos, num_items=8, num_photos=2, alike=alike, together=2)
    assert share_of_neighbours(apart) < 0.3
    assert share_of_neighbours(together) > 0.95


def test_items_that_look_alike_take_no_photo_from_an_epoch():
    alike = np.stack([np.roll(np.arange(10), -k)[:10] for k in range(1, 4)], axis=1)
    sampler = ItemSampler(UNEVEN, num_items=4, num_photos=2, alike=alike, together=4)
    seen = {int(p) for batch in sampler.batches(2) for p in batch.photos[batch.valid]}
    assert len(seen) == len(UNEVEN)
    for batch in sampler.batches(2):
        assert len(set(batch.items.tolist())) == 4
