"""An evaluation by attributes as JSON and as Markdown, with what others published beside it."""

from collections.abc import Sequence
from pathlib import Path

from model.attributes.published import PublishedTable, find_published
from model.attributes.results import METRICS, AttributeGain, AttributeResults
from model.errors import DataError, ParameterError
from model.evaluation.results import Measured

JSON, MARKDOWN = "attributes.json", "attributes.md"
WEIGHTED, PLAIN = "mean over queries", "mean over attributes"


def write_attribute_report(
    folder: Path, results: Sequence[AttributeResults], gains: Sequence[AttributeGain] = ()
) -> tuple[Path, Path]:
    """Write both files into `folder`, made when missing; older ones are replaced.

    Raises:
        DataError: the folder cannot be written.
        ParameterError: nothing to write, or results of different splits.
    """
    written = {
        folder / JSON: attributes_to_json(results, gains),
        folder / MARKDOWN: render_attributes(results, gains),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in written.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"cannot write the report to {folder}: {error.strerror}; choose another --out folder"
        ) from error
    return folder / JSON, folder / MARKDOWN


def render_attributes(
    results: Sequence[AttributeResults], gains: Sequence[AttributeGain] = ()
) -> str:
    """Tables and notes of one or several methods on one split, in per cent with intervals.

    Raises:
        ParameterError: nothing to show, or results of different splits.
    """
    if not results or len({(each.data_set, *each.names) for each in results}) > 1:
        names = ", ".join(each.data_set for each in results) or "nothing"
        raise ParameterError(
            f"one table cannot hold results of {names}; expected methods measured on one split"
        )
    first = results[0]
    parts = [f"# Attributes: {first.data_set}"]
    for each in results:
        parts += [f"{key}: {value}  " for key, value in each.checkpoint.items()]
    parts += ["## Queries and candidates", _count_table(first)]
    for metric in METRICS:
        parts += [f"## {metric} (%)", _metric_table(results, metric)]
    for gain in gains:
        parts += [f"## {gain.name} (points, paired)", _gain_table(gain)]
    table = find_published(first.data_set)
    if table is not None:
        parts += [f"## {table.title}", _published_table(table, results)]
    notes = [*(table.notes if table else ()), *dict.fromkeys(n for r in results for n in r.notes)]
    parts += ["## How to read this", "\n".join(f"- {note}" for note in notes)]
    return "\n\n".join(parts) + "\n"


def attributes_to_json(
    results: Sequence[AttributeResults], gains: Sequence[AttributeGain] = ()
) -> str:
    """The same figures as one JSON object: `results` and `gains`."""

    def join(found: Sequence[AttributeResults] | Sequence[AttributeGain]) -> str:
        return ",\n".join(each.model_dump_json(indent=2) for each in found)

    return f'{{"results": [{join(results)}],\n"gains": [{join(gains)}]}}\n'


def _count_table(found: AttributeResults) -> str:
    rows = [
        [row.name, *(f"{n:,}" for n in (row.num_values, row.queries, row.candidates))]
        for row in found.rows
    ]
    return _table(["attribute", "values", "queries", "candidates"], rows)


def _metric_table(results: Sequence[AttributeResults], metric: str) -> str:
    names = results[0].names
    rows = [[name, *(str(each.row(name).metrics[metric]) for each in results)] for name in names]
    rows += [
        [f"**{title}**", *(str(values[metric]) for values in averages)]
        for title, averages in (
            (WEIGHTED, [each.weighted for each in results]),
            (PLAIN, [each.plain for each in results]),
        )
    ]
    return _table(["attribute", *(each.method or "this method" for each in results)], rows)


def _gain_table(gain: AttributeGain) -> str:
    rows: list[tuple[str, dict[str, Measured]]] = [
        *gain.rows.items(),
        (f"**{WEIGHTED}**", gain.weighted),
        (f"**{PLAIN}**", gain.plain),
    ]
    return _table(["attribute", *METRICS], [[n, *(str(m[k]) for k in METRICS)] for n, m in rows])


def _published_table(table: PublishedTable, results: Sequence[AttributeResults]) -> str:
    names = results[0].names
    rows = [
        [row.method, *(_number(row.by_attribute.get(name)) for name in names),
         _number(row.weighted), _number(row.plain), row.remark]
        for row in table.rows
    ]  # fmt: skip
    for each in results:
        values = [*(row.metrics for row in each.rows), each.weighted, each.plain]
        ours = (f"{100 * metrics['mAP'].value:.2f}" for metrics in values)
        rows.append([f"ours: {each.method or 'this method'}", *ours, ""])
    return _table(["method", *names, "over queries", "over attributes", "remark"], rows)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
