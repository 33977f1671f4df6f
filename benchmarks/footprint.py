"""Memory beside the plan: what `indexer plan` predicts, and what a process holds."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from rich.console import Console
from rich.table import Table
from typer import Option

from benchmarks.galleries import draw_gallery, probe, read_sizes
from benchmarks.story import write_story
from benchmarks.training import describe_machine
from indexer.planning.measure import Measured, measure
from indexer.planning.predict import Plan, predict
from indexer.planning.sizes import format_bytes, format_count, format_seconds
from model.shipped import shipped_checkpoint

# Name in the plan, whether it is bytes, and where the gallery has it.
_COMPARED = ("disk", "memory", "recall", "fetch", "re-rank", "of that, the recall index")


def memory(
    sizes: Annotated[list[str], Option("--size", help="Items, such as 100k; may be repeated.")],
    folder: Annotated[
        Path | None, Option(help="Keep the galleries here, and use those that are there.")
    ] = None,
    checkpoint: Annotated[Path | None, Option(help="The shipped one by default.")] = None,
    searches: Annotated[int, Option(min=3, help="Searches to time.")] = 30,
    out: Annotated[Path | None, Option(help="Also write JSON to this file.")] = None,
) -> None:
    """Compare the predictions of `indexer plan` with drawn galleries of these sizes.

    Example: `python -m benchmarks memory --size 10k --size 100k`
    """
    wanted, path = read_sizes(sizes), checkpoint or shipped_checkpoint()
    measured = measure(path, device="cpu")
    with TemporaryDirectory() as temporary:
        place = folder or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        rows = [row for count in wanted for row in compare(measured, place, count, path, searches)]
    _print(rows)
    if out is not None:
        write_story(out, {"machine": describe_machine("cpu"), "rows": rows})


def compare(
    measured: Measured, folder: Path, count: int, checkpoint: Path, searches: int
) -> list[dict[str, Any]]:
    """One row a figure: predicted, found, and their ratio."""
    drawn = draw_gallery(folder, count, checkpoint)
    plan = predict(measured, count)
    found = probe(
        folder / f"{count}", int(plan.configuration["SELVEDGE_TOKEN_BUDGET_MB"]), searches
    )
    true = read_found(drawn, found)
    return [
        {
            "items": count, "what": name, "unit": _unit(plan, name), "predicted": plan.find(name),
            "found": true[name], "ratio": plan.find(name) / true[name] if true[name] else None,
        }
        for name in _COMPARED
        if plan.find(name)
    ]  # fmt: skip


def read_found(drawn: dict[str, Any], found: dict[str, Any]) -> dict[str, float]:
    """What a drawn gallery and its process came to, by the plan's names; bytes and seconds."""
    stages = found["after_loading"]
    return {
        "disk": drawn["dataset_bytes"] + drawn["recall_bytes"],
        "memory": found["resident_bytes"],
        "recall": stages["recall"]["p50"] / 1000,
        "fetch": stages["fetch"]["p50"] / 1000,
        "re-rank": stages["align"]["p50"] / 1000,
        "of that, the recall index": drawn["recall_s"],
    }


def _unit(plan: Plan, name: str) -> str:
    return next(each.unit for each in plan.predictions if each.name == name)


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table("items", "what", "predicted", "found", "ratio")
    for row in rows:
        write = format_bytes if row["unit"] == "bytes" else format_seconds
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        predicted, found = write(row["predicted"]), write(row["found"])
        table.add_row(format_count(row["items"]), row["what"], predicted, found, ratio)
    Console(highlight=False).print(table)
