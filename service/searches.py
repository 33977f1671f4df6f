"""Searches of many requests through one queue: who computes, how many together, who is refused."""

import asyncio
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

from fastapi import Request

from indexer.requests import SearchRequest
from indexer.results import SearchResult
from service.batching import BatchPolicy, BatchQueue
from service.engine import EngineLike, EngineSlot
from service.errors import Refused
from service.metrics import Metrics
from service.settings import Settings

# How often a waiting request looks whether its client is still there.
PATIENCE_S = 0.1
GPU_BATCH = 16
GPU_WAIT_MS = 2.0
MOST_CPU_SEARCHES = 4


@dataclass(frozen=True)
class SearchJob:
    """One search: by a photo's bytes, or by an item of the gallery."""

    options: SearchRequest
    image: bytes | None = None
    item_id: str = ""


class Searches:
    """The queue of one app; its threads start with the first search, when the device is known."""

    def __init__(self, slot: EngineSlot, settings: Settings, metrics: Metrics) -> None:
        self._slot = slot
        self._settings = settings
        self._metrics = metrics
        self._lock = threading.Lock()
        self._queue: BatchQueue[SearchJob, SearchResult] | None = None

    @property
    def num_running(self) -> int:
        """Searches being computed."""
        return self._queue.num_running if self._queue else 0

    @property
    def num_waiting(self) -> int:
        """Searches in the queue."""
        return self._queue.num_waiting if self._queue else 0

    async def run(
        self, request: Request, job: SearchJob, deadline_ms: int | None = None
    ) -> SearchResult:
        """Queue one search and wait for it; a client that leaves takes its search out.

        Raises:
            Refused: 429 when too many wait, 503 past the deadline or on shutdown.
            SelvedgeError: whatever the engine finds.
        """
        deadline = self._find_deadline(deadline_ms)
        return await _wait_while_present(request, self._open_queue().submit(job, deadline=deadline))

    def close(self) -> None:
        """Answer what was accepted, refuse the rest."""
        if self._queue:
            self._queue.close(self._settings.shutdown_timeout_s)

    def _open_queue(self) -> BatchQueue[SearchJob, SearchResult]:
        with self._lock:
            if self._queue is None:
                policy = choose_policy(self._settings, self._slot.get().info().device)
                self._queue = BatchQueue(self._search, policy, self._metrics)
            return self._queue

    def _find_deadline(self, wanted_ms: int | None) -> float | None:
        given = [ms for ms in (wanted_ms, self._settings.deadline_ms) if ms]
        return time.monotonic() + min(given) / 1000 if given else None

    def _search(self, jobs: Sequence[SearchJob]) -> list[SearchResult]:
        """Photos with the same options go through the network together."""
        engine = self._slot.get()
        results: dict[int, SearchResult] = {}
        for group in _group(jobs):
            results.update(zip(group, _search_alike(engine, [jobs[i] for i in group]), strict=True))
        return [results[i] for i in range(len(jobs))]


def choose_policy(settings: Settings, device: str) -> BatchPolicy:
    """Fill in what the settings leave open: one owner and batches on a GPU, neither on a CPU.

    >>> from pathlib import Path
    >>> choose_policy(Settings(index_dir=Path("x")), "cuda:0")
    BatchPolicy(max_batch=16, wait_s=0.002, workers=1, max_waiting=16)
    >>> choose_policy(Settings(index_dir=Path("x"), max_searches=2), "cpu")
    BatchPolicy(max_batch=1, wait_s=0.0, workers=2, max_waiting=16)
    """
    on_gpu = device.startswith("cuda")
    cores = min(MOST_CPU_SEARCHES, os.cpu_count() or 1)
    wait_ms = settings.batch_wait_ms
    if wait_ms is None:
        wait_ms = GPU_WAIT_MS if on_gpu else 0.0
    return BatchPolicy(
        max_batch=settings.max_batch or (GPU_BATCH if on_gpu else 1),
        wait_s=wait_ms / 1000,
        workers=settings.max_searches or (1 if on_gpu else cores),
        max_waiting=settings.max_waiting,
    )


async def _wait_while_present(request: Request, future: "Future[SearchResult]") -> SearchResult:
    # Not asyncio.wrap_future: it ties a knot that keeps photo and traceback until the next
    # collection.
    loop, arrived = asyncio.get_running_loop(), asyncio.Event()

    def wake(_: "Future[SearchResult]") -> None:
        with suppress(RuntimeError):  # The loop may be closed by now.
            loop.call_soon_threadsafe(arrived.set)

    future.add_done_callback(wake)
    try:
        while not future.done():
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    await arrived.wait()
            if not future.done() and await request.is_disconnected():
                raise Refused(499, "client_gone", "The client closed the connection.")
        return future.result()
    finally:
        future.cancel()
        del future  # The traceback of its error holds this frame.


def _group(jobs: Sequence[SearchJob]) -> list[list[int]]:
    """Return the positions of jobs that can be computed together."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for position, job in enumerate(jobs):
        key = (job.options,) if job.image is not None else (position,)
        groups.setdefault(key, []).append(position)
    return list(groups.values())


def _search_alike(engine: EngineLike, jobs: Sequence[SearchJob]) -> list[SearchResult]:
    options = jobs[0].options
    images = [job.image for job in jobs if job.image is not None]
    if images:
        return engine.search_batch(images, options)
    return [engine.search_item(job.item_id, options) for job in jobs]
