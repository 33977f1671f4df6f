"""Loading: the same bytes for any number of threads, and from any step on."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from model.data import load_dataset
from model.data.augment import plain_view
from model.data.loader import Loader
from model.data.reading import read_photo
from model.data.records import Photo
from model.data.sampler import ItemSampler
from model.errors import ImageError, ParameterError
from model.preprocessing import Preprocessing, prepare
from tests.model.data.conftest import draw

SMALL = Preprocessing(image_size=32)


@pytest.fixture
def photos(tmp_path):
    """Six items of three photos."""
    return [
        Photo(draw(tmp_path / f"{item}{k}.png", (20 + item, 30), 3 * item + k), f"{item}")
        for item in range(6)
        for k in range(3)
    ]


def make_loader(photos, workers=2, views=False, chosen=None, **more):
    sampler = ItemSampler(photos, num_items=3, num_photos=2, seed=5, views=views)
    return Loader(photos, sampler, SMALL, views=chosen, workers=workers, **more)


@pytest.mark.parametrize("views", [False, True])
@pytest.mark.parametrize(("workers", "prefetch"), [(2, 1), (5, 4)])
def test_the_number_of_workers_changes_no_byte(photos, views, workers, prefetch):
    alone = list(make_loader(photos, 1, views).batches(3))
    many = list(make_loader(photos, workers, views, prefetch=prefetch).batches(3))
    assert len(alone) == len(many) == len(make_loader(photos, 1, views))
    for one, other in zip(alone, many, strict=True):
        assert np.array_equal(one.pixels, other.pixels)
        assert np.array_equal(one.batch.photos, other.batch.photos)


def test_loading_from_the_middle_continues_the_epoch(photos):
    whole = list(make_loader(photos).batches(1))
    rest = list(make_loader(photos).batches(1, start=2))
    assert [each.batch.step for each in rest] == [each.batch.step for each in whole[2:]]
    for one, other in zip(whole[2:], rest, strict=True):
        assert np.array_equal(one.pixels, other.pixels)


def test_an_epoch_past_its_end_is_empty(photos):
    assert list(make_loader(photos).batches(0, start=99)) == []


def test_the_same_photo_looks_otherwise_in_the_next_epoch(photos):
    def first(epoch):
        return next(make_loader(photos).batches(epoch)).pixels

    assert not np.array_equal(first(0), first(1))


def test_without_augmentation_the_pixels_are_those_of_serving(photos):
    for loaded in make_loader(photos, chosen=[plain_view]).batches(0):
        for pixels, place in zip(loaded.pixels, loaded.batch.photos, strict=True):
            assert np.array_equal(pixels, prepare(read_photo(photos[place]), SMALL).pixels)


def test_two_slots_of_one_unlabelled_photo_are_two_views(tmp_path):
    for k in range(6):
        draw(tmp_path / f"{k}.png", (40, 40), k)
    data = load_dataset(f"photos:{tmp_path}")
    sampler = ItemSampler(data.train, num_items=2, num_photos=2, views=data.views)
    loaded = next(Loader(data.train, sampler, SMALL).batches(0))
    assert loaded.batch.photos[0] == loaded.batch.photos[1]
    assert not np.array_equal(loaded.pixels[0], loaded.pixels[1])


def test_a_damaged_photo_stops_the_epoch_with_its_name(photos, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not a photo")
    photos[7] = replace(photos[7], path=broken)
    with pytest.raises(ImageError, match=r"broken\.jpg: these 11 bytes are not an image"):
        list(make_loader(photos).batches(0))


def test_leaving_early_leaves_no_thread_behind(photos):
    batches = make_loader(photos, workers=3).batches(0)
    next(batches)
    batches.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("loader")]


def test_no_more_batches_are_begun_than_prefetch_allows(photos, monkeypatch):
    begun = []
    start = Loader._begin
    monkeypatch.setattr(Loader, "_begin", lambda *a: (begun.append(a[3].step), start(*a))[1])
    batches = make_loader(photos, prefetch=2).batches(0)
    next(batches)
    assert begun == [0, 1, 2]
    batches.close()


@pytest.mark.parametrize("numbers", [{"workers": 0}, {"prefetch": 0}])
def test_a_loader_without_workers_or_room_is_refused(photos, numbers):
    with pytest.raises(ParameterError, match="expected 1 or more of both"):
        make_loader(photos, **numbers)


def test_an_items_slots_are_divided_among_the_views(photos):
    def black(image, preprocessing, rng):
        return np.zeros((32, 32, 3), np.uint8)

    loader = make_loader(photos, chosen=[black, plain_view])
    for loaded in loader.batches(0):
        assert not loaded.pixels[0::2].any()
        assert loaded.pixels[1::2].any(axis=(1, 2, 3)).all()
