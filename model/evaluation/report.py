"""An evaluation as JSON, as Markdown, and as one page that needs no other file."""

from collections.abc import Sequence
from pathlib import Path

from model.errors import DataError
from model.evaluation.page import render_page
from model.evaluation.published import COLUMNS, find_published, published_rows
from model.evaluation.results import Evaluation, Measured
from model.evaluation.thumbnails import Miss

JSON, MARKDOWN, PAGE = "evaluation.json", "evaluation.md", "evaluation.html"


def write_report(
    folder: Path, evaluation: Evaluation, misses: Sequence[Miss] = ()
) -> tuple[Path, ...]:
    """Write the three files into `folder`, made when missing; older ones are replaced.

    Raises:
        DataError: the folder cannot be written.
    """
    texts = {
        JSON: evaluation.model_dump_json(indent=2) + "\n",
        MARKDOWN: render_markdown(evaluation),
        PAGE: render_page(evaluation, misses),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"cannot write the report to {folder}: {error.strerror}; choose another --out folder"
        ) from error
    return tuple(folder / name for name in texts)


def render_markdown(evaluation: Evaluation) -> str:
    """Tables and notes, values in per cent with their intervals."""
    counts = evaluation.counts
    parts = [
        f"# Evaluation: {evaluation.data_set}",
        f"{counts.queries:,} queries of {counts.items:,} items, {counts.gallery:,} gallery photos, "
        f"alpha {evaluation.alpha:g}. A search ranks as: **{evaluation.main}**.",
        *(f"{key}: {value}  " for key, value in evaluation.checkpoint.items()),
        "## Rankings (%)",
        _metric_table("ranking", [(row.name, row.metrics) for row in evaluation.rows]),
        "## Differences (points, paired)",
        _metric_table("difference", [(gain.name, gain.metrics) for gain in evaluation.gains]),
        "## Ceiling: what stage one puts among the first K (%)",
        *_ceilings(evaluation),
        *_curves(evaluation),
        *_reliability(evaluation),
        *_published(evaluation),
        "## How to read this",
        "\n".join(f"- {note}" for note in evaluation.notes),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _metric_table(head: str, rows: Sequence[tuple[str, dict[str, Measured]]]) -> str:
    names = list(rows[0][1])
    return _table([head, *names], [[name, *map(str, m.values())] for name, m in rows])


def _ceilings(evaluation: Evaluation) -> list[str]:
    ks = list(evaluation.ceilings[0].recall)
    rows = [[one.vector, *(str(one.recall[k]) for k in ks)] for one in evaluation.ceilings]
    return [_table(["recall vector", *(f"K = {k}" for k in ks)], rows)]


def _curves(evaluation: Evaluation) -> list[str]:
    parts = []
    for curve in evaluation.curves:
        names = list(curve.points[0].metrics)
        rows = [
            [f"**{p.value}**" if p.chosen else p.value, *map(str, p.metrics.values())]
            for p in curve.points
        ]
        parts += [f"## Sensitivity to {curve.setting} ({curve.ranking})"]
        parts += [_table([curve.setting, *names], rows)]
    return parts


def _reliability(evaluation: Evaluation) -> list[str]:
    found = evaluation.reliability
    if found is None:
        return []
    rows = [[f"{100 * b.said:.1f}", f"{100 * b.true:.1f}", f"{b.count}"] for b in found.bins]
    text = f"Expected calibration error {100 * found.error:.1f} points; {found.source}."
    table = _table(["said (%)", "true (%)", "best hits"], rows)
    return ["## Probability of the same product", text, table]


def _published(evaluation: Evaluation) -> list[str]:
    table = find_published(evaluation.data_set)
    if table is None:
        return []
    rows = [
        [row.method, *("–" if v is None else f"{v:.1f}" for v in row.values), row.remark]
        for row in published_rows(evaluation)
    ]
    notes = "\n".join(f"- {note}" for note in table.notes)
    return [f"## {table.title}", _table(["method", *COLUMNS, "remark"], rows), notes]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
