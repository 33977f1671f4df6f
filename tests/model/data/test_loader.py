"""Loading: the same bytes for any number of workers, and from any step on."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.data import load_dataset
from model.data.augment import plain_view
from model.data.crew import Processes, Threads
from model.data.loader import Loader
from model.data.reading import read_photo
from model.data.records import Photo
from model.data.sampler import ItemSampler
from model.errors import ImageError, ParameterError, TrainingError
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


def make_loader(photos, workers=0, views=False, chosen=None, **more):
    sampler = ItemSampler(photos, num_items=3, num_photos=2, seed=5, views=views)
    return Loader(photos, sampler, SMALL, views=chosen, workers=workers, **more)


def load(loader, *epochs):
    with loader:
        return [loaded for epoch in epochs for loaded in loader.batches(epoch)]


def assert_same(one, other):
    assert len(one) == len(other) > 0
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a.pixels, b.pixels)
        assert np.array_equal(a.batch.photos, b.batch.photos)


@pytest.mark.parametrize("views", [False, True])
@pytest.mark.parametrize(("workers", "prefetch"), [(0, 1), (2, 3)])
def test_the_number_of_workers_changes_no_byte(photos, views, workers, prefetch):
    expected = load(make_loader(photos, 0, views), 3, 4)
    assert_same(load(make_loader(photos, workers, views, prefetch=prefetch), 3, 4), expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_photos_that_are_kept_change_no_byte_and_are_read_once(photos, workers, tmp_path):
    expected = load(make_loader(photos, room=0), 0, 1)
    loader = make_loader(photos, workers)
    with loader:
        found = list(loader.batches(0))
        for photo in photos:
            photo.path.unlink()
        found += loader.batches(1)
    assert_same(found, expected)


def test_no_more_is_kept_than_there_is_room_for(photos):
    loader = make_loader(photos, room=7 * 4 * 20 * 30)
    list(loader.batches(0))
    assert len(loader._filler._kept) < len(photos)
    kept = sum(4 * image.width * image.height for image in loader._filler._kept.values())
    assert kept <= 7 * 4 * 20 * 30


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


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_photo_stops_the_epoch_with_its_name(photos, tmp_path, workers):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not a photo")
    photos[7] = replace(photos[7], path=broken)
    with pytest.raises(ImageError, match=r"broken\.jpg: these 11 bytes are not an image"):
        load(make_loader(photos, workers), 0)


def test_leaving_early_leaves_no_thread_behind(photos):
    batches = make_loader(photos).batches(0)
    next(batches)
    batches.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("loader")]


def test_after_leaving_early_processes_load_the_next_epoch(photos):
    expected = load(make_loader(photos), 1)
    with make_loader(photos, 2) as loader:
        batches = loader.batches(0)
        next(batches)
        batches.close()
        assert_same(list(loader.batches(1)), expected)
        assert multiprocessing.active_children()
    assert not multiprocessing.active_children()


def test_a_batch_stays_as_it_was_when_the_next_ones_are_loaded(photos):
    with make_loader(photos, 1, prefetch=1) as loader:
        batches = loader.batches(0)
        first = next(batches).pixels
        before = first.copy()
        list(batches)
    assert np.array_equal(first, before)


def test_a_process_that_is_killed_is_a_sentence(photos):
    with make_loader(photos, 1) as loader:
        list(loader.batches(0))
        (process,) = multiprocessing.active_children()
        process.kill()
        process.join()
        with pytest.raises(TrainingError, match=r"has ended: it was killed.*--workers 0"):
            list(loader.batches(1))


PARENT = """
import sys
from pathlib import Path
from model.data import ItemSampler, Loader, Photo
from model.preprocessing import Preprocessing

if __name__ == "__main__":
    photos = [Photo(Path(name), name) for name in sys.argv[1:]]
    sampler = ItemSampler(photos, num_items=2, num_photos=1)
    loader = Loader(photos, sampler, Preprocessing(image_size=32), workers=1)
    next(loader.batches(0))
    print(*loader._processes._pools[0]._processes, flush=True)
    input()
"""


def test_a_parent_that_is_killed_leaves_no_process_behind(photos, tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, script, *(str(photo.path) for photo in photos)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    worker = int(parent.stdout.readline())
    os.kill(worker, 0)
    parent.kill()
    parent.communicate()
    end = time.monotonic() + 60
    while is_running(worker):
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(process):
    """A process that ended and that nobody waited for counts as ended."""
    try:
        os.kill(process, 0)
        status = Path(f"/proc/{process}/stat")
        return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.parametrize("workers", [0, 1])
def test_no_more_batches_are_begun_than_prefetch_allows(photos, monkeypatch, workers):
    begun = []
    kind = Processes if workers else Threads
    start = kind.begin
    monkeypatch.setattr(kind, "begin", lambda *a: (begun.append(a[2].step), start(*a))[1])
    with make_loader(photos, workers, prefetch=2) as loader:
        batches = loader.batches(0)
        next(batches)
        assert begun == [0, 1, 2]
        batches.close()


@pytest.mark.parametrize("numbers", [{"workers": -1}, {"prefetch": 0}, {"room": -1}])
def test_a_loader_without_workers_or_room_is_refused(photos, numbers):
    with pytest.raises(ParameterError, match="expected 0 or more workers"):
        make_loader(photos, **numbers)


def test_an_items_slots_are_divided_among_the_views(photos):
    def black(image, preprocessing, rng):
        return np.zeros((32, 32, 3), np.uint8)

    loader = make_loader(photos, chosen=[black, plain_view])
    for loaded in loader.batches(0):
        assert not loaded.pixels[0::2].any()
        assert loaded.pixels[1::2].any(axis=(1, 2, 3)).all()
