"""The benchmark of encoding, on the toy network."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.cli import app
from benchmarks.encode import SIZE, list_runtimes, make_jpegs
from model.errors import SourceError
from model.images import read_image
from model.runtime import openvino
from tests.indexer.fakes import draw_photo
from tests.indexer.test_engine import tiny

__all__ = ["tiny"]


def test_the_command_prints_tables_and_writes_json(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "is_installed", lambda: False)
    options = ["--checkpoint", tiny / "index" / "checkpoint.safetensors", "--rounds", 1]
    arguments = ["encode", "--photos", tiny / "photos", "--count", 8, "--out", tmp_path / "e.json"]
    done = CliRunner().invoke(app, [str(word) for word in [*arguments, *options]])
    assert done.exit_code == 0, done.output
    assert "x eager" in done.stdout
    found = json.loads((tmp_path / "e.json").read_text())
    assert [row["runtime"] for row in found["index"]] == ["eager", "half"]
    assert len(found["rows"]) == 2 * 2 * 2  # runtimes, batches, threads
    for row in found["rows"]:
        assert min(row["encode, photos/s"], row["bare forward, photos/s"]) > 0
        assert min(row["cosine"].values()) > 0.999
    assert found["index"][0]["bound"] > 0


def test_photos_become_jpegs_of_one_size_that_differ(tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    draw_photo(tmp_path / "few" / "a.png", 1)
    files = make_jpegs(tmp_path / "few", tmp_path / "many", 3)
    assert {read_image(file).size for file in files} == {SIZE}
    assert len({file.read_bytes() for file in files}) == 3


def test_a_folder_without_photos_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no photos; draw some"):
        make_jpegs(tmp_path, tmp_path / "out", 8)


@pytest.mark.parametrize("installed", [True, False])
def test_openvino_is_measured_where_it_is_installed(
    installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "is_installed", lambda: installed)
    assert ("openvino" in list_runtimes()) == installed
