"""What HTTP costs, and what a service does under load: the goals of a service, each with a verdict.

A load generator in a process of its own asks a real `python -m service`; the same searches run in
this process by turns, with the same photos, settings and threads.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import torch
from rich.console import Console
from rich.table import Table
from typer import Exit, Option

from benchmarks.serving.arithmetic import Row
from benchmarks.serving.disturbances import maintain, reload_often, take_over_build
from benchmarks.serving.inprocess import InProcess
from benchmarks.serving.phases import (
    Bench,
    Figures,
    Phase,
    ask_health,
    compare_alone,
    compare_saturated,
    load_partly,
    overload,
)
from benchmarks.serving.processes import start_generator, start_service, start_trivial
from indexer.tuning.sweep import read_queries
from model.errors import ParameterError
from model.runtime.names import HELP, RuntimeName, check_runtime
from service.searches import choose_policy
from service.settings import Settings

DRAWN = Path("out/serve")
# The service keeps so many queries: few, so that they are all there before memory is watched.
MAX_QUERIES = 100
# Photos of the build that is taken over under load.
NEW_BUILD = 12


def serve(
    index: Annotated[
        Path | None, Option(help="An index folder; left out, garments are drawn and indexed.")
    ] = None,
    labelled: Annotated[
        Path | None, Option("--queries", help="CSV with the columns image and product_id.")
    ] = None,
    seconds: Annotated[float, Option(help="Load in each phase; time grows with it.")] = 8.0,
    rounds: Annotated[int, Option(help="How often both sides alternate.", min=1)] = 2,
    photos: Annotated[int, Option(help="Query photos to use.", min=5)] = 30,
    runtime: Annotated[str, Option(help=f"{HELP} Both sides have the same.")] = "auto",
    note: Annotated[str, Option(help="What else ran on the machine, for the JSON.")] = "",
    out: Annotated[Path | None, Option(help="Also write JSON to this file.")] = None,
) -> None:
    """Load a real service from a second process; exit 1 where a goal is missed.

    Example: `OMP_NUM_THREADS=1 python -m benchmarks serve --out benchmarks/results/serve.json`.
    """
    if (index is None) != (labelled is None):
        raise ParameterError("--index and --queries belong together; give both or none")
    if index is None or labelled is None:
        index, labelled = draw_gallery(DRAWN)
    asked = [photo for photo, _ in read_queries(labelled)][:photos]
    started = datetime.now(UTC)
    used, phases = measure(index, asked, seconds, rounds, check_runtime(runtime))
    rows = [row for phase in phases.values() for row in phase.rows]
    _print(rows)
    if out is not None:
        found = {
            "date": started.isoformat(timespec="minutes"),
            "machine": describe_machine(note),
            "settings": {
                "seconds": seconds,
                "rounds": rounds,
                "photos": len(asked),
                "runtime of both sides": used,
            },
            "rows": [asdict(row) for row in rows],
            "figures": {name: phase.figures for name, phase in phases.items()},
        }
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(found, indent=2) + "\n")
    if not all(row.met for row in rows):
        raise Exit(1)


def measure(
    index: Path, photos: list[Path], seconds: float, rounds: int, runtime: RuntimeName
) -> tuple[RuntimeName, dict[str, Phase]]:
    """Run every phase against a copy of the index, which it changes.

    Returns the runtime of both sides, which is never `auto`, and the phases by name.
    """
    settings = {"SELVEDGE_MAX_QUERIES": str(MAX_QUERIES), "SELVEDGE_DEVICE": "cpu"}
    settings |= {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    workers = choose_policy(Settings(index_dir=index), "cpu").workers
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="selvedge-serve-")))
        copy, fresh = folder / "index", folder / "photos"
        shutil.copytree(index, copy)
        fresh.mkdir()
        for photo in photos[:NEW_BUILD]:
            shutil.copy(photo, fresh)
        engine = stack.enter_context(InProcess(copy, photos, runtime))
        # The one that was chosen here: a measurement of its own could choose another one.
        settings["SELVEDGE_RUNTIME"] = engine.runtime
        service = stack.enter_context(start_service(copy, folder / "service.log", settings))
        bench = Bench(
            service=service,
            generator=stack.enter_context(start_generator()),
            engine=engine,
            searches=service.stream(photos),
            trivial=stack.enter_context(start_trivial()),
            photos=len(photos),
            workers=workers,
            seconds=seconds,
            rounds=rounds,
        )
        return engine.runtime, dict(_run(bench, copy, fresh))


def _run(bench: Bench, index: Path, fresh: Path) -> Iterator[tuple[str, Phase]]:
    alone = _say("alone", lambda: compare_alone(bench))
    yield "alone", alone
    saturated = _say("saturated", lambda: compare_saturated(bench))
    yield "saturated", saturated
    rate = min(saturated.figures["http_rate"])
    alone_ms = alone.figures["http_ms"]["p50"]
    yield "70 % load", _say("70 % load", lambda: load_partly(bench, rate, alone_ms))
    yield "health", _say("health", lambda: ask_health(bench))
    yield "overload", _say("overload", lambda: overload(bench, rate))
    yield "reload", _say("reload", lambda: reload_often(bench))
    yield "maintenance", _say("maintenance", lambda: maintain(bench, index))
    yield "new build", _say("new build", lambda: take_over_build(bench, index, fresh))


def _say(name: str, run: Callable[[], Phase]) -> Phase:
    sys.stderr.write(f"{name} ...\n")
    return run()


def draw_gallery(folder: Path) -> tuple[Path, Path]:
    """Draw garments and index them with the shipped checkpoint, as the demo does; kept when there.

    Returns index folder and CSV of queries.
    """
    gallery, index = folder / "gallery", folder / "index"
    for words in (("stitch", "draw", folder), ("indexer", "build", gallery, "--index", index)):
        subprocess.run([sys.executable, "-m", *map(str, words)], check=True, stdout=sys.stderr)
    return index, folder / "queries" / "queries.csv"


def describe_machine(note: str) -> Figures:
    """What figures depend on, in words."""
    return {
        "cores": f"{os.cpu_count()}, shared by service, load generator and the in-process engine",
        "processor": _find_processor(),
        "threads of the network a search": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "note": note,
    }


def _find_processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _print(rows: list[Row]) -> None:
    table = Table("goal", "at", "measured", "ratio", "verdict", "note")
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        verdict = "met" if row.met else "missed"
        table.add_row(row.name, row.goal, row.measured, ratio, verdict, row.note)
    Console().print(table)
