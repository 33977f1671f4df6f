"""The benchmark of the re-rank: its goals by hand, what it times, and the peers' shapes."""

import json
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize
from typer.testing import CliRunner

from benchmarks import rerank as bench
from benchmarks.cli import app
from benchmarks.matchers import AmesShape, RrtShape, max_similarity, max_similarity_int8
from model.runtime import openvino
from tests.indexer.test_engine import tiny

__all__ = ["tiny"]


def test_the_command_prints_tables_and_writes_json(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "is_installed", lambda: False)
    monkeypatch.setattr(bench, "FEW", 4)
    monkeypatch.setattr(bench, "MANY", 8)
    monkeypatch.setattr(bench, "PEAK_SIDE", 8)
    words = ["rerank", "--device", "cpu", "--rounds", 1, "--gallery", 1000]
    words += ["--checkpoint", tiny / "tiny.safetensors", "--out", tmp_path / "r.json"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "r.json").read_text())
    assert len(found["goals"]) == 4
    assert all(row["ms"] > 0 for row in found["rows"])


def test_goals_are_ratios_of_what_was_timed() -> None:
    times = {
        "pairwise blocks, 100": 60.0,
        "pairwise blocks, 1000": 600.0,
        "cascade 1000 to 100": 75.0,
        "attended, a matmul an item, 100": 2.0,
        "attended, from codes, 100": 1.0,
        "re-rank of 100 for a query at two scales, gathered": 2.0,
        "encode one query (half)": 7.0,
        bench.KERNEL: 1.0,
        bench.COPY: 1.0,
    }
    goals = bench.judge(times)
    assert [goal["measured"] for goal in goals] == [8.0, 60.0, 2.0, 3.5, 0.5]
    assert [goal["met"] for goal in goals] == [True, True, False, False, False]


def test_int8_max_similarity_is_that_of_floats() -> None:
    torch.manual_seed(0)
    codes = torch.randint(-127, 128, (32, 8, 16), dtype=torch.int8)
    query = torch.randint(-127, 128, (8, 16), dtype=torch.int8)
    found = max_similarity_int8(query, codes, codes.float().norm(dim=-1))
    expected = max_similarity(query.float(), normalize(codes.float(), dim=-1))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("matcher", [AmesShape(num_layers=1), RrtShape(num_layers=1)])
def test_a_matcher_gives_each_item_a_score(matcher: torch.nn.Module) -> None:
    with torch.no_grad():
        assert matcher.eval()(torch.randn(48, 128), torch.randn(3, 48, 128)).shape == (3,)
