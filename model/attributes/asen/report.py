"""The figures of ASEN++ as Markdown and JSON, with what others published beside them."""

from collections.abc import Sequence
from pathlib import Path

from model.attributes.asen.measure import AsenFigures
from model.attributes.asen.published import PublishedTable, find_published
from model.errors import DataError

JSON, MARKDOWN = "attributes.json", "attributes.md"


def render(found: AsenFigures) -> str:
    """The tables as Markdown; values in per cent, intervals of 95 % over queries' items."""
    story = [f"- {name}: {value}" for name, value in found.checkpoint.items() if value]
    results = found.results
    rows = [
        [row.name, f"{row.queries:,}", f"{row.candidates:,}", str(row.metrics["mAP"]),
         str(row.metrics["R@1"])]
        for row in results.rows
    ]  # fmt: skip
    rows += [
        [name, "", "", str(mean["mAP"]), str(mean["R@1"])]
        for name, mean in (
            ("mean weighted by queries", results.weighted),
            ("plain mean", results.plain),
        )
    ]
    parts = [
        f"# Attributes: {found.data_set}, {found.split}",
        "\n".join(story),
        _table(["attribute", "queries", "candidates", "mAP", "R@1"], rows),
    ]
    published = find_published(found.data_set) if found.split == "test" else None
    if published is not None:
        parts += [f"## {published.title}", _compare(published, found)]
    notes = [
        *(published.notes if published else ()),
        *results.notes,
        "Overall figures in papers are mostly the mean weighted by queries.",
        *found.notes,
    ]
    parts += ["## How to read this", "\n".join(f"- {note}" for note in notes)]
    return "\n\n".join(parts) + "\n"


def write_figures(out: Path, found: AsenFigures) -> tuple[Path, Path]:
    """Write both forms into the folder `out`.

    Raises:
        DataError: it cannot be written.
    """
    texts = {out / JSON: found.model_dump_json(indent=2) + "\n", out / MARKDOWN: render(found)}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text)
    except OSError as error:
        raise DataError(f"cannot write into {out}: {error}; choose another --out") from error
    return out / JSON, out / MARKDOWN


def _compare(published: PublishedTable, found: AsenFigures) -> str:
    results = found.results
    ours = {row.name: 100 * row.metrics["mAP"].value for row in results.rows}
    head = ["method", *ours, "weighted", "plain", "remark"]
    rows = [
        [each.method, *(_number(each.by_attribute.get(name)) for name in ours),
         _number(each.weighted), _number(each.plain), each.remark]
        for each in published.rows
    ]  # fmt: skip
    means = (results.weighted["mAP"].value, results.plain["mAP"].value)
    values = [*ours.values(), *(100 * mean for mean in means)]
    rows.append(["this checkpoint", *map(_number, values), ""])
    return _table(head, rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
