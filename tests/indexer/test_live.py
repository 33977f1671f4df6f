"""Adding, replacing and removing while searching; what is refused, and what a failure leaves."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from indexer.build import build_gallery
from indexer.files import lock_for_writing
from indexer.requests import NewItem
from indexer.results import Outcome
from indexer.verify import verify
from model.errors import (
    GalleryBusyError,
    ImageError,
    ImageTooLargeError,
    InputError,
    ItemNotFoundError,
    ParameterError,
    StorageError,
)
from tests.indexer.conftest import remount, small
from tests.indexer.fakes import FakeEncoder
from tests.indexer.live import find, item, open_gallery, read_dataset, read_state


@pytest.fixture
def live(index):
    with open_gallery(index) as gallery:
        yield gallery


@pytest.fixture
def priced(photos, tmp_path):
    """A living gallery with a column of each kind, and two items."""
    (photos / "gallery.csv").write_text(
        "image,product_id,price,stock,day,seen,sale,colour\n"
        "part0/0000.jpg,P1,5.5,3,2024-05-31,2024-05-31T10:00:00,true,red\n"
        "part0/0002.jpg,P2,6,4,2024-06-01,2024-06-01T10:00:00,false,blue\n"
    )
    build_gallery(photos, tmp_path / "priced", FakeEncoder(), options=small())
    with open_gallery(tmp_path / "priced") as gallery:
        yield gallery


def look_up(live, item_id):
    state = live.current()
    return state.read_items(np.array([state.find_row(item_id)], np.int64))[0]


@pytest.mark.parametrize("name", ["a/b c/d.jpg", "👕/日本", "it's", "..", "%2F", 'x"y', "a\nb"])
def test_a_new_item_is_found_by_the_next_search(live, name):
    report = live.add([item(name, 77)])
    assert report.outcomes == [Outcome(name, "added")]
    assert (report.version, report.items) == (live.current().stamp.version, 21)
    assert find(live, 77) == name
    live.remove([name])
    assert find(live, 77) != name


def test_an_item_that_is_equal_changes_nothing(live):
    first = live.add([item("a", 1)])
    again = live.add([item("a", 1)])
    assert (again.outcomes, again.version) == ([Outcome("a", "unchanged")], first.version)


def test_an_item_is_replaced_at_once(live):
    live.add([item("a", 60)])
    report = live.replace([item("a", 61)])
    assert report.outcomes == [Outcome("a", "updated")]
    assert find(live, 61) == "a"
    assert find(live, 60) != "a"


def test_what_a_replacement_does_not_say_is_kept(priced):
    priced.replace([NewItem("part0/0000.jpg", metadata={"price": 9, "colour": None})])
    found = look_up(priced, "part0/0000.jpg")
    assert (found.product_id, found.uri) == ("P1", "part0/0000.jpg")
    assert found.metadata["price"] == 9.0
    assert found.metadata["colour"] is None
    assert found.metadata["stock"] == 3
    priced.replace([item("part0/0000.jpg", 70, product_id="P2")])
    found = look_up(priced, "part0/0000.jpg")
    assert (found.product_id, found.metadata["stock"]) == ("P2", 3)
    assert found.uri.startswith("upload:")
    assert priced.current().num_products() == 1


def test_metadata_comes_as_text_or_as_values(priced):
    written = {
        "price": 3, "stock": 2.0, "day": "2024-01-02", "seen": "2024-01-02T03:04:05",
        "sale": True, "colour": "Grün",
    }  # fmt: skip
    priced.add([item("a", 60, product_id="P9", uri="https://shop/a.jpg", metadata=written)])
    found = look_up(priced, "a")
    assert (found.metadata["price"], found.metadata["day"]) == (3.0, date(2024, 1, 2))
    assert (found.product_id, found.uri) == ("P9", "https://shop/a.jpg")
    assert priced.current().num_products() == 3


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ({"size": 1}, r"does not know: size; its columns are: price \(float\), stock \(int\), day"),
        ({"price": "cheap"}, "column price of item 'a' is 'cheap'; expected a finite number"),
        ({"price": float("nan")}, "expected a finite number"),
        ({"stock": 1.5}, "expected a whole number"),
        ({"stock": 2**63}, "expected a whole number"),
        ({"stock": True}, "expected a whole number"),
        ({"day": "31.5.2024"}, "expected a date such as"),
        ({"seen": "now"}, "expected a date and time"),
        ({"sale": "yes"}, "expected true or false"),
        ({"colour": 3}, "expected text"),
    ],
)
def test_metadata_that_does_not_fit_is_refused(priced, metadata, sentence):
    version = priced.current().stamp.version
    with pytest.raises(ParameterError, match=sentence):
        priced.add([item("b", 61), item("a", 60, metadata=metadata)], atomic=False)
    assert priced.current().stamp.version == version


@pytest.mark.parametrize(
    ("items", "error", "sentence"),
    [
        ([item("a", 1), item("b", 2), item("a", 3)], InputError, r"given twice .*\(a\)"),
        ([item("", 1)], ParameterError, "0 characters; expected 1 to 1024"),
        ([item("x" * 1025, 1)], ParameterError, "1025 characters"),
        ([item("a\0b", 1)], ParameterError, "contains a zero"),
        ([item("\ud800", 1)], ParameterError, "half a surrogate pair"),
        ([NewItem("a")], ParameterError, "without a photo"),
        ([item("a", 1, product_id="")], ParameterError, "product_id of item 'a'"),
    ],
)
def test_items_that_cannot_be_named_are_refused(live, items, error, sentence):
    with pytest.raises(error, match=sentence):
        live.add(items)
    assert len(live.current()) == 20


def test_one_unreadable_photo_is_reported_and_the_others_are_added(live, tmp_path):
    missing = NewItem("missing", tmp_path / "missing.jpg")
    report = live.add([item("a", 60), NewItem("bad", b"<svg/>"), missing, item("b", 61)])
    assert [outcome.status for outcome in report.outcomes] == ["added", "failed", "failed", "added"]
    assert "no such file" in str(report.outcomes[2].reason)
    assert {"a", "b"} <= set(read_dataset(live.current().root))


def test_one_unreadable_photo_stops_all_when_asked(live):
    with pytest.raises(ImageError, match=r"1 of 2 photos .* nothing was changed \(bad: "):
        live.add([item("a", 60), NewItem("bad", b"broken")], atomic=True)
    assert len(live.current()) == 20
    with pytest.raises(ImageError, match="not"):
        live.add([NewItem("bad", b"broken")])
    report = live.add([NewItem("bad", b"broken")], atomic=False)
    assert report.outcomes[0].status == "failed"


def test_a_photo_with_too_many_pixels_is_refused(index):
    with open_gallery(index, max_pixels=100) as live, pytest.raises(ImageTooLargeError):
        live.add([item("a", 1)])


@pytest.mark.parametrize("change", ["remove", "replace"])
def test_items_that_are_not_there_are_listed_and_nothing_changes(live, change):
    version = live.current().stamp.version
    names = ["part0/0000.jpg", "x", "y"]
    given = names if change == "remove" else [item(name, 60) for name in names]
    with pytest.raises(ItemNotFoundError, match=r"no item of 2 of these ids \(x, y\)"):
        getattr(live, change)(given)
    assert live.current().stamp.version == version


def test_nothing_to_do_is_no_change(live):
    version = live.current().stamp.version
    assert live.add([]).version == live.remove([]).version == version


def test_a_write_says_when_another_process_holds_the_folder(live):
    with lock_for_writing(live.current().root):
        with pytest.raises(GalleryBusyError, match="another process is writing"):
            live.add([item("a", 60)])
        assert find(live, 60)
    live.add([item("a", 60)])


def test_a_gallery_may_become_empty_and_full_again(live):
    live.remove(list(read_dataset(live.current().root)))
    assert (len(live.current()), live.current().num_products()) == (0, 0)
    live.maintain(force=True)
    live.add([item("a", 60)])
    assert find(live, 60) == "a"


def test_a_full_disk_leaves_the_old_state_and_what_follows_is_written(small_disk, photos):
    index = small_disk / "index"
    build_gallery(photos, index, FakeEncoder(), options=small(chunk_size=20))
    with open_gallery(index) as live:
        before = read_state(live.current())
        filler = small_disk / "filler"
        _fill(filler)
        with pytest.raises(StorageError, match="the disk is full"):
            live.add([item(f"n{number}", number) for number in range(30)])
        with pytest.raises(StorageError, match="the disk is full"):
            live.replace([item("part0/0000.jpg", 99)])
        assert read_state(live.current()) == before
        filler.unlink()
        remount(small_disk, "size=4m")
        live.add([item("a", 60)])
        assert find(live, 60) == "a"
        assert len(live.current()) == 21
    assert [p for p in verify(index).problems if "photo of" not in p] == []


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(512))
        except OSError:
            return
