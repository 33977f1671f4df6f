"""Work that repeats in a thread of its own and survives its failures."""

import logging
import threading
from collections.abc import Callable

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
