"""Work that repeats in a thread of its own and survives its failures, which are counted."""

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from indexer.results import TaskStats
from model.errors import SelvedgeError

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Repeating:
    """Calls `work` every `interval_s` seconds, and at once after `wake`."""

    def __init__(self, name: str, interval_s: float, work: Callable[[], object]) -> None:
        self._interval_s, self._work = interval_s, work
        self._woken = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Do the work as soon as possible."""
        self._woken.set()

    def stop(self) -> None:
        """Wait until work in progress is done; nothing is begun after."""
        self._stopped = True
        self._woken.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._woken.wait(self._interval_s)
            self._woken.clear()
            if self._stopped:
                return
            try:
                self._work()
            except Exception:
                logger.exception("%s failed; it is tried again", self._thread.name)


def run_politely(work: Callable[[], T], niceness: int = 5) -> T:
    """Run long work in a thread that lets others go first where processor time is short.

    Not for work that holds a lock: who needs the lock would wait for all who go first. A thread
    of its own, because only root may raise a priority again.

    Args:
        work: what to run; its result or exception is that of the call.
        niceness: 0 to 19, added to that of this thread.
    """

    def lower() -> None:
        # Linux has a priority for each thread, which FAISS's own threads inherit.
        with suppress(OSError):
            thread = threading.get_native_id()
            before = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, before + niceness)

    with ThreadPoolExecutor(1, "polite", initializer=lower) as pool:
        return pool.submit(work).result()


class TaskLog:
    """Remembers of each task how it fares; a task is run by one thread."""

    def __init__(self, *tasks: str) -> None:
        self._stats = dict.fromkeys(tasks, TaskStats())

    def run(self, task: str, work: Callable[[], object]) -> None:
        """Do the work; its failure is noted, and only one that nobody foresaw is raised."""
        before = self._stats[task]
        try:
            work()
        except Exception as error:
            self._stats[task] = replace(before, failures=before.failures + 1, error=str(error))
            if not isinstance(error, SelvedgeError):
                raise
            logger.warning("%s failed, the gallery stays as it is: %s", task, error)
        else:
            self._stats[task] = TaskStats(before.failures, datetime.now(UTC))

    def is_failing(self, task: str) -> bool:
        """True when its last run failed."""
        return self._stats[task].error is not None

    def stats(self) -> dict[str, TaskStats]:
        """All tasks."""
        return dict(self._stats)
