"""The command line: what it prints, where, and its exit codes."""

import pytest
from PIL import Image
from typer.testing import CliRunner

from stitch.cli import app

DRAW = ["--products", "2", "--queries", "1", "--families", "0", "--size", "32", "--workers", "1"]


def run(*words: str):
    return CliRunner().invoke(app, list(words))


def test_draw_prints_the_table_and_keeps_progress_off_stdout(tmp_path):
    told = run("draw", str(tmp_path / "new"), *DRAW)
    assert told.exit_code == 0, told.stderr
    assert told.stdout.strip() == str(tmp_path / "new" / "gallery" / "gallery.csv")
    assert (tmp_path / "new" / "queries" / "p0001_person.jpg").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--products", "0"), "products is 0; expected 1 or more"),
        (("--size", "5"), "size is 5; expected 32 to 2048 pixels"),
    ],
)
def test_draw_misused_exits_2_with_a_sentence(tmp_path, words, sentence):
    told = run("draw", str(tmp_path), *words)
    assert told.exit_code == 2
    assert sentence in told.stderr


def test_draw_into_a_file_exits_1_with_a_sentence(tmp_path):
    (tmp_path / "out").write_text("")
    told = run("draw", str(tmp_path / "out"), *DRAW)
    assert told.exit_code == 1
    assert "is not a folder" in told.stderr


def test_sheet_writes_a_picture(tmp_path):
    told = run(
        "sheet", str(tmp_path / "s.png"), "--products", "2", "--persons", "1", "--size", "32"
    )
    assert told.exit_code == 0, told.stderr
    with Image.open(tmp_path / "s.png") as picture:
        assert picture.width == 32 * 6


def test_sheet_of_families_has_a_family_a_row(tmp_path):
    told = run("sheet", str(tmp_path / "s.png"), "--products", "2", "--families", "--size", "32")
    assert told.exit_code == 0, told.stderr
    with Image.open(tmp_path / "s.png") as picture:
        assert picture.size == (32 * 4, 2 * (32 + 14))


def test_sheet_misused_or_unwritable_is_said(tmp_path):
    assert run("sheet", str(tmp_path / "s.png"), "--products", "0").exit_code == 2
    told = run("sheet", str(tmp_path / "no" / "s.png"), "--products", "1", "--size", "32")
    assert told.exit_code == 1
    assert "cannot be written" in told.stderr


def test_bench_states_rate_and_cost_of_each_view():
    told = run("bench", "--count", "1", "--size", "32")
    assert told.exit_code == 0
    assert told.stdout.count("ms CPU a photo") == 4


@pytest.mark.parametrize("verb", ["draw", "sheet", "bench"])
def test_help_shows_an_example(verb):
    assert "python -m stitch" in run(verb, "--help").stdout
