"""The writer's lock of an index folder, shared by the threads of one process."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from indexer.files import lock_for_writing
from model.errors import GalleryBusyError

_RETRY_S = 0.02


class SharedWriterLock:
    """Keeps other processes from writing while any thread of this one holds it.

    Threads of this process are not kept apart: they have a lock of their own for that.
    """

    def __init__(self, root: Path, wait_s: float) -> None:
        """`wait_s`: how long another process may keep us waiting before GalleryBusyError."""
        self._root, self._wait_s = root, wait_s
        self._guard = threading.Lock()
        self._holders = 0
        self._lock = ExitStack()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock; GalleryBusyError when another process does not let go of it."""
        with self._guard:
            if not self._holders:
                self._acquire()
            self._holders += 1
        try:
            yield
        finally:
            with self._guard:
                self._holders -= 1
                if not self._holders:
                    self._lock.close()

    def _acquire(self) -> None:
        deadline = time.monotonic() + self._wait_s
        while True:
            try:
                self._lock.enter_context(lock_for_writing(self._root))
                return
            except GalleryBusyError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_RETRY_S)
