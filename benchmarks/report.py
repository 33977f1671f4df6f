"""The measured figures as one page: JSON of probes and evaluations in, docs/results.md out."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from model.errors import DataError

RESULTS = Path("benchmarks/results")
KS = ("R@1", "R@10", "R@100")
RANKINGS = ("global", "token", "fused")


def report(
    folder: Annotated[Path, typer.Argument(help="Folder with the JSON files.")] = RESULTS,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/results.md"),
) -> None:
    """Write the page of results from luma*.json (probes) and stitch-*.json (model evaluate)."""
    probes = sorted(folder.glob("luma*.json"))
    evaluations = sorted(folder.glob("stitch-*.json"))
    if not probes or not evaluations:
        raise DataError(
            f"{folder} has {len(probes)} luma*.json and {len(evaluations)} stitch-*.json; "
            "run scripts/results, which writes both"
        )
    parts = [_HEAD, *(_show_probes(path) for path in probes), _show_evaluations(evaluations)]
    out.write_text("\n".join(parts), encoding="utf-8")
    typer.echo(out)


def _show_probes(path: Path) -> str:
    story = _read(path)
    lines = [f"## Real product photos: `{path.stem}`", "", f"Weights: {story['weights']}.", ""]
    lines += _show_views(story["figures"])
    if "without" in story:
        left = story["without"]
        lines += ["", f"**Without the queries of `{left['file']}`**", ""]
        lines += _show_views(left["figures"])
    return "\n".join([*lines, ""])


def _show_views(views: dict[str, Any]) -> list[str]:
    head = [f"{view} {k}" for view in views for k in KS]
    lines = _table(
        ["scores", *head],
        [
            [row, *(_interval(views[view]["rows"][row][k]) for view in views for k in KS)]
            for row in views["back"]["rows"]
        ],
    )
    for view, each in views.items():
        value, low, high = (100 * x for x in each["gain R@1"])
        lines += [
            "",
            f"{view}, {each['queries']} queries: fused minus global at rank 1: "
            f"{value:+.1f} [{low:+.1f}, {high:+.1f}] points.",
        ]
    return lines


def _show_evaluations(paths: Sequence[Path]) -> str:
    lines = ["## Drawn garments (`stitch`, test designs), exhaustive", ""]
    rows = []
    for path in paths:
        found = _read(path)
        best = {row["scores"]: row["metrics"] for row in found["rows"] if row["candidates"] is None}
        for scores in RANKINGS:
            cells = [_measured(best[scores][metric]) for metric in ("R@1", "R@10", "mAP")]
            rows.append([path.stem.removeprefix("stitch-"), scores, *cells])
    return "\n".join([*lines, *_table(["queries", "scores", "R@1", "R@10", "mAP"], rows), ""])


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def _interval(three: Sequence[float]) -> str:
    value, low, high = three
    return f"{value:.3f} [{low:.2f}, {high:.2f}]"


def _measured(found: dict[str, float]) -> str:
    return _interval((found["value"], found["low"], found["high"]))


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}); run scripts/results again") from error


_HEAD = """# Results

Printed by `python -m benchmarks report` from the JSON files in `benchmarks/results/`, which
`scripts/results` writes: one command, from the shipped checkpoint to this page. Brackets are
95 % bootstrap intervals over products. What the checkpoint was trained on, and what these sets
are, is in [model-card.md](model-card.md). Queries are looked at in the checkpoint's own scales.
"""
