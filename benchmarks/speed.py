"""Times the training loop and its floor in turns; `benchmarks.training` says what both are."""

import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import islice
from statistics import mean, median
from typing import NamedTuple

import numpy as np
import torch

from model.config import get_preset
from model.data import DataSet, ItemSampler, Loaded, Loader, read_photo
from model.data.filling import BYTES_A_PIXEL, Filler
from model.data.loader import ROOM
from model.devices import resolve_device
from model.errors import DataError, ParameterError
from model.initialise import initialise
from model.preprocessing import Preprocessing
from model.recipes import Recipe
from model.train import VIEWS, compute_loss, set_training, start_run, train_step, training_input
from model.trainstate import Run

# Steps before the clock starts: floor and loop find memory and caches as steps leave them, and
# from then on each step of the loop has one batch loaded beside it.
LEAD_IN = 1
# Batches that a loop at its last step may have begun to load.
AHEAD = 2
# Photos that say how large a decoded one is.
NUM_WEIGHED = 32


class Timing(NamedTuple):
    """So many steps: seconds, CPU seconds of this process, and seconds waited for batches."""

    seconds: float
    cpu: float
    waited: float = 0.0


@dataclass(frozen=True)
class Loop:
    """Photos a second, one figure a round, and what is left of the floor: medians.

    ratio: loop / floor. cpu_ratio: the floor's CPU seconds of this process / the loop's; other
    work on the machine disturbs it less, and it leaves out what other processes load.
    waiting: the share of each round's time in which the step waited for its batch.
    data_ms: CPU milliseconds that one photo's view takes, in one thread.
    """

    rate: list[float]
    ratio: float
    cpu_ratio: float
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
    served = training_input(recipe, run.model)
    with ExitStack() as stack:
        first, later = (
            stack.enter_context(
                Loader(
                    data.train,
                    sampler,
                    served,
                    views=VIEWS.get(recipe.augment),
                    workers=workers,
                    prefetch=AHEAD,
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
        kinds: tuple[Callable[[int], Timing], ...] = (
            lambda epoch: time_floor(recipe, run, resident, epoch, steps),
            lambda epoch: time_loop(recipe, run, first, epoch, steps),
            lambda epoch: time_loop(recipe, run, later, epoch, steps, loaded_before=True),
        )
        times: list[list[Timing]] = [[] for _ in kinds]
        for number in range(rounds + 1):
            if watch:
                watch(number)
            for turn in range(len(kinds)):
                kind = (number + turn) % len(kinds)
                # From here on triplets have joined.
                times[kind].append(kinds[kind](recipe.identity_epochs + number))
        costs = time_data(first, resident)
    size = len(resident.batch.photos) * steps
    floor, *loops = (timings[1:] for timings in times)
    one, two = (_sum_up(floor, loop, size, ms) for loop, ms in zip(loops, costs, strict=True))
    return Speed([size / bare.seconds for bare in floor], one, two, _kept_share(data, served))


def _sum_up(floor: list[Timing], loop: list[Timing], size: int, data_ms: float) -> Loop:
    pairs = list(zip(floor, loop, strict=True))
    return Loop(
        rate=[size / each.seconds for each in loop],
        ratio=median(bare.seconds / each.seconds for bare, each in pairs),
        cpu_ratio=median(bare.cpu / each.cpu for bare, each in pairs),
        waiting=[each.waited / each.seconds for each in loop],
        data_ms=data_ms,
    )


def time_floor(recipe: Recipe, run: Run, resident: Loaded, epoch: int, steps: int) -> Timing:
    """Time bare steps; pixels are on the device, normalised, before the clock."""
    device = run.model.mean.device
    pixels = run.model.normalise(torch.from_numpy(resident.pixels).to(device))
    items = torch.from_numpy(resident.batch.items).to(device)
    valid = torch.from_numpy(resident.batch.valid).to(device)
    for step in range(LEAD_IN + steps):
        if step == LEAD_IN:
            start, cpu = _now(device), time.process_time()
        run.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(compute_loss(recipe, run, pixels, items, valid, epoch))
        run.optimiser.step()
    return Timing(_now(device) - start, time.process_time() - cpu)


def time_loop(
    recipe: Recipe,
    run: Run,
    loader: Loader,
    epoch: int,
    steps: int,
    *,
    loaded_before: bool = False,
) -> Timing:
    """Time steps of training, loading included; the photos may have been loaded once before.

    The reader is closed afterwards: reading ahead must not slow the floor down.
    """
    device, waited = run.model.mean.device, 0.0
    if loaded_before:
        with closing(loader.batches(epoch)) as batches:
            # All that is timed, and all that is read ahead meanwhile.
            for _ in islice(batches, LEAD_IN + steps + AHEAD):
                pass
    with closing(loader.batches(epoch)) as batches:
        for loaded in islice(batches, LEAD_IN):
            train_step(recipe, run, loaded, epoch)
        start, cpu = _now(device), time.process_time()
        for _ in range(steps):
            asked = time.perf_counter()
            loaded = next(batches)
            waited += time.perf_counter() - asked
            train_step(recipe, run, loaded, epoch)
        return Timing(_now(device) - start, time.process_time() - cpu, waited)


def time_data(loader: Loader, resident: Loaded) -> tuple[float, float]:
    """CPU milliseconds a photo, by this thread: read from disk, and kept from before."""
    filler, slots = Filler(replace(loader.order, room=ROOM)), resident.batch.photos.tolist()
    pixels, took = np.empty_like(resident.pixels), []
    for _ in range(2):
        start = time.thread_time()
        for slot, photo in enumerate(slots):
            filler.fill(pixels, 0, 0, photo, [slot])
        took.append(1000 * (time.thread_time() - start) / len(slots))
    return took[0], took[1]


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


def _kept_share(data: DataSet, served: Preprocessing) -> float:
    """How many of the training photos there is room for, going by some of them."""
    some = data.train[:: max(1, len(data.train) // NUM_WEIGHED)]
    sizes = (read_photo(photo, at_least=2 * served.image_size).size for photo in some)
    weight = BYTES_A_PIXEL * mean(width * height for width, height in sizes)
    return min(1.0, ROOM / (weight * len(data.train)))


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
