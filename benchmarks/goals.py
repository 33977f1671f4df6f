"""The eight goals of performance: what was asked, what was measured, and whether it is met.

Each command leaves its JSON in benchmarks/results; a file may bring a list `goals` with one
entry a row (number, goal, at, measured, met). What no file has is said, with its command.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from rich.console import Console
from rich.table import Table
from typer import Exit, Option

from benchmarks.story import write_story
from model.errors import DataError

RESULTS = Path("benchmarks/results")
_SERVING = ("HTTP adds", "p50 of", "saturated rate", "p99 / p50", "/healthz")


class Verdict(NamedTuple):
    """One row: `at` is the figure asked for, `met` is None where nothing was measured."""

    number: int
    goal: str
    at: str
    measured: str
    ratio: float | None
    met: bool | None
    source: str


class Wanted(NamedTuple):
    """A goal, the commands that measure it, and how their files are read."""

    number: int
    goal: str
    at: str
    file: str
    command: str
    read: Callable[[dict[str, Any]], list[Verdict]] | None = None


def all_goals(
    photos: Annotated[
        Path | None,
        Option(help="First measure goals 1 and 2, and growth, briefly."),
    ] = None,
    results: Annotated[Path, Option(help="Folder with the JSON files.")] = RESULTS,
    out: Annotated[Path | None, Option(help="Also write JSON to this file.")] = None,
) -> None:
    """Print every goal with what was measured, from the JSON files of the other commands.

    Example: `python -m benchmarks all --photos out/demo/gallery`. Exit 1 when a goal is missed.
    """
    if photos is not None:
        run_short(photos, results)
    found = judge(results)
    _print(found)
    if out is not None:
        write_story(out, {"goals": [each._asdict() for each in found]})
    if any(each.met is False for each in found):
        raise Exit(1)


def run_short(photos: Path, results: Path) -> None:
    """Run what measures in minutes, each in a process of its own."""
    results.mkdir(parents=True, exist_ok=True)
    commands = [
        ["encode", "--photos", str(photos), "--count", "32", "--rounds", "3"],
        ["growth", "--size", "1k", "--size", "10k"],
    ]
    for command in commands:
        command += ["--out", str(results / f"{command[0]}.json")]
        done = subprocess.run([sys.executable, "-m", "benchmarks", *command], check=False)
        if done.returncode:
            raise DataError(f"`python -m benchmarks {' '.join(command)}` failed; see above")


def judge(results: Path) -> list[Verdict]:
    """All goals in order; those that no file has say how to measure them."""
    found: list[Verdict] = []
    for wanted in WANTED:
        path = results / wanted.file
        facts = _read(path) if path.exists() else {}
        rows = _listed(facts, wanted, path)
        if not rows and wanted.read is not None and facts:
            rows = [each._replace(source=path.name) for each in wanted.read(facts)]
        missing = Verdict(
            wanted.number, wanted.goal, wanted.at, "not measured", None, None, wanted.command
        )
        found += rows or [missing]
    return found


def read_indexing(facts: dict[str, Any]) -> list[Verdict]:
    """Goal 1 from `encode`: the fastest runtime's rate, and the share of what cores allow."""
    row = max(facts["index"], key=lambda each: float(each["index, photos/s"]))
    ratio, bound = float(row["ratio"]), float(row["bound"])
    share = ratio / bound
    goal = f"indexing beside the bare forward, {row['runtime']}"
    return [
        Verdict(1, goal, ">= 0.95", f"{ratio:.2f}", ratio, ratio >= 0.95, ""),
        Verdict(1, "the same beside what the cores leave", ">= 0.95", f"{share:.2f}", share,
                share >= 0.95, ""),
    ]  # fmt: skip


def read_encoding(facts: dict[str, Any]) -> list[Verdict]:
    """Goal 2 from `encode`: the least of the fastest runtime's gains, and its cosine."""
    rows = [row for row in facts["rows"] if row["batch"] == 1]
    fastest = max(rows, key=lambda row: float(row["times eager, batch 1"]))["runtime"]
    own = [row for row in rows if row["runtime"] == fastest]
    gain = min(float(row["times eager, batch 1"]) for row in own)
    cosine = min(float(value) for row in own for value in row["cosine"].values())
    name = f"{fastest} beside eager, batch 1"
    return [
        Verdict(2, name, ">= 3.5", f"{gain:.2f}", gain, gain >= 3.5, ""),
        Verdict(2, "its cosine with eager", ">= 0.999", f"{cosine:.5f}", cosine, cosine >= 0.999,
                ""),
    ]  # fmt: skip


def read_serving(facts: dict[str, Any]) -> list[Verdict]:
    """Goal 7 from `serve`, whose rows are goals already; overload and reloads are its own."""
    return [
        Verdict(7, row["name"], row["goal"], row["measured"], row["ratio"], row["met"], "")
        for row in facts["rows"]
        if row["name"].startswith(_SERVING)
    ]


def read_rerank(number: int, facts: dict[str, Any]) -> list[Verdict]:
    """Goals 3 to 5 from `rerank`, whose list names them by what is compared."""
    starts = {3: ("cascade",), 4: ("attended", "from codes"), 5: ("re-rank",)}[number]
    return [
        Verdict(number, row["goal"], f">= {row['at least']:g}", f"{row['measured']:.2f}",
                row["measured"] / row["at least"], row["met"], "")
        for row in facts["goals"]
        if row["goal"].startswith(starts)
    ]  # fmt: skip


def read_recall(facts: dict[str, Any]) -> list[Verdict]:
    """The half of goal 6 that compares codes with a flat search; open below a million items."""
    flat = next(row for row in facts["rows"] if row["name"] == "float32, flat")
    good = [row for row in facts["rows"] if row["recall"] >= 0.99]
    best = min(good, key=lambda row: float(row["query_ms"]))
    times = flat["query_ms"] / best["query_ms"]
    met = times >= 20 if facts["items"] >= 1_000_000 else None
    goal = f"{best['name']} beside flat, {facts['items']:,} items (asked of 1,000,000)"
    return [Verdict(6, goal, ">= 20", f"{times:.1f}", times / 20, met, "")]


WANTED: Sequence[Wanted] = (
    Wanted(1, "indexing beside the bare forward", ">= 0.95", "encode.json",
           "python -m benchmarks encode", read_indexing),
    Wanted(2, "encoder beside eager, batch 1", ">= 3.5", "encode.json",
           "python -m benchmarks encode", read_encoding),
    Wanted(3, "cascade beside the pairwise re-rank of 1,000", ">= 8", "rerank.json",
           "python -m benchmarks rerank", partial(read_rerank, 3)),
    Wanted(4, "attended similarity beside the pairwise blocks", ">= 50", "rerank.json",
           "python -m benchmarks rerank", partial(read_rerank, 4)),
    Wanted(5, "re-rank of 100 beside encoding", "<= 0.25", "rerank.json",
           "python -m benchmarks rerank", partial(read_rerank, 5)),
    Wanted(6, "recall beside encoding, and compressed at 1M", "<= 0.01, >= 20", "recall.json",
           "python -m benchmarks recall", read_recall),
    Wanted(7, "HTTP beside the engine", "see rows", "serve.json",
           "python -m benchmarks serve", read_serving),
    Wanted(8, "attended kernel, batching and decoding on a GPU", "see rows", "gpu.json",
           "a machine with a GPU"),
)  # fmt: skip


def _listed(facts: dict[str, Any], wanted: Wanted, path: Path) -> list[Verdict]:
    """Rows that the file itself calls goals."""
    rows = facts.get("goals", [])
    if not isinstance(rows, list):
        return []
    return [
        Verdict(wanted.number, str(row["goal"]), str(row["at"]), str(row["measured"]),
                row.get("ratio"), row["met"], path.name)
        for row in rows
        if row.get("number") == wanted.number
    ]  # fmt: skip


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}); write it again by its command") from error
    return found


def _print(found: Sequence[Verdict]) -> None:
    table = Table("", "goal", "at", "measured", "ratio", "verdict", "from")
    for each in found:
        verdict = {True: "met", False: "missed", None: "open"}[each.met]
        ratio = "" if each.ratio is None else f"{each.ratio:.3g}"
        table.add_row(
            str(each.number), each.goal, each.at, each.measured, ratio, verdict, each.source
        )
    Console(width=140, highlight=False, markup=False).print(table)
