"""What is on the disk after a change, what a start makes of it, and what maintenance tidies."""

import json
import os
import threading
from contextlib import suppress

import lance
import pytest

import indexer.live
from indexer.background import Repeating, TaskLog, run_politely
from indexer.gallery import EmbeddedGallery
from indexer.results import TaskStats
from model.errors import StorageError
from tests.indexer.live import find, item, open_gallery, read_state


@pytest.fixture
def live(index):
    with open_gallery(index) as gallery:
        yield gallery


@pytest.mark.parametrize("change", ["add", "replace", "remove"])
def test_a_change_is_on_the_disk_before_it_is_acknowledged(live, monkeypatch, change):
    synced: list[str] = []
    monkeypatch.setattr("indexer.files._sync", lambda path: synced.append(str(path)))
    if change == "remove":
        live.remove(["part0/0000.jpg"])
    else:
        getattr(live, change)([item("part0/0000.jpg", 60)])
    dataset = live.current().root / "gallery.lance"
    newest = max((dataset / "_versions").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    rows = "_deletions" if change == "remove" else "data"
    assert {str(newest), str(dataset / "_versions"), str(dataset / rows)} <= set(synced)


def test_a_start_after_a_kill_adds_what_the_stored_index_lacks(live, monkeypatch):
    live.add([item("a", 60), item("part0/0000.jpg", 61)])
    live.remove(["part0/0002.jpg"])
    root = live.current().root
    tie = json.loads((root / "recall.json").read_text())
    assert tie["version"] < live.current().stamp.version
    monkeypatch.setattr("indexer.derive.build_recall", None)
    with EmbeddedGallery.open(root) as opened:
        assert read_state(opened) == read_state(live.current())


def test_an_index_that_lacks_much_is_built_anew_at_the_start(live):
    live.add([item(f"n{number}", number) for number in range(30)])
    root = live.current().root
    with EmbeddedGallery.open(root) as opened:
        assert read_state(opened) == read_state(live.current())
    tie = json.loads((root / "recall.json").read_text())
    assert (tie["version"], tie["items"]) == (live.current().stamp.version, 50)


def test_maintenance_is_done_when_much_has_changed(live):
    assert not live.maintain()
    live.add([item(f"n{number}", number) for number in range(4)])
    live.remove(["n1", "part0/0000.jpg", "part0/0002.jpg"])
    assert (live.stats().delta, live.stats().tombstones) == (4, 2)
    state = read_state(live.current())
    assert live.maintain()
    assert (live.stats().delta, live.stats().tombstones) == (0, 0)
    assert read_state(live.current()) == state
    assert not live.maintain()


def test_many_small_files_are_merged(live):
    for number in range(6):
        live.add([item("a", number)])
        live.remove(["a"])
    for number in range(5):
        live.add([item(f"n{number}", number)])
    before = live.stats().files
    live.maintain(force=True)
    assert live.stats().files < before


def test_files_too_large_for_a_small_merge_are_merged_whole(index, monkeypatch):
    monkeypatch.setattr("indexer.maintenance._SMALL_FILE_ROWS", 1)
    with open_gallery(index, min_delta=1000) as live:
        for number in range(6):
            live.add([item(f"n{number}", number)])
        assert live.maintain()
        assert not live.maintain()


def test_an_index_in_cells_is_trained_anew_in_maintenance(index):
    with open_gallery(index, exact_limit=10) as live:
        live.add([item(f"n{number}", number) for number in range(150)])
        live.maintain(force=True)
        assert not live.current().recall_index.is_exact
        live.replace([item("n7", 999)])
        assert find(live, 999) == "n7"
        live.maintain(force=True)
        assert find(live, 999) == "n7"
        assert sum(find(live, number) == f"n{number}" for number in range(20, 60)) > 35


def test_old_versions_are_cleared_when_nobody_reads_them(index):
    versions = index / "gallery.lance" / "_versions"
    with open_gallery(index, keep_versions=2) as live:
        for number in range(5):
            live.add([item(f"n{number}", number)])
        held = live.current()
        state = read_state(held)
        live.remove(["n1"])
        live.maintain(force=True)
        assert len(list(versions.glob("*.manifest"))) < 8
        # Its files may still be open, so that reading alone would not prove it.
        assert lance.dataset(index / "gallery.lance", version=held.store.version).count_rows() == 25
        assert read_state(held) == state
    with EmbeddedGallery.open(index, token_budget_mb=0):
        assert held.read_thumbnail("n1")


def test_work_in_the_background_goes_on_after_a_failure():
    calls: list[int] = []
    done = threading.Event()

    def work() -> None:
        calls.append(len(calls))
        if len(calls) == 1:
            raise RuntimeError("once")
        done.set()

    repeating = Repeating("work", 0.01, work)
    assert done.wait(60)
    repeating.stop()


def test_maintenance_lets_others_go_first_only_while_nobody_waits_for_it(live, monkeypatch):
    found: dict[str, int] = {}

    def watch(name):
        work = getattr(indexer.live, name)

        def noting(*args, **kwargs):
            found[name] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
            return work(*args, **kwargs)

        monkeypatch.setattr(indexer.live, name, noting)

    for name in ("build_index", "swap_index", "merge_files"):
        watch(name)
    live.add([item("a", 60)])
    assert live.maintain(force=True)
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    polite = min(19, usual + 5)
    assert found == {"build_index": polite, "swap_index": usual, "merge_files": usual}


def test_polite_work_fails_as_the_work_does():
    with pytest.raises(StorageError, match="disk full"):
        run_politely(_fill_disk)


def _fill_disk() -> None:
    raise StorageError("disk full")


@pytest.mark.parametrize("error", [StorageError("disk full"), ZeroDivisionError("a bug")])
def test_failures_in_the_background_are_counted_until_it_goes_through_again(error):
    tasks = TaskLog("maintenance", "reload")

    def fail() -> None:
        raise error

    for _ in range(2):
        with suppress(ZeroDivisionError):
            tasks.run("maintenance", fail)
    assert tasks.is_failing("maintenance")
    assert tasks.stats()["maintenance"] == TaskStats(2, None, str(error))
    assert tasks.stats()["reload"] == TaskStats()
    tasks.run("maintenance", lambda: None)
    after = tasks.stats()["maintenance"]
    assert (after.failures, after.error) == (2, None)
    assert after.last_success is not None


def test_maintenance_that_fails_shows_and_its_success_too(live, monkeypatch):
    monkeypatch.setattr("indexer.live.build_index", fail_to_write)
    live.add([item(f"n{number}", number) for number in range(8)])
    live._maintain()
    assert live.tasks()["maintenance"].failures == 1
    assert live.stats().errors == {"maintenance": "disk full"}
    monkeypatch.undo()
    live._maintain()
    assert live.stats().errors == {}
    assert live.tasks()["maintenance"].last_success is not None


def fail_to_write(*_):
    raise StorageError("disk full")
