"""The load: a process of its own with one thread; a JSON object a line in, one a line out.

A load is a list of streams that run at the same time. A closed stream has so many clients that each
ask again when they are answered; an open one asks at given times, whether or not it is answered.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.serving.wire import Answer, Pool, make_get, make_search

ANSWER_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Stream:
    """Requests of one kind.

    Attributes:
        host, port: of the service.
        photos: searched with in turn, beginning with number `first`; none: GET `path`.
        fields: of the form, beside the photo.
        clients: of a closed stream; it ends after `seconds`, or after `total` requests.
        arrivals: of an open stream, in seconds from its beginning.
    """

    host: str
    port: int
    photos: list[str] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    path: str = "/healthz"
    first: int = 0
    clients: int = 0
    seconds: float = 0.0
    total: int = 0
    arrivals: list[float] = field(default_factory=list)


@dataclass
class Told:
    """What came back.

    Attributes:
        starts, ends: of every answered request, on the clock of `time.monotonic`.
        statuses: in the same order.
        failures: what went wrong otherwise: no answer, or a broken connection.
        without_retry: answers of 429 that do not say when to come back.
        engine_ms: what the service says that the search took inside, where it was answered 200.
        versions: of the gallery, in the order of `ends`, where it was answered 200.
        lags_ms: how much later than planned an open stream asked.
    """

    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    without_retry: int = 0
    engine_ms: list[float] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    lags_ms: list[float] = field(default_factory=list)

    def list_ms(self, status: int = 200) -> list[float]:
        """Latencies of the answers with this status, in milliseconds."""
        every = zip(self.starts, self.ends, self.statuses, strict=True)
        return [(end - start) * 1000 for start, end, found in every if found == status]

    def list_ends(self, status: int = 200) -> list[float]:
        """When the answers with this status had come."""
        return [end for end, found in zip(self.ends, self.statuses, strict=True) if found == status]

    def count_other(self, *expected: int) -> int:
        """Answers with another status than these, and requests without any."""
        return len(self.failures) + sum(status not in expected for status in self.statuses)


class Runner:
    """Runs one stream."""

    def __init__(self, stream: Stream, pool: Pool) -> None:
        self._stream, self._pool = stream, pool
        self._requests = make_requests(stream)
        self._numbers = count(stream.first)
        self._answers: list[Answer] = []
        self.told = Told()

    async def run(self) -> Told:
        """Ask until the stream ends, then read what the answers say."""
        if self._stream.clients:
            await asyncio.gather(*(self._stay() for _ in range(self._stream.clients)))
        else:
            await self._come_and_go()
        self._read_answers()
        return self.told

    async def _stay(self) -> None:
        stream, until = self._stream, time.monotonic() + self._stream.seconds
        while True:
            number = next(self._numbers)
            is_over = number - stream.first >= stream.total
            if is_over if stream.total else time.monotonic() >= until:
                return
            await self._ask(number)

    async def _come_and_go(self) -> None:
        begin, asked = time.monotonic(), []
        for arrival in self._stream.arrivals:
            await asyncio.sleep(begin + arrival - time.monotonic())
            self.told.lags_ms.append((time.monotonic() - begin - arrival) * 1000)
            asked.append(asyncio.create_task(self._ask(next(self._numbers))))
        await asyncio.gather(*asked)

    async def _ask(self, number: int) -> None:
        try:
            connection = await self._pool.take()
            start = time.monotonic()
            answering = connection.ask(self._requests[number % len(self._requests)])
            answer = await asyncio.wait_for(answering, ANSWER_TIMEOUT_S)
        except (OSError, TimeoutError) as error:
            self.told.failures.append(f"{type(error).__name__}: {error}")
            return
        self.told.starts.append(start)
        self.told.ends.append(time.monotonic())
        self.told.statuses.append(answer.status)
        self._answers.append(answer)
        self._pool.give_back(connection)

    def _read_answers(self) -> None:
        """Afterwards: reading JSON takes time that belongs to the service."""
        for answer in self._answers:
            if answer.status == 429 and not answer.headers.get("retry-after", "").isdecimal():
                self.told.without_retry += 1
            if answer.status == 200 and self._stream.photos:
                said = json.loads(answer.body)
                self.told.engine_ms.append(said["timings_ms"]["total"])
                self.told.versions.append(said["gallery"]["version"])


async def run_load(streams: Sequence[Stream], pools: dict[int, Pool]) -> dict[str, Any]:
    """Run streams at the same time; `told`, one each, and the `cpu_s` that this process spent.

    Connections stay open in `pools`, by port, for the next load.
    """
    runners = [
        Runner(stream, pools.setdefault(stream.port, Pool(stream.host, stream.port)))
        for stream in streams
    ]
    before = time.process_time()
    told = await asyncio.gather(*(runner.run() for runner in runners))
    spent = time.process_time() - before
    return {"told": [asdict(each) for each in told], "cpu_s": spent}


def make_requests(stream: Stream) -> list[bytes]:
    """The requests of a stream, to be sent in turn."""
    host = f"{stream.host}:{stream.port}"
    if not stream.photos:
        return [make_get(host, stream.path)]
    photos = [Path(photo).read_bytes() for photo in stream.photos]
    return [make_search(host, photo, stream.fields) for photo in photos]


def main() -> None:
    """Run the loads that come in until there are no more."""
    pools: dict[int, Pool] = {}
    with asyncio.Runner() as loop:
        for line in sys.stdin:
            streams = [Stream(**each) for each in json.loads(line)]
            sys.stdout.write(json.dumps(loop.run(run_load(streams, pools))) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
