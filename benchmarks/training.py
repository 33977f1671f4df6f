"""How much of the bare network's speed training keeps, and what the pairs of a batch cost.

The floor is forward, backward and optimiser step of the same network and loss on one
batch that is there already; the loop is what `python -m model train` does: photos read
and augmented by threads, then the step. Both alternate in one run, each going first in
every other round, so that other work on the machine hits both.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Annotated

import torch
from rich.console import Console
from rich.table import Table
from typer import Option

from model.alignment import TokenAlignment, TokenSet
from model.config import AlignmentOptions, get_preset
from model.data import DataSet, ItemSampler, Loaded, Loader, load_dataset
from model.devices import in_bfloat16, resolve_device
from model.errors import DataError, ParameterError
from model.initialise import initialise
from model.recipes import RECIPES, Recipe, get_recipe
from model.train import VIEWS, compute_loss, set_training, start_run, train_step
from model.trainstate import Run

GOAL = 0.9
# Steps of the loop before its clock starts: they use up what was read ahead.
LEAD_IN = 2


@dataclass(frozen=True)
class Speed:
    """Photos a second of both, one figure a round; ratio: median of loop / floor.

    waiting: the share of each loop's time in which the step waited for its batch.
    """

    floor: list[float]
    loop: list[float]
    ratio: float
    waiting: list[float]


@dataclass(frozen=True)
class PairMemory:
    """ATA over all pairs of a batch, forward and backward, beyond what the process had."""

    pairs: int
    mebibytes: float
    seconds: float


def training(
    data: Annotated[str, Option(help="Data set, such as inshop:DIR, csv:FILE or stitch.")],
    recipe: Annotated[str, Option(help=f"One of {', '.join(RECIPES)}.")] = "shop",
    preset: Annotated[str | None, Option(help="Network, in place of the recipe's.")] = None,
    steps: Annotated[int, Option(help="Steps of each kind a round; time grows with it.")] = 6,
    rounds: Annotated[int, Option(help="Rounds; the ratio is their median.")] = 5,
    device: Annotated[str, Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[int, Option(help="Threads that load photos.")] = 2,
    amp: Annotated[str | None, Option(help="auto, on or off, in place of the recipe's.")] = None,
    out: Annotated[Path | None, Option(help="Also write JSON to this file.")] = None,
) -> None:
    """Time the training loop against the bare network, and weigh the pairs of a batch.

    Example: `python -m benchmarks training --data stitch --recipe shop`.
    """
    chosen = get_recipe(recipe).changed(preset=preset, amp=amp)
    speed = measure_speed(
        chosen, load_dataset(data), steps=steps, rounds=rounds, device=device, workers=workers
    )
    memory = measure_pairs()
    _print(chosen, speed, memory)
    if out is not None:
        found = {
            "data": data, "recipe": chosen.model_dump(mode="json"), "workers": workers,
            "machine": describe_machine(device),
            "speed": asdict(speed), "pairs": asdict(memory),
        }  # fmt: skip
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(found, indent=2) + "\n")


def measure_speed(
    recipe: Recipe, data: DataSet, *, steps: int, rounds: int, device: str, workers: int
) -> Speed:
    """Alternate floor and loop; the first round warms up and is left out."""
    if steps < 1 or rounds < 1:
        raise ParameterError(f"steps is {steps} and rounds {rounds}; both have to be 1 or more")
    sampler = ItemSampler(
        data.train,
        num_items=recipe.batch_items,
        num_photos=recipe.batch_photos,
        seed=recipe.seed,
        views=data.views,
    )
    model = initialise(get_preset(recipe.preset), seed=recipe.seed).model.to(resolve_device(device))
    run = start_run(recipe, model, sampler.num_classes)
    loader = Loader(
        data.train,
        sampler,
        model.config.preprocessing,
        views=VIEWS.get(recipe.augment),
        workers=workers,
    )
    if len(loader) < steps + LEAD_IN:
        raise DataError(
            f"an epoch of {data.name} has {len(loader)} batches, {steps} timed steps need "
            f"{steps + LEAD_IN}; give more photos or fewer --steps"
        )
    set_training(model, recipe.freeze_batch_norm)
    with _open(loader, 0) as batches:
        resident = next(batches)
    size = len(resident.batch.photos) * steps
    floor, loop, waiting = [], [], []
    for number in range(rounds + 1):
        epoch = recipe.identity_epochs + number  # triplets have joined
        for kind in ("floor", "loop") if number % 2 else ("loop", "floor"):
            if kind == "floor":
                floor.append(size / time_floor(recipe, run, resident, epoch, steps))
            else:
                seconds, waited = time_loop(recipe, run, loader, epoch, steps)
                loop.append(size / seconds)
                waiting.append(waited / seconds)
    ratio = median(b / a for a, b in zip(floor[1:], loop[1:], strict=True))
    return Speed(floor[1:], loop[1:], ratio, waiting[1:])


def time_floor(recipe: Recipe, run: Run, resident: Loaded, epoch: int, steps: int) -> float:
    """Seconds of so many bare steps; pixels are on the device, normalised, before the clock."""
    device = run.model.mean.device
    pixels = run.model.normalise(torch.from_numpy(resident.pixels).to(device))
    items = torch.from_numpy(resident.batch.items).to(device)
    valid = torch.from_numpy(resident.batch.valid).to(device)
    start = _now(device)
    for _ in range(steps):
        run.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(compute_loss(recipe, run, pixels, items, valid, epoch))
        run.optimiser.step()
    return _now(device) - start


def time_loop(
    recipe: Recipe, run: Run, loader: Loader, epoch: int, steps: int
) -> tuple[float, float]:
    """Seconds of so many steps of training, loading included, and those spent waiting for data.

    The loader is closed afterwards: reading ahead must not slow the floor down.
    """
    device, waited = run.model.mean.device, 0.0
    with _open(loader, epoch) as batches:
        for loaded in islice(batches, LEAD_IN):
            train_step(recipe, run, loaded, epoch)
        start = _now(device)
        for _ in range(steps):
            asked = time.perf_counter()
            loaded = next(batches)
            waited += time.perf_counter() - asked
            train_step(recipe, run, loaded, epoch)
        return _now(device) - start, waited


def measure_pairs(
    batch: int = 48, num_tokens: int = 16, width: int = 128, levels: int = 3
) -> PairMemory:
    """Peak memory on the CPU of all pairs of a batch, in a process of its own."""
    call = f"score_pairs({batch}, {num_tokens}, {width}, {levels})"
    code = f"from benchmarks.training import score_pairs; {call}"
    paths = os.pathsep.join(filter(None, (os.getcwd(), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    return PairMemory(**json.loads(done.stdout))


def score_pairs(batch: int, num_tokens: int, width: int, levels: int) -> None:
    """Score all pairs forward and backward; writes a `PairMemory` as JSON to stdout."""
    torch.manual_seed(0)
    alignment = TokenAlignment(levels, width, AlignmentOptions())

    def step(count: int) -> None:
        tokens = torch.nn.functional.normalize(
            torch.randn(count, levels, num_tokens, width), dim=-1
        ).requires_grad_()
        mass = torch.full((count, levels, num_tokens), 1.0 / num_tokens)
        torch.autograd.backward(alignment.score_among(TokenSet(tokens, mass)).sum())

    step(3)  # libraries and gradients take their place
    before, start = _reset_peak(), time.perf_counter()
    step(batch)
    seconds = time.perf_counter() - start
    found = PairMemory(batch * (batch - 1) // 2, (_peak() - before) / 2**20, seconds)
    sys.stdout.write(json.dumps(asdict(found)))


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
    for name, values in (("floor, photos/s", speed.floor), ("loop, photos/s", speed.loop)):
        table.add_row(name, f"{median(values):.1f}", f"{min(values):.1f} to {max(values):.1f}")
    table.add_row("loop / floor", f"{speed.ratio:.3f}", f"goal {GOAL}")
    waits = [f"{share:.1%}" for share in (median(speed.waiting), *_range(speed.waiting))]
    table.add_row("loop waits for data", waits[0], f"{waits[1]} to {waits[2]}")
    table.add_row(f"memory of {memory.pairs:,} pairs, MiB", f"{memory.mebibytes:.0f}", "")
    table.add_row(f"time of {memory.pairs:,} pairs, s", f"{memory.seconds:.2f}", "")
    Console().print(table)


def _range(values: list[float]) -> tuple[float, float]:
    return min(values), max(values)


@contextmanager
def _open(loader: Loader, epoch: int) -> Iterator[Iterator[Loaded]]:
    """Batches whose threads end with the block."""
    batches = loader.batches(epoch)
    try:
        yield batches
    finally:
        assert isinstance(batches, Generator)
        batches.close()


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _reset_peak() -> int:
    """Bytes in use now; on Linux the peak starts anew, so that importing torch does not count."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    """Largest resident size so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        if "VmHWM" in lines:
            return int(lines["VmHWM"].split()[0]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
