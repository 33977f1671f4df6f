"""The benchmark of indexing, on the toy network."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.cli import app
from model.runtime import openvino
from tests.indexer.test_engine import tiny

__all__ = ["tiny"]


def test_indexing_is_timed_whole_in_parts_and_in_a_row(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "is_installed", lambda: False)
    options = ["--checkpoint", tiny / "index" / "checkpoint.safetensors", "--count", 8]
    arguments = ["index", "--photos", tiny / "photos", *options, "--out", tmp_path / "i.json"]
    done = CliRunner().invoke(app, [str(word) for word in arguments])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "i.json").read_text())
    assert [row["runtime"] for row in found["index"]] == ["eager", "half"]
    assert min(row["in a row, photos/s"] for row in found["index"]) > 0
    assert {"thumbnail", "letterbox", "encode", "commit, of 64"} <= set(found["parts"])
    assert min(found["parts"].values()) > 0
