"""The same searches without HTTP: the engine that the service has, called from this process."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from indexer.live_engine import open_live
from indexer.live_types import LiveOptions
from indexer.requests import SearchRequest
from model.runtime.names import RuntimeName


class Spent(NamedTuple):
    """Milliseconds of each search, when each ended (`time.monotonic`), and CPU seconds of all."""

    each_ms: list[float]
    ends: list[float]
    cpu_s: float


class InProcess:
    """An engine over an index folder, and the photos to search with in turn."""

    def __init__(self, index: Path, photos: Sequence[Path], runtime: str = "auto") -> None:
        """Open the index; `runtime` as in the service's setting of that name."""
        options = LiveOptions(background=False)
        self._live = open_live(index, device="cpu", runtime=runtime, options=options)
        self._photos = [photo.read_bytes() for photo in photos]
        self._request = SearchRequest()

    def __enter__(self) -> "InProcess":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.close()

    @property
    def runtime(self) -> RuntimeName:
        """How the backbone is computed here; never `auto`."""
        return self._live.engine().runtime

    def search_some(self, first: int, total: int) -> Spent:
        """Search with so many photos, one after the other, beginning with number `first`."""
        before = time.process_time()
        times = [self._search(number) for number in range(first, first + total)]
        return _add_up(times, time.process_time() - before)

    def saturate(self, threads: int, seconds: float) -> Spent:
        """Search on so many threads for so long."""
        numbers, until = count(), time.monotonic() + seconds

        def search_on(_: int) -> list[tuple[float, float]]:
            times = []
            while time.monotonic() < until:
                times.append(self._search(next(numbers)))
            return times

        before = time.process_time()
        with ThreadPoolExecutor(threads) as pool:
            every = [each for part in pool.map(search_on, range(threads)) for each in part]
        return _add_up(every, time.process_time() - before)

    def _search(self, number: int) -> tuple[float, float]:
        start = time.monotonic()
        photo = self._photos[number % len(self._photos)]
        self._live.engine().search(photo, self._request)
        return start, time.monotonic()


def _add_up(times: Sequence[tuple[float, float]], cpu_s: float) -> Spent:
    return Spent([(end - start) * 1000 for start, end in times], [end for _, end in times], cpu_s)
