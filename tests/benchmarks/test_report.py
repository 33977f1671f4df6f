"""The page of results says what the JSON says."""

import json
from pathlib import Path

from typer.testing import CliRunner

from benchmarks.cli import app


def test_a_report_shows_what_the_json_says(tmp_path: Path) -> None:
    three = [0.75, 0.7, 0.8]
    row = {"R@1": three, "R@10": three, "R@100": three}
    view = {"queries": 8, "rows": {"fused": row}, "gain R@1": [0.1, 0.05, 0.15]}
    luma: dict[str, object] = {"weights": "of a test", "figures": {"back": view, "alt": view}}
    luma["without"] = {"file": "aside.csv", "figures": {"back": {**view, "queries": 5}}}
    (tmp_path / "luma.json").write_text(json.dumps(luma))
    measured = {"value": 0.5, "low": 0.4, "high": 0.6}
    metrics = dict.fromkeys(("R@1", "R@10", "mAP"), measured)
    rows = [
        {"scores": scores, "candidates": None, "metrics": metrics}
        for scores in ("global", "token", "fused")
    ]
    (tmp_path / "stitch-test.json").write_text(json.dumps({"rows": rows}))
    page = tmp_path / "results.md"
    shown = CliRunner().invoke(app, ["report", str(tmp_path), "--out", str(page)])
    assert shown.exit_code == 0, shown.output
    assert "| fused | 0.750 [0.70, 0.80] |" in page.read_text()
    assert "Without the queries of `aside.csv`" in page.read_text()
    assert "back, 5 queries" in page.read_text()
    assert "+10.0 [+5.0, +15.0] points" in page.read_text()
    assert "| test | token | 0.500 [0.40, 0.60] |" in page.read_text()


def test_a_report_of_nothing_is_a_sentence(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert "run scripts/results" in str(shown.exception)
