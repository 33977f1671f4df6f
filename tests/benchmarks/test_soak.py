"""A soak of some seconds finds what a test breaks on purpose, and nothing else."""

import json
from pathlib import Path

import pytest

from benchmarks.soak.check import find_encoded_anew, find_failures
from benchmarks.soak.command import Plan, run_soak, summarise
from benchmarks.soak.gallery import Photos, Row, build_tiny, has_mark, read_rows
from benchmarks.soak.journal import Value, Violation
from benchmarks.soak.tally import MOST_SLOW, Tally
from indexer.store import Store


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of twenty photos, with the column that the soak writes to."""
    return build_tiny(tmp_path_factory.mktemp("soaked"), Photos(), count=20)


@pytest.mark.slow
def test_a_soak_finds_the_one_item_that_is_lost_and_nothing_else(
    tmp_path: Path, index: Path
) -> None:
    lost: list[str] = []

    def lose(soaked: Path) -> None:
        lost.append(sorted(read_rows(soaked))[0])
        Store.open(soaked / "gallery.lance").delete(lost)

    plan = Plan(seconds=2, kill_after_s=(1.0, 1.0), steady_share=0.4, tamper=lose)
    story = run_soak(plan, tmp_path, index)
    [sentence] = story["sentences"]
    assert f"item {lost[0]} is gone" in sentence
    assert (story["kills"], story["restarts"]) == (1, 1)
    assert story["operations"]["search after change"]["200"] > 0
    assert "1 broken promises" in summarise(story)
    json.dumps(story, allow_nan=False)


def test_what_lies_on_the_disk_is_read_with_its_photo_and_its_metadata(index: Path) -> None:
    rows = read_rows(index)
    assert has_mark(index)
    assert len(rows) == 20
    assert rows["shop/7"].value[1:] == ("product-7", 7)
    photos = Photos()
    drawn = [photos.draw_next() for _ in range(20)]
    assert {row.value.photo for row in rows.values()} == {digest for digest, _ in drawn}
    assert photos.find(drawn[3][0]) == drawn[3][1]
    assert photos.find("unknown") is None


def test_an_item_with_its_photo_but_other_vectors_is_found() -> None:
    value, other = Value("a", "p", 1), Value("b", "p", 1)
    before = {name: Row(value, "tokens") for name in ("same", "relabelled", "replaced", "broken")}
    after = {
        "same": Row(value, "tokens"),
        "relabelled": Row(value._replace(mark=2), "tokens"),
        "replaced": Row(other, "others"),
        "broken": Row(value, "others"),
        "new": Row(value, "others"),
    }
    [violation] = find_encoded_anew(before, after)
    assert "item broken has its photo" in violation.sentence


def test_tracebacks_in_the_log_are_found(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    log.write_text("Ready.\n")
    assert find_failures(log) == []
    log.write_text("Traceback (most recent call last):\n" * 2)
    assert "2 tracebacks" in find_failures(log)[0].sentence


def test_a_tally_counts_answers_times_and_broken_promises() -> None:
    tally = Tally()
    for number in range(20):
        tally.count("search", "200", number / 1000)
    tally.count("search", "429", 9.0)
    tally.report([Violation("lost", "item x is gone")])
    story = tally.describe()
    assert story["operations"] == {"search": {"200": 20, "429": 1}}
    assert story["milliseconds"]["search"]["max"] == 19.0
    assert [slow["ms"] for slow in story["slowest"][:2]] == [19.0, 18.0]
    assert len(story["slowest"]) == MOST_SLOW
    assert story["violations"] == {"lost": 1}
    assert "item x is gone" in story["sentences"][0]
