"""The timing of attributes runs over a gallery of the shape it states."""

from typer.testing import CliRunner

from benchmarks.attributes import Items, measure
from benchmarks.cli import app


def test_a_row_has_five_figures_and_the_bytes_of_an_embedding() -> None:
    row = measure(Items(40, values=12), rounds=1)
    assert len(row) == 5
    assert row[-1] == str(12 * 2 + 8)
    assert all(float(each) >= 0 for each in row)


def test_the_verb_prints_a_row_a_size() -> None:
    arguments = ["attributes", "--items", "30", "--items", "50", "--rounds", "1"]
    found = CliRunner().invoke(app, arguments)
    assert found.exit_code == 0, found.output
    assert "30" in found.output
    assert "50" in found.output
