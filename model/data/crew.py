"""Who fills the batches: threads of this process, or processes beside it.

Threads start at once and suit small runs. Pillow lets go of the interpreter's lock only
while it decodes and scales, so their work slows the training step down; processes leave
the step alone, and hand pixels over through shared memory.

N slots in a batch, S pixels a side.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from ctypes import Array, c_ubyte
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.data.filling import Filler, Order
from model.data.sampler import Batch
from model.errors import TrainingError

Shape = tuple[int, int, int, int]  # (N, S, S, 3)
Jobs = list[Future[None]]


@dataclass(frozen=True)
class Loaded:
    """A batch with its pixels: uint8 (N, S, S, 3) RGB, 0..255."""

    pixels: NDArray[np.uint8]
    batch: Batch


class Crew(Protocol):
    """Begins batches, and finishes them in the order in which they were begun."""

    def begin(self, epoch: int, batch: Batch) -> None:
        """Hand out the work on a batch."""

    def finish(self) -> Loaded:
        """Wait for the batch that was begun first."""

    def leave(self) -> None:
        """Drop what was begun and not finished; nothing works on afterwards."""


class Threads:
    """One job a photo, each writing its own slots, so no lock is needed."""

    def __init__(self, filler: Filler, shape: Shape, count: int) -> None:
        self._filler, self._shape = filler, shape
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="loader")
        self._begun: deque[tuple[Loaded, Jobs]] = deque()

    def begin(self, epoch: int, batch: Batch) -> None:
        """Hand out one job a photo."""
        pixels = np.empty(self._shape, dtype=np.uint8)
        jobs = [
            self._pool.submit(self._filler.fill, pixels, epoch, batch.step, photo, slots)
            for photo, slots in _group(batch).items()
        ]
        self._begun.append((Loaded(pixels, batch), jobs))

    def finish(self) -> Loaded:
        """Wait for the first batch."""
        loaded, jobs = self._begun.popleft()
        for job in jobs:
            job.result()
        return loaded

    def leave(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class Processes:
    """Each process has photos of its own, by their number, so that none is kept twice.

    They start at the first batch, stay for the next epoch, and end with `close` or with
    this process, however it ends. `ahead` batches are begun at most.
    """

    def __init__(self, order: Order, shape: Shape, count: int, ahead: int) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy torch's locks
        pages = context.RawArray("B", ahead * int(np.prod(shape)))
        self._pages = _show(pages, shape)
        self._free = deque(range(ahead))
        self._begun: deque[tuple[int, Batch, Jobs]] = deque()
        self._pools = [
            ProcessPoolExecutor(
                1, mp_context=context, initializer=_start, initargs=(order, pages, shape)
            )
            for _ in range(count)
        ]

    def begin(self, epoch: int, batch: Batch) -> None:
        """Hand out one job a process."""
        page = self._free.popleft()
        shares: list[list[tuple[int, list[int]]]] = [[] for _ in self._pools]
        for photo, slots in _group(batch).items():
            shares[photo % len(shares)].append((photo, slots))
        try:
            jobs = [
                pool.submit(_fill, page, epoch, batch.step, share)
                for pool, share in zip(self._pools, shares, strict=True)
            ]
        except BrokenProcessPool as error:
            raise _worker_ended() from error
        self._begun.append((page, batch, jobs))

    def finish(self) -> Loaded:
        """Wait for the first batch, and copy it out: its page is written again."""
        page, batch, jobs = self._begun[0]
        try:
            for job in jobs:
                job.result()
        except BrokenProcessPool as error:
            raise _worker_ended() from error
        self._begun.popleft()
        self._free.append(page)
        return Loaded(self._pages[page].copy(), batch)

    def leave(self) -> None:
        """Wait until no page is written any more."""
        for page, _, jobs in self._begun:
            wait([job for job in jobs if not job.cancel()])
            self._free.append(page)
        self._begun.clear()

    def close(self) -> None:
        """End the processes."""
        for pool in self._pools:
            pool.shutdown(wait=True, cancel_futures=True)


def _group(batch: Batch) -> dict[int, list[int]]:
    """The slots of each photo: one that stands in several is decoded once."""
    slots: dict[int, list[int]] = {}
    for slot, photo in enumerate(batch.photos.tolist()):
        slots.setdefault(photo, []).append(slot)
    return slots


def _show(pages: "Array[c_ubyte]", shape: Shape) -> NDArray[np.uint8]:
    """Shared bytes as batches (pages, N, S, S, 3)."""
    return np.frombuffer(memoryview(pages).cast("B"), dtype=np.uint8).reshape(-1, *shape)


def _worker_ended() -> TrainingError:
    return TrainingError(
        "a process that loads photos has ended: it was killed, perhaps for want of memory. Go on "
        "with --resume, with fewer --workers, or with --workers 0, which needs no processes"
    )


# In a process of the crew: its filler and the shared pages, set when it starts.
_desk: list[tuple[Filler, NDArray[np.uint8]]] = []


def _start(order: Order, pages: "Array[c_ubyte]", shape: Shape) -> None:
    # Ctrl-C reaches the whole group; the parent alone says what is to be done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _desk.append((Filler(order), _show(pages, shape)))


def _end_with_parent() -> None:
    """A parent that is killed cannot end its processes; they would wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _fill(page: int, epoch: int, step: int, share: Sequence[tuple[int, list[int]]]) -> None:
    filler, pages = _desk[0]
    for photo, slots in share:
        filler.fill(pages[page], epoch, step, photo, slots)
