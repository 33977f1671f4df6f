"""The table of goals, from the files that other commands write."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.cli import app
from benchmarks.goals import RESULTS, judge
from model.errors import DataError

ENCODE = {
    "rows": [
        {"runtime": name, "threads": 1, "batch": 1, "times eager, batch 1": gain,
         "cosine": {"global": 0.9995, "recall": 0.9999}}
        for name, gain in (("eager", 1.0), ("half", 4.0))
    ],
    "index": [{"runtime": "half", "index, photos/s": 8.0, "ratio": 0.72, "bound": 0.75}],
    "goals": {"encode": 3.5},
}  # fmt: skip


def write(folder: Path, name: str, facts: object) -> None:
    (folder / name).write_text(json.dumps(facts))


def test_without_files_every_goal_says_how_to_measure_it(tmp_path: Path) -> None:
    found = judge(tmp_path)
    assert [each.number for each in found] == list(range(1, 9))
    assert {each.met for each in found} == {None}
    assert found[1].source == "python -m benchmarks encode"


def test_encoding_is_judged_by_its_fastest_runtime(tmp_path: Path) -> None:
    write(tmp_path, "encode.json", ENCODE)
    found = {each.goal: each for each in judge(tmp_path)}
    assert (found["half beside eager, batch 1"].met, found["its cosine with eager"].met) == (
        True,
        True,
    )
    assert not found["indexing beside the bare forward, half"].met
    assert found["the same beside what the cores leave"].ratio == pytest.approx(0.96)


def test_a_file_may_bring_its_own_goals(tmp_path: Path) -> None:
    row = {"number": 3, "goal": "cascade", "at": ">= 8", "measured": "9.1", "ratio": 9.1}
    write(tmp_path, "rerank.json", {"goals": [{**row, "met": True}]})
    [found] = [each for each in judge(tmp_path) if each.number == 3]
    assert (found.met, found.measured, found.source) == (True, "9.1", "rerank.json")


def test_a_missed_goal_is_an_exit_of_one(tmp_path: Path) -> None:
    command = ["all", "--results", str(tmp_path)]
    assert CliRunner().invoke(app, command).exit_code == 0
    write(tmp_path, "encode.json", ENCODE)
    done = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "all.json")])
    assert (done.exit_code, "missed" in done.stdout) == (1, True)
    assert len(json.loads((tmp_path / "all.json").read_text())["goals"]) == 10


def test_a_damaged_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "serve.json").write_text("{")
    with pytest.raises(DataError, match=r"serve\.json is not JSON"):
        judge(tmp_path)


def test_the_results_of_this_checkout_can_be_judged() -> None:
    root = Path(__file__).resolve().parents[2]
    numbers = [each.number for each in judge(root / RESULTS) if each.met is not None]
    assert {1, 2, 7} <= set(numbers)


def test_the_rerank_is_judged_by_what_it_compares(tmp_path: Path) -> None:
    goals = [
        {"goal": "cascade 1000 to 100", "at least": 8.0, "measured": 8.2, "met": True},
        {"goal": "attended / blocks", "at least": 50.0, "measured": 25.0, "met": False},
        {"goal": "re-rank of 100 / encode", "at least": 4.0, "measured": 24.0, "met": True},
    ]
    write(tmp_path, "rerank.json", {"goals": goals})
    found = [(each.number, each.ratio, each.met) for each in judge(tmp_path)[2:5]]
    assert found == [(3, pytest.approx(1.025), True), (4, 0.5, False), (5, 6.0, True)]


@pytest.mark.parametrize(("items", "met"), [(12_612, None), (1_000_000, True)])
def test_codes_of_recall_are_judged_at_a_million(
    tmp_path: Path, items: int, met: bool | None
) -> None:
    rows = [
        {"name": "float32, flat", "recall": 1.0, "query_ms": 60.0},
        {"name": "refined", "recall": 0.995, "query_ms": 2.0},
        {"name": "coarse", "recall": 0.9, "query_ms": 1.0},
    ]
    write(tmp_path, "recall.json", {"items": items, "rows": rows})
    [found] = [each for each in judge(tmp_path) if each.number == 6]
    assert (found.measured, found.met) == ("30.0", met)
