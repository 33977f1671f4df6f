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
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import mean, median
from typing import Annotated

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from typer import Option

from benchmarks.pairs import PairMemory, measure_pairs
from model.config import get_preset
from model.data import DataSet, ItemSampler, Loaded, Loader, load_dataset, read_photo
from model.data.filling import BYTES_A_PIXEL, Filler
from model.data.loader import ROOM
from model.devices import in_bfloat16, resolve_device
from model.errors import DataError, ParameterError
from model.initialise import initialise
from model.recipes import RECIPES, Recipe, get_recipe
from model.train import VIEWS, compute_loss, set_training, start_run, train_step, training_input
from model.trainstate import Run

GOAL = 0.9
# Steps of the loop before its clock starts: they use up what was read ahead.
LEAD_IN = 2
# Photos that say how large a decoded one is.
NUM_WEIGHED = 32


@dataclass(frozen=True)
class Loop:
    """Photos a second, one figure a round; ratio: median of loop / floor.

    waiting: the share of each round's time in which the step waited for its batch.
    data_ms: CPU milliseconds that one photo's view takes, alone on the machine.
    """

    rate: list[float]
    ratio: float
    waiting: list[float]
    data_ms: float


@dataclass(frozen=True)
class Speed:
    """Photos a second of the bare step, and both loops.

    kept: the share of the training photos that there is room for once decoded; below 1,
    later epochs lie between the two loops.
    """

    floor: list[float]
    first: Loop
    later: Loop
    kept: float


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


def measure_speed(
    recipe: Recipe,
    data: DataSet,
    *,
    steps: int,
    rounds: int,
    device: str,
    workers: int,
    watch: Callable[[int], None] | None = None,
) -> Speed:
    """Alternate floor and loops; the first round warms up and is left out."""
    if steps < 1 or rounds < 1:
        raise ParameterError(f"steps is {steps} and rounds {rounds}; both have to be 1 or more")
    run, sampler = _prepare(recipe, data, device)
    with ExitStack() as stack:
        first, later = (
            stack.enter_context(
                Loader(
                    data.train,
                    sampler,
                    training_input(recipe, run.model),
                    views=VIEWS.get(recipe.augment),
                    workers=workers,
                    room=room,
                )
            )
            for room in (0, ROOM)
        )
        if len(first) < steps + LEAD_IN:
            raise DataError(
                f"an epoch of {data.name} has {len(first)} batches, {steps} timed steps need "
                f"{steps + LEAD_IN}; give more photos or fewer --steps"
            )
        with closing(first.batches(0)) as batches:
            resident = next(batches)
        size = len(resident.batch.photos) * steps
        floor: list[float] = []
        loops: list[list[tuple[float, float]]] = [[], []]

        def go(kind: int, epoch: int) -> None:
            if kind == 2:
                floor.append(size / time_floor(recipe, run, resident, epoch, steps))
                return
            loader = (first, later)[kind]
            if loader is later:
                _load_ahead(loader, epoch, steps)
            seconds, waited = time_loop(recipe, run, loader, epoch, steps)
            loops[kind].append((size / seconds, waited / seconds))

        for number in range(rounds + 1):
            if watch:
                watch(number)
            for turn in range(3):
                # From here on triplets have joined.
                go((number + turn) % 3, recipe.identity_epochs + number)
        costs = _time_data(first, resident)
    first_epoch, later_epochs = (
        _sum_up(floor, loop, cost) for loop, cost in zip(loops, costs, strict=True)
    )
    kept = _kept_share(data, training_input(recipe, run.model).image_size)
    return Speed(floor[1:], first_epoch, later_epochs, kept)


def _sum_up(floor: list[float], loop: list[tuple[float, float]], data_ms: float) -> Loop:
    """Leave the first round out; `loop` holds rates and shares of waiting."""
    rates, waits = ([pair[k] for pair in loop[1:]] for k in (0, 1))
    ratio = median(rate / bare for rate, bare in zip(rates, floor[1:], strict=True))
    return Loop(rates, ratio, waits, data_ms)


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

    The reader is closed afterwards: reading ahead must not slow the floor down.
    """
    device, waited = run.model.mean.device, 0.0
    with closing(loader.batches(epoch)) as batches:
        for loaded in islice(batches, LEAD_IN):
            train_step(recipe, run, loaded, epoch)
        start = _now(device)
        for _ in range(steps):
            asked = time.perf_counter()
            loaded = next(batches)
            waited += time.perf_counter() - asked
            train_step(recipe, run, loaded, epoch)
        return _now(device) - start, waited


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


def _prepare(recipe: Recipe, data: DataSet, device: str) -> tuple[Run, ItemSampler]:
    """The network in train mode as `model.train.train` has it, and the batches."""
    sampler = ItemSampler(
        data.train,
        num_items=recipe.batch_items,
        num_photos=recipe.batch_photos,
        seed=recipe.seed,
        views=data.views or recipe.augment == "pair",
    )
    model = initialise(get_preset(recipe.preset), seed=recipe.seed).model
    model.backbone.to(memory_format=torch.channels_last)
    run = start_run(recipe, model.to(resolve_device(device)), sampler.num_classes)
    set_training(model, recipe.freeze_batch_norm)
    return run, sampler


def _load_ahead(loader: Loader, epoch: int, steps: int) -> None:
    """Load once what is about to be timed, and all that is read ahead meanwhile."""
    with closing(loader.batches(epoch)) as batches:
        for _ in islice(batches, steps + 2 * LEAD_IN):
            pass


def _time_data(loader: Loader, resident: Loaded) -> tuple[float, float]:
    """CPU milliseconds a photo, by one thread: read from disk, and kept from before."""
    filler, slots = Filler(replace(loader.order, room=ROOM)), resident.batch.photos.tolist()
    pixels = np.empty_like(resident.pixels)
    took = []
    for _ in range(2):
        start = time.thread_time()
        for slot, photo in enumerate(slots):
            filler.fill(pixels, 0, 0, photo, [slot])
        took.append(1000 * (time.thread_time() - start) / len(slots))
    return took[0], took[1]


def _kept_share(data: DataSet, side: int) -> float:
    """How many of the training photos there is room for, going by some of them."""
    some = data.train[:: max(1, len(data.train) // NUM_WEIGHED)]
    sizes = (read_photo(photo, at_least=2 * side).size for photo in some)
    weight = BYTES_A_PIXEL * mean(width * height for width, height in sizes)
    return min(1.0, ROOM / (weight * len(data.train)))


def _print(recipe: Recipe, speed: Speed, memory: PairMemory) -> None:
    size = recipe.batch_items * recipe.batch_photos
    table = Table("measured", "median", "range", title=f"{recipe.name}, {recipe.preset}, {size}")
    table.add_row("floor, photos/s", *_spread(speed.floor, "{:.1f}"))
    for name, loop in (("first epoch", speed.first), ("later epochs", speed.later)):
        table.add_row(f"{name}, photos/s", *_spread(loop.rate, "{:.1f}"))
        table.add_row("  over the floor", f"{loop.ratio:.3f}", f"goal {GOAL}")
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


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
