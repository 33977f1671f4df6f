"""How many searches run at once, how many may wait, and who is turned away."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import Refused


class SearchGate:
    """Lets `max_running` searches in and `max_waiting` wait; the next is refused with 429.

    Used from worker threads. A fast refusal keeps threads free for thumbnails.
    """

    def __init__(self, max_running: int, max_waiting: int) -> None:
        self._running = threading.BoundedSemaphore(max_running)
        self._present = threading.BoundedSemaphore(max_running + max_waiting)

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Wait for a place, hold it, and give it back."""
        if not self._present.acquire(blocking=False):
            raise Refused(
                429,
                "too_busy",
                "Too many searches are running; try again in a second.",
                {"Retry-After": "1"},
            )
        try:
            with self._running:
                yield
        finally:
            self._present.release()
