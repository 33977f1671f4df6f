"""The load generator against a real server around a fake engine, and the phases without a load."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from benchmarks.serve import describe_machine, measure, serve
from benchmarks.serving.disturbances import disturb
from benchmarks.serving.generator import Stream, run_load
from benchmarks.serving.inprocess import Spent
from benchmarks.serving.phases import (
    Bench,
    ask_health,
    compare_alone,
    compare_saturated,
    load_partly,
    overload,
)
from benchmarks.serving.processes import (
    Load,
    MemoryWatch,
    Told,
    read_cpu_s,
    read_resident_mb,
    start_generator,
    start_trivial,
)
from benchmarks.serving.wire import Pool, read_answer
from model.errors import DataError, ParameterError
from service.app import create_app
from service.settings import Settings
from tests.service.browser import serving
from tests.service.fake_engine import FakeEngine, draw_photo

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc of Linux")


@pytest.fixture
def engine() -> FakeEngine:
    """A gallery of five flat colours."""
    return FakeEngine()


@pytest.fixture
def searches(tmp_path: Path, engine: FakeEngine) -> Iterator[Stream]:
    """A stream of searches to a service that computes one at a time and lets none wait."""
    photo = tmp_path / "red.png"
    photo.write_bytes(draw_photo((255, 0, 0)))
    settings = Settings(index_dir=Path("unused"), max_searches=1, max_waiting=0)
    with serving(create_app(settings, engine)) as address:
        host, _, port = address.removeprefix("http://").partition(":")
        yield Stream(host, int(port), [str(photo)])


def load(*streams: Stream) -> list[Told]:
    """Run streams here, and hang up."""

    async def run() -> Any:
        pools: dict[int, Pool] = {}
        found = await run_load(streams, pools)
        for pool in pools.values():
            pool.close()
        await asyncio.sleep(0)  # Connections close in the next round of the loop.
        return found

    return [Told(**each) for each in asyncio.run(run())["told"]]


def test_clients_ask_again_when_they_are_answered(searches: Stream, engine: FakeEngine) -> None:
    [told] = load(replace(searches, clients=1, total=5))
    assert told.statuses == [200] * 5
    assert len(engine.calls) == 5
    assert told.versions == [7] * 5
    assert all(end > start for start, end in zip(told.starts, told.ends, strict=True))


def test_an_open_stream_asks_without_waiting_for_answers(
    searches: Stream, engine: FakeEngine
) -> None:
    """All but one of a crowd are refused while it is computed, and each is told when to come."""
    with engine.holding() as held:
        health = replace(searches, photos=[], arrivals=[0.0])
        crowd = replace(searches, arrivals=[0.0] * 6)

        def let_go() -> None:
            assert held.begun.wait(10)
            assert load(replace(searches, clients=1, total=1))[0].statuses == [429]
            held.may_end.set()

        thread = threading.Thread(target=let_go)
        thread.start()
        told, healthy = load(crowd, health)
        thread.join(10)
    assert sorted(told.statuses).count(429) >= 1
    assert set(told.statuses) == {200, 429}
    assert told.without_retry == 0
    assert len(told.lags_ms) == 6
    assert healthy.statuses == [200]


def test_a_broken_connection_is_a_failure(searches: Stream) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.serving.wire.Pool.take", _refuse)
        [told] = load(replace(searches, clients=1, total=1))
    assert told.failures == ["ConnectionRefusedError: nobody there"]
    assert told.count_other(200) == 1


async def _refuse(_: object) -> None:
    raise ConnectionRefusedError("nobody there")


@pytest.mark.parametrize("cut", [5, 30, -1])
def test_an_answer_is_read_once_it_is_whole(cut: int) -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nRetry-After: 3\r\n\r\nbody"
    assert read_answer(whole[:cut]) is None
    answer = read_answer(whole)
    assert answer is not None
    assert (answer.status, answer.body, answer.headers["retry-after"]) == (200, b"body", "3")


@needs_proc
def test_the_generator_and_the_trivial_endpoint_are_processes_of_their_own() -> None:
    class Here:
        pid = os.getpid()

    with start_generator() as generator, start_trivial() as trivial:
        found = generator.run(replace(trivial, clients=2, total=4), service=Here())  # type: ignore[arg-type]
    assert found.told[0].statuses == [200] * 4
    assert found.generator_cpu_s > 0


@needs_proc
def test_cpu_time_and_memory_are_those_of_the_process() -> None:
    assert read_cpu_s(os.getpid()) > 0
    with MemoryWatch(os.getpid()) as watch:
        pass
    assert watch.megabytes[0] == pytest.approx(read_resident_mb(os.getpid()), rel=0.5)


def test_a_process_that_is_gone_is_a_sentence() -> None:
    with pytest.raises(ParameterError, match="needs Linux"):
        read_cpu_s(2**30)


class Scripted:
    """Stands in for service, generator and engine: every search takes what the test says."""

    pid = os.getpid()

    def __init__(self, inside_ms: float, outside_ms: float, statuses: Callable[[int], int]) -> None:
        self.inside, self.outside, self.status = inside_ms / 1000, outside_ms / 1000, statuses

    def run(self, *streams: Stream, service: object) -> Load:
        told = []
        for stream in streams:
            starts = stream.arrivals or [
                number * self.outside for number in range(stream.total or 50)
            ]
            told.append(
                Told(
                    starts=list(starts),
                    ends=[start + self.outside for start in starts],
                    statuses=[self.status(number) for number in range(len(starts))],
                    engine_ms=[self.inside * 1000] * len(starts),
                    lags_ms=[0.0] * len(starts),
                )
            )
        return Load(told, 0.01, 0.1)

    def search_some(self, first: int, total: int) -> Any:
        return self._spend(total)

    def saturate(self, threads: int, seconds: float) -> Any:
        return self._spend(50)

    def stream(self, photos: object = (), **changes: Any) -> Stream:
        return Stream("unused", 1, **changes)

    def _spend(self, total: int) -> Any:
        ends = [number * self.inside for number in range(total)]
        return Spent([self.inside * 1000] * total, ends, 0.1)


def make_bench(inside_ms: float, outside_ms: float, status: int = 200) -> Bench:
    """A bench whose searches take these times."""
    fake: Any = Scripted(inside_ms, outside_ms, lambda number: status if number % 5 else 200)
    stream = Stream("unused", 1, ["photo.jpg"])
    return Bench(fake, fake, fake, stream, stream, photos=5, workers=2, seconds=2.0, rounds=2)


@pytest.mark.parametrize(("outside_ms", "met"), [(101.5, True), (104.0, False)])
def test_what_http_adds_is_judged_by_the_allowance(outside_ms: float, met: bool) -> None:
    rows, figures = compare_alone(make_bench(100.0, outside_ms))
    assert [row.met for row in rows] == [met, met]
    assert figures["http_ms"]["p50"] == pytest.approx(outside_ms)


@pytest.mark.parametrize(("outside_ms", "met"), [(105.0, True), (125.0, False)])
def test_the_saturated_rate_is_compared_with_that_of_the_engine(
    outside_ms: float, met: bool
) -> None:
    rows, figures = compare_saturated(make_bench(100.0, outside_ms))
    assert [row.met for row in rows] == [met]
    assert figures["ratio"] == pytest.approx(100.0 / outside_ms)


@pytest.mark.parametrize(("status", "met"), [(429, True), (503, False)])
@needs_proc
def test_overload_may_be_answered_with_200_and_429_only(status: int, met: bool) -> None:
    rows, figures = overload(make_bench(100.0, 101.0, status), rate=10.0)
    assert rows[0].met is met
    assert figures["answers"] == {"200": 40, str(status): 160}


@pytest.mark.parametrize(("outside_ms", "met"), [(4.0, True), (6.0, False)])
def test_health_is_judged_by_its_slowest_hundredth(outside_ms: float, met: bool) -> None:
    [row], _ = ask_health(make_bench(1.0, outside_ms))
    assert row.met is met


def test_the_tail_at_70_percent_is_judged_for_both_kinds_of_arrivals() -> None:
    rows, figures = load_partly(make_bench(100.0, 100.0), rate=20.0, alone_ms=100.0)
    assert [row.measured for row in rows] == ["1", "1"]
    assert figures["rate"] == pytest.approx(14.0)
    assert figures["constant"]["p99/p50 with equal service times"] == pytest.approx(1.0)
    assert figures["Poisson"]["p99/p50 with equal service times"] > 1.0


@pytest.mark.parametrize("status", [200, 500])
def test_searches_that_fail_while_something_else_happens_are_counted(status: int) -> None:
    [row], figures = disturb(make_bench(100.0, 100.0, status), "a test", lambda: {"done": 1})
    # Forty of the fifty searches of a piece have this status.
    failed = 0 if status == 200 else figures["disturbed_ms"]["n"] * 4
    assert row.measured == str(failed)
    assert row.met is (status == 200)
    assert figures["done"] == 1


def test_what_fails_beside_the_searches_fails_the_run() -> None:
    def fail() -> dict[str, Any]:
        raise DataError("the gallery was not built anew")

    with pytest.raises(DataError, match="not built anew"):
        disturb(make_bench(100.0, 100.0), "a test", fail)


def test_an_index_without_queries_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="belong together"):
        serve(index=tmp_path, labelled=None)


def test_the_service_computes_as_the_engine_beside_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(index: Path, log: Path, settings: dict[str, str]) -> Any:
        raise DataError(settings["SELVEDGE_RUNTIME"])

    opened = MagicMock()
    opened.return_value.__enter__.return_value.runtime = "half"
    monkeypatch.setattr("benchmarks.serve.InProcess", opened)
    monkeypatch.setattr("benchmarks.serve.start_service", start)
    (tmp_path / "index").mkdir()
    with pytest.raises(DataError, match="half"):
        measure(tmp_path / "index", [], 1.0, 1, "auto")
    assert opened.call_args.args[2] == "auto"


@needs_proc
def test_the_machine_is_described_in_words() -> None:
    machine = describe_machine("alone")
    assert "shared by service, load generator" in machine["cores"]
    assert machine["note"] == "alone"
