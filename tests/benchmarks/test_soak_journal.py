"""The soak's arithmetic: what may be there after a kill, what must be, and what must not."""

import random

import pytest

from benchmarks.soak.journal import Journal, State, Value

OLD, NEW = Value("a" * 64, "product 1", 1), Value("b" * 64, "product 2", 2)


def kinds(journal: Journal, **found: Value) -> list[str]:
    return [violation.kind for violation in journal.settle(found)]


def test_what_was_acknowledged_must_be_there() -> None:
    journal = Journal({})
    journal.acknowledge(journal.begin({"x": NEW}))
    assert len(journal) == 1
    assert kinds(journal) == ["lost"]
    assert journal.find("x") is None  # it goes on from what it found
    assert kinds(journal) == []


@pytest.mark.parametrize(
    ("after", "found", "expected"),
    [
        (NEW, {"x": NEW}, []),
        (NEW, {"x": OLD}, ["changed"]),
        (NEW, {"x": NEW._replace(mark=1)}, ["changed"]),
        (NEW, {}, ["lost"]),
        (None, {}, []),
        (None, {"x": OLD}, ["came back"]),
        (NEW, {"x": NEW, "y": OLD}, ["came back"]),
    ],
)
def test_an_acknowledged_change_has_happened(
    after: State, found: dict[str, Value], expected: list[str]
) -> None:
    journal = Journal({"x": OLD})
    journal.acknowledge(journal.begin({"x": after}))
    assert kinds(journal, **found) == expected


def test_a_refused_change_has_not_happened() -> None:
    journal = Journal({"x": OLD})
    journal.refuse(journal.begin({"x": NEW, "y": NEW}))
    assert sorted(kinds(journal, x=NEW, y=NEW)) == ["came back", "changed"]


@pytest.mark.parametrize("found", [{"x": OLD}, {"x": NEW, "y": NEW}])
def test_an_open_change_has_happened_or_not(found: dict[str, Value]) -> None:
    journal = Journal({"x": OLD})
    journal.begin({"x": NEW, "y": NEW})
    assert kinds(journal, **found) == []
    assert journal.items() == {"x": None, "y": None} | found


@pytest.mark.parametrize("found", [{"x": NEW}, {"x": OLD, "y": NEW}, {}])
def test_an_open_change_never_happens_by_half(found: dict[str, Value]) -> None:
    journal = Journal({"x": OLD})
    journal.begin({"x": NEW, "y": NEW})
    assert kinds(journal, **found) == ["half done"]


def test_an_item_that_nobody_touched_must_stay_as_it_is() -> None:
    journal = Journal({"x": OLD, "y": OLD})
    journal.begin({"x": None})
    assert kinds(journal, x=OLD, y=NEW) == ["changed"]


def test_an_item_belongs_to_one_writer_until_its_change_is_settled() -> None:
    rng, journal = random.Random(0), Journal({"x": OLD})
    assert journal.take(rng, present=False) is None
    assert journal.take(rng, present=True) == "x"
    assert journal.take(rng, present=True) is None
    journal.begin({"x": NEW})
    journal.give_back(["x"])
    assert journal.take(rng, present=True) is None  # still open
    journal.settle({"x": NEW})
    assert journal.take(rng, present=True) == "x"


def test_a_ghost_is_what_was_found_after_its_removal_was_acknowledged() -> None:
    journal = Journal({"x": OLD, "y": OLD})
    change = journal.begin({"x": None})
    assert journal.find_ghosts(["x"], since=float("inf")) == []
    journal.acknowledge(change)
    assert journal.find_ghosts(["x", "y"], since=float("inf")) == ["x"]
    assert journal.find_ghosts(["x"], since=0.0) == []  # that search began before
    journal.begin({"x": NEW})
    assert journal.find_ghosts(["x"], since=float("inf")) == []


def test_what_was_touched_is_told_once() -> None:
    journal = Journal({"x": OLD, "y": OLD})
    journal.refuse(journal.begin({"x": NEW}))
    assert journal.pop_touched() == {"x"}
    assert journal.pop_touched() == set()
