"""Searches of many requests through one queue: who computes, how many together, who is refused.

A search is computed on one thread of the queue: it decodes its photos, has them encoded (in batches
with those of other searches where that pays, `service.encoding`), and ranks. The event loop only
reads uploads and waits.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Request

from indexer.requests import QueryPhoto, SearchRequest
from indexer.results import SearchResult
from model.errors import ImageError
from model.images import Box
from service.batching import BatchPolicy, BatchQueue
from service.encoding import Encoding, WaitObserver
from service.engine import EngineLike, EngineSlot
from service.errors import Refused
from service.metrics import Metrics
from service.queries import Query, QueryCache, shrink
from service.settings import Settings

# How often a waiting request looks whether its client is still there.
PATIENCE_S = 0.1
GPU_BATCH = 16
GPU_WAIT_MS = 2.0
MOST_CPU_SEARCHES = 4
MOST_SEARCHES = 32
# Pictures drawn and writes prepared at the same time.
MOST_OTHERS = 4

T = TypeVar("T")


@dataclass(frozen=True)
class SearchJob:
    """Searches of one request: with photos or a query of before, or with an item of the gallery.

    Attributes:
        request: how to search.
        photos: files of one garment.
        query: instead of photos.
        box: of the first photo.
        item_id: instead of photos and query.
        batch: photos of several garments, a search each.
        version: of the gallery; the newest one when left out.
    """

    request: SearchRequest
    photos: tuple[bytes, ...] = ()
    query: Query | None = None
    box: Box | None = None
    item_id: str = ""
    batch: tuple[bytes, ...] = ()
    version: int | None = None


class Found(NamedTuple):
    """One answer, and the query to search again with: none for items, or where none is kept."""

    result: SearchResult
    query: Query | None


class Searches:
    """The queue of one app; its threads start with the first search, when the device is known."""

    def __init__(self, slot: EngineSlot, settings: Settings, metrics: Metrics) -> None:
        self.queries = QueryCache(settings)
        self._slot = slot
        self._settings = settings
        self._metrics = metrics
        self._lock = threading.Lock()
        self._queue: BatchQueue[SearchJob, list[Found]] | None = None
        self._encoder: Encoding | None = None
        self._others = CapacityLimiter(MOST_OTHERS)

    @property
    def num_running(self) -> int:
        """Searches being computed."""
        return self._queue.num_running if self._queue else 0

    @property
    def num_waiting(self) -> int:
        """Searches in the queue."""
        return self._queue.num_waiting if self._queue else 0

    @property
    def num_encoding(self) -> int:
        """Photos that wait for the network or go through it; 0 where batches do not pay."""
        return self._encoder.num_photos if self._encoder else 0

    def refuse_if_full(self) -> None:
        """Raise Refused with 429 when `run` would, so that nobody parses the upload for nothing."""
        if self._queue:
            self._queue.refuse_if_full()

    async def run(
        self, request: Request, job: SearchJob, begin_within_ms: int | None = None
    ) -> list[Found]:
        """Queue the searches of one request and wait; a client that leaves takes them out.

        Raises:
            Refused: 429 when too many wait, 503 when not begun in time, or on shutdown.
            SelvedgeError: whatever the engine finds.
        """
        until = time.monotonic() + begin_within_ms / 1000 if begin_within_ms else None
        return await _wait_while_present(request, self._open_queue().submit(job, deadline=until))

    def find_deadline(self, wanted_ms: int | None) -> float | None:
        """When re-ranking must have ended, on the clock of `time.monotonic`."""
        given = [ms for ms in (wanted_ms, self._settings.deadline_ms) if ms]
        return time.monotonic() + min(given) / 1000 if given else None

    async def compute(self, work: Callable[[], T]) -> T:
        """Run other work in a thread, a few at a time: pictures, and writes to the gallery."""
        return await to_thread.run_sync(work, limiter=self._others)

    def close(self) -> None:
        """Answer what was accepted, refuse the rest."""
        if self._queue:
            self._queue.close(self._settings.shutdown_timeout_s)
        if self._encoder:
            self._encoder.close()

    def _open_queue(self) -> BatchQueue[SearchJob, list[Found]]:
        with self._lock:
            if self._queue is None:
                device = self._slot.get().info().device
                policy = choose_policy(self._settings, device)
                self._encoder = Encoding(choose_batches(self._settings, device), self._metrics)
                self._queue = BatchQueue(self._search_all, policy, WaitObserver(self._metrics))
            return self._queue

    def _search_all(self, jobs: Sequence[SearchJob]) -> list[list[Found]]:
        return [self._search(job) for job in jobs]

    def _search(self, job: SearchJob) -> list[Found]:
        engine = self._slot.get(job.version)
        engine.check(job.request)
        if job.item_id:
            return [Found(engine.search_item(job.item_id, job.request), None)]
        if job.batch:
            return self._search_batch(engine, job)
        query = job.query or Query(job.photos)
        return [self._search_query(engine, job, query)]

    def _search_query(self, engine: EngineLike, job: SearchJob, query: Query) -> Found:
        encoded, spent = query.find(engine.fingerprint, job.box), dict[str, float]()
        if encoded is None:
            encoded, spent = self._encode(engine, query.with_box(job.box))
            query.remember(engine.fingerprint, job.box, encoded)
        result = engine.search_encoded(encoded, job.request)
        return Found(_add_timings(result, spent), self._keep(query))

    def _search_batch(self, engine: EngineLike, job: SearchJob) -> list[Found]:
        photos = [QueryPhoto(image) for image in job.batch]
        encoded, spent = self._encode(engine, photos, is_batch=True)
        share = {stage: ms / len(photos) for stage, ms in spent.items()}
        found = []
        for image, one in zip(job.batch, encoded, strict=True):
            query = Query([image])
            query.remember(engine.fingerprint, None, [one])
            result = engine.search_encoded([one], job.request)
            found.append(Found(_add_timings(result, share), self._keep(query)))
        return found

    def _encode(
        self, engine: EngineLike, photos: Sequence[QueryPhoto], *, is_batch: bool = False
    ) -> tuple[list[Any], dict[str, float]]:
        """Decode here, encode where batches are gathered; milliseconds of both."""
        assert self._encoder is not None
        start = time.perf_counter()
        prepared = [_prepare(engine, i, photo, is_batch) for i, photo in enumerate(photos)]
        decoded = time.perf_counter()
        encoded = self._encoder.encode(engine, prepared)
        times = {"decode": decoded - start, "encode": time.perf_counter() - decoded}
        return encoded, {stage: seconds * 1000 for stage, seconds in times.items()}

    def _keep(self, query: Query) -> Query | None:
        query.photos = tuple(shrink(photo, self._settings.max_pixels) for photo in query.photos)
        return query if self.queries.keep(query) else None


def _prepare(engine: EngineLike, number: int, photo: QueryPhoto, is_batch: bool) -> Any:
    try:
        return engine.prepare(photo)
    except ImageError as error:
        if is_batch:
            raise type(error)(f"photo {number + 1} of the batch: {error}") from error
        raise


def _add_timings(result: SearchResult, spent: dict[str, float]) -> SearchResult:
    timings = {**result.timings_ms, **spent}
    total = result.timings_ms["total"] + sum(spent.values())
    return replace(result, timings_ms={**timings, "total": total})


def choose_batches(settings: Settings, device: str) -> BatchPolicy:
    """How photos of several requests go through the network together.

    >>> from pathlib import Path
    >>> choose_batches(Settings(index_dir=Path("x")), "cuda:0")
    BatchPolicy(max_batch=16, wait_s=0.002, workers=1, max_waiting=1000000)
    >>> choose_batches(Settings(index_dir=Path("x")), "cpu").max_batch
    1
    """
    on_gpu = device.startswith("cuda")
    wait_ms = settings.batch_wait_ms
    if wait_ms is None:
        wait_ms = GPU_WAIT_MS if on_gpu else 0.0
    # The queue of searches in front of this one bounds what waits here.
    return BatchPolicy(
        max_batch=settings.max_batch or (GPU_BATCH if on_gpu else 1),
        wait_s=wait_ms / 1000,
        workers=1,
        max_waiting=1_000_000,
    )


def choose_policy(settings: Settings, device: str) -> BatchPolicy:
    """How many searches are computed at the same time, and how many wait.

    On a GPU, enough that a batch of photos can be gathered while others are ranked.

    >>> from pathlib import Path
    >>> choose_policy(Settings(index_dir=Path("x")), "cuda:0")
    BatchPolicy(max_batch=1, wait_s=0.0, workers=20, max_waiting=16)
    >>> choose_policy(Settings(index_dir=Path("x"), max_searches=2), "cpu")
    BatchPolicy(max_batch=1, wait_s=0.0, workers=2, max_waiting=16)
    """
    workers = min(MOST_CPU_SEARCHES, os.cpu_count() or 1)
    batch = choose_batches(settings, device).max_batch
    if batch > 1:
        workers = min(MOST_SEARCHES, batch + MOST_CPU_SEARCHES)
    return BatchPolicy(workers=settings.max_searches or workers, max_waiting=settings.max_waiting)


async def _wait_while_present(request: Request, future: "Future[list[Found]]") -> list[Found]:
    # Not asyncio.wrap_future: it ties a knot that keeps photo and traceback until the next
    # collection.
    loop, arrived = asyncio.get_running_loop(), asyncio.Event()

    def wake(_: "Future[list[Found]]") -> None:
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
