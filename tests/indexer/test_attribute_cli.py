"""`indexer attribute`, `search --attribute` and what `build` and `info` say of attributes."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from indexer.cli.app import app
from indexer.cli.search import _read_weights
from indexer.requests import SearchRequest
from model.errors import ParameterError
from tests.indexer.aligner import Aligner
from tests.indexer.garments import build_garments, draw_garment, open_garments

ROWS = ["rr,red", "gr,red", "br,red", "rg,other", "gb,other", "bg,other"]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: Any) -> Path:
    monkeypatch.setattr("indexer.checkpoint.load_encoder", lambda path, device, runtime: Aligner())
    return build_garments(tmp_path)


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in arguments])


def write(path: Path, head: str, rows: list[str]) -> Path:
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def test_an_attribute_is_learned_from_item_ids(index: Path, tmp_path: Path) -> None:
    table = write(tmp_path / "examples.csv", "item_id,value", [*ROWS, ROWS[0]])
    said = run("attribute", "add", "red_below", "--examples", table, "--index", index)
    assert said.exit_code == 0, said.output
    assert "Learned red_below (other, red) from 6 examples" in said.stdout
    listed = json.loads(run("attribute", "list", "--index", index, "--json").stdout)["attributes"]
    assert [each["name"] for each in listed] == ["top", "bottom", "red_below"]
    assert [each["learned"] for each in listed] == [False, False, True]
    assert "red_below" in run("attribute", "list", "--index", index).stdout
    assert "top, bottom, red_below" in run("info", "--index", index).stdout
    assert run("attribute", "remove", "red_below", "--index", index).stdout == (
        "Removed red_below.\n"
    )
    assert "red_below" not in run("attribute", "list", "--index", index).stdout


def test_an_attribute_is_learned_from_photos_beside_the_csv(index: Path, tmp_path: Path) -> None:
    (tmp_path / "marked").mkdir()
    rows = [f"{row[:2]}.png,{row[3:]}" for row in ROWS]
    for row in rows:
        (tmp_path / "marked" / row[:6]).write_bytes(draw_garment(row[:2]))
    table = write(tmp_path / "marked/examples.csv", "image,value", rows)
    said = run("attribute", "add", "red_below", "--examples", table, "--index", index, "--json")
    assert json.loads(said.stdout)["source"] == "6 photos, marked by a person"
    request = SearchRequest(k=3, attributes={"red_below": 1.0})
    hits = open_garments(index).search(draw_garment("wr"), request).hits
    assert {hit.item.item_id for hit in hits} == {"rr", "gr", "br"}


@pytest.mark.parametrize(
    ("head", "rows", "sentence"),
    [
        ("item_id,colour", ROWS, "has the columns item_id, colour; expected item_id or image"),
        ("item_id,value", ["rr,"], "line 2 of .* has no value"),
        ("item_id,value", [",red"], "line 2 of .* has no item_id"),
        ("item_id,value", [*ROWS, "rr,blue"], "says 'blue' of rr, and another line 'red'"),
        ("item_id,value", ["rr,red", "gr,red"], "2 values|same value|2 examples"),
        ("item_id,value", [*ROWS, "nobody,red"], r"no item of 1 of these ids \(nobody\)"),
        ("image,value", ["gone.png,red", "b.png,red"], "gone.png cannot be read"),
        ("image,value", ["bad.png,red", "b.png,red"], "bad.png: "),
    ],
)
def test_examples_that_cannot_be_used_are_a_sentence(
    index: Path, tmp_path: Path, head: str, rows: list[str], sentence: str
) -> None:
    import re

    (tmp_path / "bad.png").write_bytes(b"no photo")
    table = write(tmp_path / "examples.csv", head, rows)
    said = run("attribute", "add", "mark", "--examples", table, "--index", index)
    assert said.exit_code in (1, 2)
    assert re.search(sentence, said.stderr), said.stderr
    assert run("attribute", "remove", "mark", "--index", index).exit_code == 2


def test_an_index_without_attributes_says_so(tmp_path: Path) -> None:
    bare = build_garments(tmp_path, attributes=None)
    assert "has no attributes" in run("attribute", "list", "--index", bare).stdout
    assert "none" in run("info", "--index", bare).stdout


def test_a_search_orders_by_the_attributes_named(index: Path, tmp_path: Path, monkeypatch: Any):
    (tmp_path / "query.png").write_bytes(draw_garment("rw"))
    monkeypatch.setattr(
        "model.encoder.Encoder.from_checkpoint", lambda path, device, runtime=None: Aligner()
    )
    monkeypatch.setattr("indexer.engine.SearchEngine.info", lambda self: self._encoder)
    words = ["search", tmp_path / "query.png", "--index", index, "--attribute", "top=1"]
    more = ["--attribute", "bottom=0.5", "--overall", "0.3"]
    table = run(*words, *more).stdout
    assert "combined" in table
    assert "bottom" in table
    found = json.loads(run(*words, "-k", "3", "--json").stdout)["hits"]
    assert {hit["item_id"] for hit in found} == {"rr", "rg", "rb"}
    assert found[0]["scores"]["attributes"]["top"] > 0.9
    said = run(*words[:-1], "collar")
    assert (said.exit_code, "known are: top, bottom" in said.stderr) == (2, True)


def test_weights_are_read_from_the_command_line() -> None:
    assert _read_weights(["collar=0.5", "hem"]) == {"collar": 0.5, "hem": 1.0}
    with pytest.raises(ParameterError, match="collar=much has a weight that is no number"):
        _read_weights(["collar=much"])
