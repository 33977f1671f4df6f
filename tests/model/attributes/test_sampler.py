"""Triplets: what may stand together, how often, and the same ones for the same seed."""

import numpy as np
import pytest

from model.attributes.sampler import TripletSampler
from model.errors import DataError, ParameterError
from tests.model.attributes.conftest import make_data, photo


@pytest.fixture
def data():
    """Attribute a: 10, 2 and 3 photos; b: known of half of them, value 2 of a single photo."""
    values = [0] * 10 + [1] * 2 + [2] * 3
    train = [photo(k, value, k % 2 if k > 4 else None) for k, value in enumerate(values)]
    return make_data([*train, photo(15, None, 2)], (3, 3))


def test_anchor_and_positive_share_the_value_that_the_negative_lacks(data):
    drawn = TripletSampler(data, num_triplets=2000).triplets(0)
    for k, *places in zip(*(column.tolist() for column in drawn), strict=True):
        anchor, positive, negative = (data.train[place].values[k] for place in places)
        assert anchor == positive != negative
        assert len(set(places)) == 3


def test_attributes_and_values_come_alike_often_however_rare(data):
    drawn = TripletSampler(data, num_triplets=30_000).triplets(0)
    a = drawn.attribute == 0
    assert a.mean() == pytest.approx(0.5, abs=0.02)
    for column in (drawn.anchor, drawn.negative):
        values = [data.train[place].values[0] for place in column[a]]
        assert np.bincount(values) / len(values) == pytest.approx([1 / 3] * 3, abs=0.02)


def test_within_a_value_every_photo_comes_alike_often(data):
    drawn = TripletSampler(data, num_triplets=30_000).triplets(0)
    chosen = drawn.anchor[(drawn.attribute == 0) & (drawn.anchor < 10)]
    assert np.bincount(chosen) / len(chosen) == pytest.approx([0.1] * 10, abs=0.02)


def test_a_value_of_one_photo_is_left_out_and_said_to_be(data):
    sampler = TripletSampler(data, num_triplets=3000)
    assert sampler.notes == ("b: v2 left out of training, as fewer than two photos show it.",)
    assert 15 not in np.concatenate(sampler.triplets(0)[1:])


def test_the_seed_and_the_epoch_decide_everything(data):
    def draw(epoch, seed=1):
        return np.stack(TripletSampler(data, num_triplets=50, seed=seed).triplets(epoch))

    assert np.array_equal(draw(3), draw(3))
    assert not np.array_equal(draw(3), draw(4))
    assert not np.array_equal(draw(3), draw(3, seed=2))


def test_batches_are_the_epoch_cut_and_can_be_continued(data):
    sampler = TripletSampler(data, num_triplets=35, batch=16)
    batches = sampler.batches(5)
    assert [len(batch.anchor) for batch in batches] == [16, 16, 3]
    assert len(sampler) == 3
    joined = np.concatenate([batch.negative for batch in batches])
    assert np.array_equal(joined, sampler.triplets(5).negative)


def test_a_photo_with_both_values_is_no_negative():
    train = [photo(k, 0, others={0: (1,)}) for k in range(4)]
    train += [photo(4, 0), photo(5, 1), photo(6, 1)]
    drawn = TripletSampler(make_data(train, (2,)), num_triplets=500).triplets(0)
    for anchor, positive, negative in zip(*drawn[1:], strict=True):
        shared = train[anchor].all_values(0) & train[positive].all_values(0)
        assert shared - train[negative].all_values(0)


def test_values_that_always_come_together_are_refused():
    train = [photo(k, 0, others={0: (1,)}) for k in range(4)]
    with pytest.raises(DataError, match="nearly always come together"):
        TripletSampler(make_data(train, (2,)), num_triplets=5).triplets(0)


def test_an_attribute_without_two_values_of_two_photos_is_refused():
    train = [photo(0, 0), photo(1, 0), photo(2, 1)]
    with pytest.raises(DataError, match="mini has 1 values of a with two training photos"):
        TripletSampler(make_data(train, (2,)))


def test_data_for_evaluation_only_is_never_trained_on():
    with pytest.raises(DataError, match="mini is for evaluation only"):
        TripletSampler(make_data([], (2,), evaluation_only=True))


def test_data_without_training_photos_is_refused():
    with pytest.raises(DataError, match="no training photos"):
        TripletSampler(make_data([], (2,)))


@pytest.mark.parametrize("wrong", [{"num_triplets": 0}, {"batch": 0}])
def test_less_than_one_triplet_is_refused(data, wrong):
    with pytest.raises(ParameterError, match="expected 1 or more"):
        TripletSampler(data, **wrong)
