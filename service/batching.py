"""A bounded queue in front of whatever owns the accelerator: gathers items into small batches.

It knows nothing of photos or engines: `run` turns a list of items into a list of results. With one
worker that thread is the only one that touches the accelerator; several workers suit a CPU.
"""

import contextvars
import logging
import math
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Protocol, TypeVar

from service.errors import Refused

T = TypeVar("T")
R = TypeVar("R")

logger = logging.getLogger(__name__)

MAX_RETRY_AFTER_S = 60
# Weight of the newest batch in the running mean of the time an item takes.
RATE_WEIGHT = 0.2


class QueueObserver(Protocol):
    """What the queue reports: `service.metrics.Metrics`."""

    def observe_batch(self, size: int) -> None: ...

    def observe_wait(self, seconds: float) -> None: ...

    def observe_drop(self, reason: str) -> None: ...


@dataclass(frozen=True)
class BatchPolicy:
    """How many items go together, how long the first waits for others, and how many batches run."""

    max_batch: int = 1
    wait_s: float = 0.0
    workers: int = 1
    max_waiting: int = 16


@dataclass(eq=False)
class _Entry(Generic[T, R]):
    item: T
    deadline: float | None
    future: "Future[R]" = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)
    # The request's id, for log lines that are written while the item is computed.
    context: contextvars.Context = field(default_factory=contextvars.copy_context)


class BatchQueue(Generic[T, R]):
    """Runs items in batches on its own threads; safe to use from many threads.

    Args:
        run: one result an item, in order. Runs in a worker thread.
        policy: sizes; see `BatchPolicy`.
        observer: is told of batches, waits and drops.
    """

    def __init__(
        self,
        run: Callable[[list[T]], Sequence[R]],
        policy: BatchPolicy,
        observer: QueueObserver | None = None,
    ) -> None:
        self.policy = policy
        self._run = run
        self._observer = observer
        self._waiting: deque[_Entry[T, R]] = deque()
        self._changed = threading.Condition()
        self._num_running = 0
        self._num_idle = 0
        self._threads: list[threading.Thread] = []
        self._closing = False
        self._seconds_per_item = 0.0

    @property
    def num_running(self) -> int:
        """Items being computed."""
        return self._num_running

    @property
    def num_waiting(self) -> int:
        """Items that no worker has taken yet."""
        return len(self._waiting)

    def submit(self, item: T, *, deadline: float | None = None) -> "Future[R]":
        """Queue one item. Cancelling the future takes it out again, unless it is being computed.

        Args:
            item: what `run` gets.
            deadline: on the clock of `time.monotonic`; an item still waiting then is refused.

        Raises:
            Refused: 429 when the queue is full, 503 when it is closed.
        """
        entry: _Entry[T, R] = _Entry(item, deadline)
        with self._changed:
            if self._closing:
                raise Refused(
                    503,
                    "shutting_down",
                    "The service is shutting down; send the request again in a few seconds.",
                    {"Retry-After": "5"},
                )
            self.refuse_if_full()
            self._waiting.append(entry)
            self._start_worker()
            self._changed.notify_all()
        # Weakly: an item must not live on in a circle with its own future.
        entry.future.add_done_callback(partial(self._forget, weakref.ref(entry)))
        return entry.future

    def refuse_if_full(self) -> None:
        """Raise what `submit` would raise now for lack of room: Refused with 429."""
        with self._changed:
            free = self.policy.workers * self.policy.max_batch - self._num_running
            if len(self._waiting) >= self.policy.max_waiting + max(0, free):
                raise Refused(
                    429,
                    "too_busy",
                    "Too many searches are running; try again in a moment.",
                    {"Retry-After": str(self._find_retry_after())},
                )

    def close(self, timeout_s: float = 10.0) -> None:
        """Refuse new items, compute those that were accepted, and end the threads."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            threads = list(self._threads)
        until = time.monotonic() + timeout_s
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _find_retry_after(self) -> int:
        """Seconds until the queue as it is now is worked off, at the recent rate; 1 to 60."""
        seconds = (len(self._waiting) + self._num_running) * self._seconds_per_item
        return min(MAX_RETRY_AFTER_S, max(1, math.ceil(seconds)))

    def _start_worker(self) -> None:
        """Start one more thread when work waits and none is idle. Holds the lock."""
        if self._num_idle < len(self._waiting) and len(self._threads) < self.policy.workers:
            thread = threading.Thread(
                target=self._work, name=f"search-{len(self._threads)}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _forget(self, find: "weakref.ref[_Entry[T, R]]", future: "Future[R]") -> None:
        """Give the place of a cancelled item to the next one."""
        if not future.cancelled():
            return
        with self._changed:
            entry = find()
            if entry is not None and entry in self._waiting:
                self._waiting.remove(entry)
        self._report_drop("cancelled")

    def _work(self) -> None:
        while batch := self._gather():
            start = time.monotonic()
            self._compute(batch)
            with self._changed:
                self._note_rate((time.monotonic() - start) / len(batch))

    def _gather(self) -> list[_Entry[T, R]]:
        """Wait for a first item, then a little for others; empty when the queue is closed."""
        batch: list[_Entry[T, R]] = []
        with self._changed:
            while not batch:
                self._num_idle += 1
                self._changed.wait_for(lambda: self._waiting or self._closing)
                self._num_idle -= 1
                if not self._waiting:
                    return []
                self._changed.wait_for(self._is_batch_full, self.policy.wait_s)
                while self._waiting and len(batch) < self.policy.max_batch:
                    entry = self._waiting.popleft()
                    if self._begin(entry):
                        batch.append(entry)
            self._num_running += len(batch)
        if self._observer:
            self._observer.observe_batch(len(batch))
        return batch

    def _is_batch_full(self) -> bool:
        return len(self._waiting) >= self.policy.max_batch or self._closing

    def _begin(self, entry: _Entry[T, R]) -> bool:
        """Mark as running; False for an item that was cancelled or is past its deadline."""
        if not entry.future.set_running_or_notify_cancel():
            return False
        now = time.monotonic()
        if self._observer:
            self._observer.observe_wait(now - entry.since)
        if entry.deadline is None or now < entry.deadline:
            return True
        self._report_drop("deadline")
        refusal = Refused(
            503,
            "deadline_passed",
            "The search waited until its deadline and was not begun; try again in a moment.",
            {"Retry-After": str(self._find_retry_after())},
        )
        entry.future.set_exception(refusal)
        return False

    def _compute(self, batch: list[_Entry[T, R]]) -> None:
        """Answer a batch; where it fails, item by item, so that one bad item fails alone."""
        # The lines of a batch belong to several requests: they carry no id.
        context = batch[0].context if len(batch) == 1 else contextvars.Context()
        try:
            results = context.run(self._run, [entry.item for entry in batch])
        except BaseException as error:
            if len(batch) == 1:
                self._leave()
                batch[0].future.set_exception(error)
                del batch  # The traceback holds this frame, and the photo with it.
                return
            logger.info("A batch of %d failed (%s); trying one by one.", len(batch), error)
            for entry in batch:
                self._compute([entry])
            return
        for entry, result in zip(batch, results, strict=True):
            self._leave()
            entry.future.set_result(result)

    def _leave(self) -> None:
        """Make room before the answer goes out: who asks again at once must find it."""
        with self._changed:
            self._num_running -= 1

    def _note_rate(self, seconds: float) -> None:
        seconds /= self.policy.workers
        known = self._seconds_per_item or seconds
        self._seconds_per_item = (1 - RATE_WEIGHT) * known + RATE_WEIGHT * seconds

    def _report_drop(self, reason: str) -> None:
        if self._observer:
            self._observer.observe_drop(reason)
