"""Searches go on while the gallery is written to, maintained and reloaded."""

import gc
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import indexer.live
from indexer.build import build_gallery
from indexer.checkpoint import GivenEncoder
from indexer.history import History
from indexer.live import LiveGallery
from indexer.live_types import LiveOptions
from indexer.protocols import EncoderLike
from indexer.update import add as add_by_command
from model.errors import GalleryMismatchError
from tests.indexer.conftest import small
from tests.indexer.fakes import FakeEncoder, draw_photo, draw_photos
from tests.indexer.live import find, item, open_gallery, read_dataset, read_state


def wait_for(claim: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not claim():
        assert time.monotonic() < deadline, "waited for a minute"
        time.sleep(0.01)


@pytest.mark.parametrize("token_budget_mb", [0, 2048])
def test_searches_see_whole_states_during_writes_and_maintenance(index, token_budget_mb):
    options = {"background": True, "maintain_s": 0.01, "watch_s": 0.02, "keep_versions": 3}
    live = open_gallery(index, busy_wait_s=30.0, token_budget_mb=token_budget_mb, **options)
    errors: list[BaseException] = []
    searches = [0]
    done = threading.Event()

    def run(work: Callable[[int], None]) -> threading.Thread:
        def repeat() -> None:
            try:
                step = 0
                while not done.is_set():
                    work(step)
                    step += 1
            except BaseException as error:
                errors.append(error)
                done.set()

        thread = threading.Thread(target=repeat)
        thread.start()
        return thread

    def search(step: int) -> None:
        state = live.current()
        pairs = {item_id for item_id, _ in read_state(state)}
        # Items a and b are written together: a state has both or none.
        assert len(pairs & {"a", "b"}) in (0, 2)
        again = live.snapshot(state.stamp.version)
        assert again is None or len(again) == len(state)
        searches[0] += 1

    def write(step: int) -> None:
        live.add([item("a", step), item("b", 5000 + step)])
        live.replace([item("a", 900 + step)])
        live.remove(["b", "a"])

    def write_more(step: int) -> None:
        live.add([item(f"n{step % 3}", 100 + step)])

    threads = [run(search), run(search), run(write), run(write_more)]
    start = live.current().stamp.version
    wait_for(lambda: done.is_set() or (searches[0] > 40 and live.stats().version > start + 40))
    done.set()
    for thread in threads:
        thread.join()
    live.close()
    assert errors == []
    assert live.stats().errors == {}
    assert live.stats().last_maintenance is not None
    assert {i for i, _ in read_state(live.current())} == set(read_dataset(index))


def test_the_watch_takes_over_what_the_command_line_adds(photos, index):
    live = open_gallery(index, background=True, watch_s=0.02)
    draw_photo(photos / "new.jpg", 70)
    add_by_command(photos, index, GivenEncoder(FakeEncoder()), options=small())
    wait_for(lambda: len(live.current()) == 21)
    live.close()
    assert live.stats().last_reload is not None


def test_two_galleries_of_one_folder_write_in_turn(index):
    with open_gallery(index) as one, open_gallery(index) as other:
        one.add([item("a", 60)])
        other.add([item("b", 61)])
        one.remove(["b"])
        other.reload()
        assert read_state(one.current()) == read_state(other.current())
        assert one.current().stamp == other.current().stamp


class Encoders:
    """Loads for each generation the encoder that it was built with."""

    def __init__(self) -> None:
        self.loads = 0
        self.next: EncoderLike = FakeEncoder()

    def load(self, checkpoint: Path) -> EncoderLike:
        self.loads += 1
        return self.next


@pytest.fixture
def rebuilt(index, tmp_path):
    """A living gallery over whose head another build with another encoder is published."""
    plan = Encoders()
    live = LiveGallery(index, plan, LiveOptions(background=False))
    photos = draw_photos(tmp_path / "others", 7)

    def publish(encoder: FakeEncoder) -> None:
        build_gallery(photos, index, encoder, options=small(overwrite=True))

    return live, plan, publish


def test_a_new_build_swaps_gallery_and_encoder_together(rebuilt):
    live, plan, publish = rebuilt
    before = live.current()
    state = read_state(before)
    plan.next = FakeEncoder("other")
    publish(plan.next)
    assert live.reload()
    after = live.current()
    assert (len(after), after.encoder, after.manifest.generation) == (7, plan.next, 2)
    assert before.encoder is not plan.next
    assert after.stamp.version > before.stamp.version
    assert live.snapshot(before.stamp.version) is before
    assert read_state(before) == state
    live.add([item("a", 60)])
    assert len(live.current()) == 8


def test_a_build_of_the_same_checkpoint_keeps_the_encoder(rebuilt):
    live, plan, publish = rebuilt
    publish(FakeEncoder())
    live.add([item("a", 60)])
    assert (len(live.current()), plan.loads) == (8, 1)


def run_once_after(monkeypatch, name: str, event: Callable[[], object]) -> None:
    """Let something happen, once, right after a step of a write."""
    step = getattr(indexer.live, name)

    def wrapped(*args):
        result = step(*args)
        monkeypatch.setattr(indexer.live, name, step)
        event()
        return result

    monkeypatch.setattr(indexer.live, name, wrapped)


def test_a_photo_is_encoded_again_when_a_build_is_published_meanwhile(rebuilt, monkeypatch):
    live, plan, publish = rebuilt
    plan.next = other = FakeEncoder("other")
    run_once_after(monkeypatch, "encode_items", lambda: publish(other))
    live.add([item("a", 60)])
    assert (len(live.current()), live.current().encoder) == (8, other)
    assert other.batches[-1] == 1


def test_an_item_that_another_changes_meanwhile_is_prepared_again(index, monkeypatch):
    with open_gallery(index) as live, open_gallery(index) as other:
        live.add([item("a", 60)])
        run_once_after(monkeypatch, "load_items", lambda: other.add([item("a", 61)]))
        report = live.add([item("a", 60)])
        assert report.outcomes[0].status == "updated"
        assert find(live, 60) == "a"
        run_once_after(monkeypatch, "load_items", lambda: other.remove(["a"]))
        assert live.add([item("a", 60)]).outcomes[0].status == "added"


def test_a_build_whose_encoder_does_not_fit_leaves_the_old_state(rebuilt):
    live, _, publish = rebuilt
    publish(FakeEncoder("other"))
    with pytest.raises(GalleryMismatchError, match="was built with checkpoint"):
        live.reload()
    assert len(live.current()) == 20
    assert read_state(live.current())


def test_an_old_generation_is_deleted_when_nobody_reads_it(rebuilt):
    live, plan, publish = rebuilt
    plan.next = FakeEncoder("other")
    publish(plan.next)
    root = live.current().root
    live.reload()
    live.maintain(force=True)
    assert (root / "gallery.lance").exists()
    live.add([item("a", 60)])
    live.maintain(force=True)
    gc.collect()
    live.maintain(force=True)
    assert not (root / "gallery.lance").exists()
    assert len(live.current()) == 8


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_states_are_held_for_a_while_and_never_too_many(index):
    clock = Clock()
    with open_gallery(index) as live:
        live._history = History(keep_s=100, most=3, clock=clock)
        live._history.publish(live._opened.snapshot)
        versions = [live.stats().version]
        for number in range(4):
            clock.now += 10
            versions.append(live.add([item("a", number)]).version)
        assert live.stats().versions == versions[-3:]
        assert live.snapshot(versions[0]) is None
        clock.now += 99
        assert live.snapshot(versions[-2]) is not None
        clock.now += 2
        assert live.snapshot(versions[-2]) is None
        assert live.stats().versions == versions[-1:]


def test_held_states_share_their_memory(index):
    with open_gallery(index, min_delta=1000) as live:
        before = live.stats().bytes_resident
        for number in range(30):
            live.add([item("a", number)])
        one_item = before / 20
        assert len(live.stats().versions) == 31
        assert live.stats().bytes_resident <= before + 40 * one_item


def test_no_more_than_two_recall_indexes_are_held(index):
    with open_gallery(index) as live:
        for number in range(6):
            live.add([item("a", number)])
            live.maintain(force=True)
        held = [live.snapshot(version) for version in live.stats().versions]
        assert len({id(state.recall_index.base) for state in held if state}) == 2


def test_a_place_of_a_replaced_item_is_used_again_after_maintenance(index):
    with open_gallery(index, min_delta=1000) as live:
        before = live.current().resident.num_bytes
        for number in range(40):
            live.add([item("part0/0000.jpg", number)])
        assert live.current().resident.num_bytes > 2 * before
        live.maintain(force=True)
        assert live.current().resident.num_bytes == before
        assert np.array_equal(live.current().recall_index.rows(), np.arange(20))
