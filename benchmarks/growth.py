"""How cost grows with the gallery: building, disk, memory, opening and searching, by size."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
from rich.console import Console
from rich.table import Table
from typer import Option

from benchmarks.galleries import draw_gallery, probe, read_sizes
from benchmarks.story import write_story
from benchmarks.training import describe_machine
from indexer.planning.sizes import format_bytes, format_count, format_seconds
from model.evaluation.log_plot import Axis, Curve, Point, log_plot, plot_page
from model.shipped import shipped_checkpoint

Rows = list[dict[str, Any]]


def growth(
    sizes: Annotated[list[str], Option("--size", help="Items, such as 100k; may be repeated.")],
    folder: Annotated[
        Path | None, Option(help="Keep the galleries here, and use those that are there.")
    ] = None,
    checkpoint: Annotated[Path | None, Option(help="The shipped one by default.")] = None,
    budget_mb: Annotated[int, Option(help="Tokens up to here come into memory.")] = 2048,
    searches: Annotated[int, Option(min=3, help="Searches to time.")] = 30,
    out: Annotated[Path | None, Option(help="Also write JSON to this file.")] = None,
    page: Annotated[Path | None, Option(help="Also write plots to this HTML file.")] = None,
) -> None:
    """Draw galleries of random items through the real writer, open each anew and search it.

    Example: `python -m benchmarks growth --size 1k --size 10k --size 100k`. A million items take
    22 GB below `--folder`.
    """
    wanted = read_sizes(sizes)
    with TemporaryDirectory() as temporary:
        place = folder or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        path = checkpoint or shipped_checkpoint()
        rows = [measure(place, count, path, budget_mb, searches) for count in wanted]
    said = describe(rows)
    _print(rows, said)
    if out is not None:
        story = {"machine": describe_machine("cpu"), "token_budget_mb": budget_mb}
        write_story(out, {**story, "rows": rows, "sentences": said})
    if page is not None:
        page.write_text(draw_page(rows, said), encoding="utf-8")


def measure(
    folder: Path, count: int, checkpoint: Path, budget_mb: int, searches: int
) -> dict[str, Any]:
    """One row: what drawing took, and what a process of its own found."""
    drawn = draw_gallery(folder, count, checkpoint)
    return {**drawn, **probe(folder / f"{count}", budget_mb, searches)}


def describe(rows: Rows) -> list[str]:
    """A sentence for each cost: how it grows from the smallest to the largest gallery."""
    return [
        _say(rows, "Writing and indexing", lambda row: float(row["build_s"]), format_seconds),
        _say(rows, "The disk", _disk, format_bytes),
        _say(rows, "The memory beyond the program's", _beyond, format_bytes),
        _say(rows, "Opening", lambda row: float(row["open_s"]), format_seconds),
        _say(rows, "Recall", lambda row: _ms(row, "recall") / 1000, format_seconds),
        _say(rows, "Fetching and re-ranking 100", _rest, format_seconds),
    ]


def fit_exponent(sizes: list[int], costs: list[float]) -> float:
    """The slope in a log-log plot: 1 is proportional, 0 constant.

    >>> round(fit_exponent([10, 100, 1000], [3.0, 30.0, 300.0]), 3)
    1.0
    """
    x, y = np.log(sizes), np.log(np.maximum(costs, 1e-12))
    return float(np.polyfit(x, y, 1)[0]) if len(sizes) > 1 else 0.0


def draw_page(rows: Rows, said: list[str]) -> str:
    """Log-log plots of all of it."""
    items = Axis("items in the gallery")

    def curve(name: str, colour: int, read: Any) -> Curve:
        points = [
            Point(row["items"], read(row), f"{row['items']:,}: {read(row):.4g}") for row in rows
        ]
        return Curve(name, colour, points)

    stages = ("recall", "fetch", "align")
    figures = [
        log_plot(
            "Building, without the network", items, Axis("seconds", "s"),
            [curve("committing rows", 1, lambda r: r["commit_s"] + r["tidy_s"]),
             curve("recall index", 2, lambda r: r["recall_s"]),
             curve("opening", 3, lambda r: r["open_s"])],
        ),
        log_plot(
            "Bytes", items, Axis("megabytes", "MB"),
            [curve("disk", 1, lambda r: _disk(r) / 1e6),
             curve("memory", 2, lambda r: r["resident_bytes"] / 1e6)],
        ),
        log_plot(
            "A search, median, without encoding", items, Axis("milliseconds", "ms"),
            [curve(name, k + 1, lambda r, n=name: _ms(r, n)) for k, name in enumerate(stages)],
        ),
    ]  # fmt: skip
    return plot_page("How cost grows", figures, said)


def _say(rows: Rows, what: str, read: Any, write: Any) -> str:
    sizes, costs = [row["items"] for row in rows], [read(row) for row in rows]
    power = fit_exponent(sizes, costs)
    return (
        f"{what}: {write(costs[0])} at {format_count(sizes[0])} items, {write(costs[-1])} at "
        f"{format_count(sizes[-1])}; size to the power of {power:.2f}."
    )


def _disk(row: dict[str, Any]) -> float:
    return float(row["dataset_bytes"] + row["recall_bytes"])


def _beyond(row: dict[str, Any]) -> float:
    return float(row["resident_bytes"] - row["process_bytes"])


def _ms(row: dict[str, Any], stage: str, of: str = "p50") -> float:
    return float(row["after_loading"][stage][of])


def _rest(row: dict[str, Any]) -> float:
    return (_ms(row, "fetch") + _ms(row, "align")) / 1000


def _print(rows: Rows, said: list[str]) -> None:
    table = Table(
        "items", "build", "disk", "memory", "open", "tokens", "recall", "fetch", "align", "p95"
    )
    for row in rows:
        loaded = row["load_tokens_s"]
        table.add_row(
            format_count(row["items"]),
            format_seconds(row["build_s"]),
            format_bytes(_disk(row)),
            format_bytes(row["resident_bytes"]),
            format_seconds(row["open_s"]),
            "by row" if loaded is None else "in memory",
            *(f"{_ms(row, stage):.1f} ms" for stage in ("recall", "fetch", "align")),
            f"{_ms(row, 'total', 'p95'):.1f} ms",
        )
    console = Console(width=120, highlight=False)
    console.print(table)
    for sentence in said:
        console.print(sentence)
