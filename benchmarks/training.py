"""How much of the bare network's speed training keeps, and what the pairs of a batch cost.

The floor is forward, backward and optimiser step of the same network and loss on one
batch that is there already, with as many compute threads as the loop's step; the loop is
what `python -m model train` does: photos read and augmented by processes, then the step
with its clipping and its checks. It is timed as in the first epoch, when every photo is
read from disk, and as in later ones, when decoded photos are kept in memory. All take turns
in one run, each going first in every third round, so that other work on the machine
hits them alike.
"""

import json
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Annotated

import torch
from rich.console import Console
from rich.table import Table
from typer import Option

from benchmarks.pairs import PairMemory, measure_pairs
from benchmarks.speed import Speed, measure_speed
from model.data import load_dataset
from model.devices import in_bfloat16, resolve_device
from model.recipes import RECIPES, Recipe, get_recipe

GOAL = 0.9


def training(
    data: Annotated[str, Option(help="Data set, such as inshop:DIR, csv:FILE or stitch.")],
    recipe: Annotated[str, Option(help=f"One of {', '.join(RECIPES)}.")] = "shop",
    preset: Annotated[str | None, Option(help="Network, in place of the recipe's.")] = None,
    steps: Annotated[int, Option(help="Steps of each kind a round; time grows with it.")] = 6,
    rounds: Annotated[int, Option(help="Rounds; the ratio is their median.")] = 5,
    device: Annotated[str, Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[int, Option(help="Processes that load photos; 0: threads.")] = 2,
    threads: Annotated[
        int | None, Option(help="Compute threads of floor and loop; PyTorch's choice if not given.")
    ] = None,
    amp: Annotated[str | None, Option(help="auto, on or off, in place of the recipe's.")] = None,
    out: Annotated[Path | None, Option(help="Also write JSON to this file.")] = None,
) -> None:
    """Time the training loop against the bare network, and weigh the pairs of a batch.

    Example: `python -m benchmarks training --data stitch --recipe shop`. A large network on
    a CPU: `--steps 2 --rounds 3`.
    """
    chosen = get_recipe(recipe).changed(preset=preset, amp=amp)
    if threads is not None:
        torch.set_num_threads(threads)
    console = Console(stderr=True)
    speed = measure_speed(
        chosen,
        load_dataset(data),
        steps=steps,
        rounds=rounds,
        device=device,
        workers=workers,
        watch=lambda number: console.print(f"round {number} of {rounds} (0 warms up)"),
    )
    memory = measure_pairs()
    _print(chosen, speed, memory)
    if out is not None:
        found = {
            "data": data, "recipe": chosen.model_dump(mode="json"), "workers": workers,
            "steps": steps, "machine": describe_machine(device),
            "speed": asdict(speed), "pairs": asdict(memory),
        }  # fmt: skip
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(found, indent=2) + "\n")


def describe_machine(device: str) -> dict[str, str | int | bool]:
    """What figures depend on; `bfloat16` says what a recipe's amp "auto" comes to."""
    place = resolve_device(device)
    name = torch.cuda.get_device_name(place) if place.type == "cuda" else platform.machine()
    return {
        "device": f"{place.type} ({name})",
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "bfloat16": in_bfloat16("auto", place.type),
    }


def _print(recipe: Recipe, speed: Speed, memory: PairMemory) -> None:
    size = recipe.batch_items * recipe.batch_photos
    table = Table("measured", "median", "range", title=f"{recipe.name}, {recipe.preset}, {size}")
    table.add_row("floor, photos/s", *_spread(speed.floor, "{:.1f}"))
    for name, loop in (("first epoch", speed.first), ("later epochs", speed.later)):
        table.add_row(f"{name}, photos/s", *_spread(loop.rate, "{:.1f}"))
        table.add_row("  over the floor", f"{loop.ratio:.3f}", f"goal {GOAL}")
        table.add_row("  the same by CPU seconds", f"{loop.cpu_ratio:.3f}", "")
        table.add_row("  waits for data", *_spread(loop.waiting, "{:.1%}"))
        table.add_row("  CPU of a photo's view, ms", f"{loop.data_ms:.2f}", "")
    table.add_row("photos kept for later epochs", f"{speed.kept:.0%}", "")
    table.add_row(f"memory of {memory.pairs:,} pairs, MiB", f"{memory.mebibytes:.0f}", "")
    table.add_row(f"time of {memory.pairs:,} pairs, s", f"{memory.seconds:.2f}", "")
    Console().print(table)


def _spread(values: list[float], how: str) -> Iterator[str]:
    """The median, and from where to where."""
    yield how.format(median(values))
    yield f"{how.format(min(values))} to {how.format(max(values))}"
