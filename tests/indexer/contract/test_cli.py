"""`indexer copy` and `indexer info` with addresses."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from indexer.build import build_gallery
from indexer.cli.app import app
from tests.indexer.conftest import small
from tests.indexer.contract.conftest import drop, make_address
from tests.indexer.fakes import FakeEncoder, draw_photos


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout or result.stderr


def test_a_gallery_is_copied_there_described_and_copied_back(tmp_path: Path) -> None:
    address = make_address(tmp_path, "cli")
    build_gallery(draw_photos(tmp_path / "p", 3), tmp_path / "i", FakeEncoder(), options=small())
    status, said = run("copy", "--from", tmp_path / "i", "--to", address, "--json")
    assert (status, json.loads(said)["verified"]) == (0, 3)
    status, said = run("info", "--index", address, "--json")
    facts = json.loads(said)
    assert (status, facts["index"], facts["items"], facts["collection"]) == (
        0, str(address), 3, f"{address.collection}__1"
    )  # fmt: skip
    status, said = run("copy", "--from", address, "--to", tmp_path / "back")
    assert status == 0
    assert "verified" in said
    drop(address)


@pytest.mark.parametrize("target", ["other", "milvus://db"])
def test_misuse_is_a_sentence_and_exit_2(tmp_path: Path, target: str) -> None:
    status, said = run("copy", "--from", tmp_path, "--to", target)
    assert status == 2
    assert "expected" in said
