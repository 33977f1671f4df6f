"""Growth, search and memory: over tiny drawn galleries, each in a process of its own."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.cli import app
from benchmarks.galleries import read_sizes
from benchmarks.growth import describe, draw_page
from indexer.planning import measure
from model.errors import ParameterError
from tests.indexer.test_engine import tiny

__all__ = ["tiny"]


def make_row(items: int) -> dict[str, object]:
    times = {name: {"p50": 2.0, "p95": 3.0} for name in ("recall", "fetch", "align", "total")}
    return {
        "items": items, "commit_s": items / 1e4, "tidy_s": 0.0, "recall_s": items / 1e5,
        "build_s": items / 1e4, "dataset_bytes": 1000 * items, "recall_bytes": 0, "open_s": 0.1,
        "process_bytes": 10**8, "resident_bytes": 10**8 + 100 * items, "after_loading": times,
        "by_row": times, "load_tokens_s": None, "first_ms": 5.0, "held_bytes": 90 * items,
    }  # fmt: skip


def test_growth_is_told_as_a_power_of_the_size() -> None:
    said = describe([make_row(1000), make_row(100_000)])
    assert (
        said[0]
        == "Writing and indexing: 100 ms at 1k items, 10.0 s at 100k; size to the power of 1.00."
    )
    assert said[3].endswith("size to the power of 0.00.")


def test_the_page_has_a_plot_for_each_kind_of_cost() -> None:
    rows = [make_row(1000), make_row(100_000)]
    page = draw_page(rows, describe(rows))
    assert page.count("<svg") == 3
    assert "<script" not in page


def test_sizes_are_sorted_and_counted_once() -> None:
    assert read_sizes(["10k", "1k", "1000"]) == [1000, 10_000]
    with pytest.raises(ParameterError, match="expected a whole number"):
        read_sizes(["tiny"])


def test_galleries_are_drawn_once_and_measured(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "_FLAT_BYTES", 10**6)
    monkeypatch.setattr(measure, "_CELLS_ITEMS", 1000)
    checkpoint = tiny / "index" / "checkpoint.safetensors"
    options = ["--size", 200, "--checkpoint", checkpoint, "--folder", tmp_path / "drawn"]
    more = ["--searches", 3, "--out", tmp_path / "g.json", "--page", tmp_path / "g.html"]
    run = CliRunner()
    done = run.invoke(app, [str(word) for word in ["growth", *options, *more]])
    assert done.exit_code == 0, done.output
    [row] = json.loads((tmp_path / "g.json").read_text())["rows"]
    assert (row["items"], row["load_tokens_s"] > 0) == (200, True)
    assert row["resident_bytes"] > 0
    assert row["by_row"]["total"]["p95"] >= row["by_row"]["total"]["p50"] > 0
    written = (tmp_path / "drawn" / "200" / "manifest.json").stat().st_mtime_ns
    done = run.invoke(app, [str(word) for word in ["memory", *options]])
    assert done.exit_code == 0, done.output
    assert "predicted" in done.stdout
    assert (tmp_path / "drawn" / "200" / "manifest.json").stat().st_mtime_ns == written
