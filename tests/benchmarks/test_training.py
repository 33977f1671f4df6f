"""The benchmark of training, on the toy network."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.cli import app
from benchmarks.pairs import PairMemory, measure_pairs
from benchmarks.speed import LEAD_IN, Speed, measure_speed
from model.data import DataSet, load_dataset
from model.errors import DataError, ParameterError
from model.recipes import Recipe, get_recipe
from tests.indexer.fakes import draw_photo

RECIPE = get_recipe("quick").changed(batch_items=2, batch_photos=2)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty items of four photos: three batches of the quick recipe."""
    root = tmp_path_factory.mktemp("shop")
    for number in range(80):
        (root / str(number // 4)).mkdir(exist_ok=True)
        draw_photo(root / f"{number // 4}/{number}.png", number)
    return root


@pytest.fixture
def data(shop: Path) -> DataSet:
    return load_dataset(f"folder:{shop}")


def measure(recipe: Recipe, data: DataSet, steps: int, rounds: int = 2) -> Speed:
    return measure_speed(recipe, data, steps=steps, rounds=rounds, device="cpu", workers=0)


def test_floor_and_loops_are_timed_in_the_same_rounds(data: DataSet) -> None:
    found = measure(RECIPE, data, steps=2, rounds=3)
    for loop in (found.first, found.later):
        assert len(found.floor) == len(loop.rate) == len(loop.waiting) == 3
        shares = sorted(b / a for a, b in zip(found.floor, loop.rate, strict=True))
        assert loop.ratio == pytest.approx(shares[1])
        assert loop.cpu_ratio > 0
        assert all(0 <= share < 1 for share in loop.waiting)
        assert loop.data_ms > 0
    assert found.kept == 1.0


def test_what_there_is_no_room_for_is_said(data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.speed.ROOM", 1)
    assert 0 < measure(RECIPE, data, steps=1, rounds=1).kept < 0.001


def test_a_data_set_too_small_to_time_is_a_sentence(data: DataSet) -> None:
    with pytest.raises(DataError, match=rf"18 batches, 18 timed steps need {18 + LEAD_IN}"):
        measure(RECIPE, data, steps=18)
    with pytest.raises(ParameterError, match="1 or more"):
        measure(RECIPE, data, steps=0)


def test_memory_of_pairs_is_at_least_what_goes_into_the_first_block() -> None:
    found = measure_pairs(batch=24)
    assert found.pairs == 276
    # Two images' 16 coarse tokens of 128 floats for each pair, kept for the backward pass.
    assert found.mebibytes > 276 * 2 * 16 * 128 * 4 / 2**20


def test_the_command_prints_a_table_and_writes_json_where_asked(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.training.measure_pairs", lambda: PairMemory(1128, 5.0, 0.1))
    out = tmp_path / "results/training.json"
    words = [
        "--recipe",
        "quick",
        "--steps",
        "1",
        "--rounds",
        "1",
        "--device",
        "cpu",
        "--workers",
        "1",
    ]
    asked = ["training", "--data", f"folder:{shop}", *words, "--out", str(out)]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    assert "over the floor" in done.stdout
    assert "waits for data" in done.stdout
    assert "1,128 pairs" in done.stdout
    written = json.loads(out.read_text())
    assert written["pairs"] == {"pairs": 1128, "mebibytes": 5.0, "seconds": 0.1}
    assert written["speed"]["later"]["ratio"] > 0
