"""What `python -m benchmarks serve` measures: both sides alternately, then the service alone.

Every phase returns the rows of its goals, and the figures behind them.
"""

from dataclasses import dataclass, replace
from statistics import median
from typing import Any, NamedTuple

from benchmarks.serving.arithmetic import (
    Row,
    at_least,
    at_most,
    find_allowance,
    find_rate,
    percentile,
    queue_perfectly,
    spread_evenly,
    spread_randomly,
)
from benchmarks.serving.generator import Stream
from benchmarks.serving.inprocess import InProcess
from benchmarks.serving.processes import Generator, Load, MemoryWatch, Service

# Searches before the clock counts: libraries and caches take their places.
WARM_UP = 5
LOAD = 0.7
OVERLOAD = 10
HEALTH_RATE = 25.0
MOST_GROWTH = 0.02

Figures = dict[str, Any]


class Phase(NamedTuple):
    """Goals with their verdicts, and what they were computed from."""

    rows: list[Row]
    figures: Figures


@dataclass(frozen=True)
class Bench:
    """All that takes part.

    Attributes:
        searches: the stream of searches over HTTP, to be given clients or arrivals.
        trivial: a stream to the endpoint that does nothing.
        photos: how many.
        workers: searches computed at the same time, on both sides.
        seconds: of load in each phase.
        rounds: how often the sides alternate.
    """

    service: Service
    generator: Generator
    engine: InProcess
    searches: Stream
    trivial: Stream
    photos: int
    workers: int
    seconds: float
    rounds: int

    @property
    def clients(self) -> int:
        """Enough that a search always waits, and none is refused."""
        return 2 * self.workers

    def load(self, *streams: Stream) -> Load:
        """Run a load against the service."""
        return self.generator.run(*streams, service=self.service)


def compare_alone(bench: Bench) -> Phase:
    """One search at a time: the same photos in the process and over HTTP, by turns."""
    inside, outside, said = list[float](), list[float](), list[float]()
    cpu = {"in_process": 0.0, "service": 0.0, "generator": 0.0}
    bench.engine.search_some(0, WARM_UP)
    bench.load(replace(bench.searches, clients=1, total=WARM_UP))
    for number in range(bench.rounds * bench.photos):
        for side in (0, 1) if number % 2 else (1, 0):
            if side == 0:
                spent = bench.engine.search_some(number, 1)
                inside += spent.each_ms
                cpu["in_process"] += spent.cpu_s
            else:
                load = bench.load(replace(bench.searches, clients=1, first=number, total=1))
                outside += load.told[0].list_ms()
                said += load.told[0].engine_ms
                cpu["service"] += load.service_cpu_s
                cpu["generator"] += load.generator_cpu_s
    p50, added = percentile(inside, 0.5), percentile(outside, 0.5) - percentile(inside, 0.5)
    around = [all_ms - engine_ms for all_ms, engine_ms in zip(outside, said, strict=True)]
    figures: Figures = {
        "in_process_ms": summarise(inside),
        "http_ms": summarise(outside),
        "median_of_differences_ms": median(b - a for a, b in zip(inside, outside, strict=True)),
        "around_the_engine_ms": summarise(around),
        "cpu_ms_a_search": {name: 1000 * s / len(inside) for name, s in cpu.items()},
    }
    allowed, half = find_allowance(p50), len(inside) // 2
    drift = percentile(inside[half:], 0.5) - percentile(inside[:half], 0.5)
    own = figures["cpu_ms_a_search"]["in_process"]
    note = (
        f"in process {p50:.1f} ms ({own:.1f} of CPU: the rest is other work on the machine), "
        f"{drift:+.1f} from the first half to the second"
    )
    return Phase(
        [
            at_most("HTTP adds to the in-process p50", added, allowed, "ms", note),
            at_most(
                "p50 of the time outside the engine's own clock",
                percentile(around, 0.5),
                allowed,
                "ms",
                "the same without the machine's noise: both clocks run in one search",
            ),
        ],
        figures,
    )


def compare_saturated(bench: Bench) -> Phase:
    """As many searches as go: the same number of threads in the process and behind HTTP."""
    inside, outside = list[float](), list[float]()
    cpu = {"in_process": list[float](), "service": list[float](), "generator": list[float]()}
    for number in range(bench.rounds):
        for side in (0, 1) if number % 2 else (1, 0):
            if side == 0:
                spent = bench.engine.saturate(bench.workers, bench.seconds)
                inside.append(find_rate(spent.ends))
                cpu["in_process"].append(1000 * spent.cpu_s / len(spent.ends))
            else:
                load = bench.load(
                    replace(bench.searches, clients=bench.clients, seconds=bench.seconds)
                )
                ends = load.told[0].list_ends()
                outside.append(find_rate(ends))
                cpu["service"].append(1000 * load.service_cpu_s / len(ends))
                cpu["generator"].append(1000 * load.generator_cpu_s / len(ends))
    ratio = median(b / a for a, b in zip(inside, outside, strict=True))
    figures = {
        "in_process_rate": inside,
        "http_rate": outside,
        "ratio": ratio,
        "cpu_ms_a_search": {name: median(values) for name, values in cpu.items()},
    }
    note = f"{median(outside):.2f} of {median(inside):.2f} searches/s"
    return Phase([at_least("saturated rate / in-process rate", ratio, 0.9, "", note)], figures)


def load_partly(bench: Bench, rate: float, alone_ms: float) -> Phase:
    """70 % of the saturated rate, open loop: at a constant interval, and at random (Poisson)."""
    rows, figures = [], Figures(rate=LOAD * rate)
    for name, spread in (("constant", spread_evenly), ("Poisson", spread_randomly)):
        arrivals = spread(LOAD * rate, 2 * bench.seconds)
        load = bench.load(replace(bench.searches, arrivals=arrivals))
        found = load.told[0].list_ms()
        tail = percentile(found, 0.99) / percentile(found, 0.5)
        # The server that cannot be beaten: as fast as the rate, and always equally fast.
        perfect = queue_perfectly(arrivals, bench.workers / rate, bench.workers)
        least = percentile(perfect, 0.99) / percentile(perfect, 0.5)
        figures[name] = {
            "ms": summarise(found),
            "p99/p50": tail,
            "p99/p50 with equal service times": least,
            "p99 / p50 alone": percentile(found, 0.99) / alone_ms,
            "not 200": load.told[0].count_other(200),
            "lag_ms": summarise(load.told[0].lags_ms),
        }
        note = f"{len(found)} searches; {least:.2f} if all took equally long"
        rows.append(at_most(f"p99 / p50 at 70 % load, {name} arrivals", tail, 1.5, "", note))
    return Phase(rows, figures)


def ask_health(bench: Bench) -> Phase:
    """/healthz while searches saturate the service; the endpoint that does nothing beside it."""
    arrivals = spread_evenly(HEALTH_RATE, 2 * bench.seconds)
    between = [arrival + 0.5 / HEALTH_RATE for arrival in arrivals]
    health, floor = (
        bench.service.stream(path="/healthz", arrivals=arrivals),
        replace(bench.trivial, arrivals=between),
    )
    idle = bench.load(health, floor)
    searching = replace(bench.searches, clients=bench.clients, seconds=2 * bench.seconds)
    load = bench.load(searching, health, floor)
    _, healthy, nothing = load.told
    tail, least = percentile(healthy.list_ms(), 0.99), percentile(nothing.list_ms(), 0.99)
    figures = {
        "idle_ms": summarise(idle.told[0].list_ms()),
        "idle_floor_ms": summarise(idle.told[1].list_ms()),
        "ms": summarise(healthy.list_ms()),
        "floor_ms": summarise(nothing.list_ms()),
        "lag_ms": summarise(healthy.lags_ms),
        "search_ms": summarise(load.told[0].list_ms()),
        "not 200": sum(told.count_other(200) for told in load.told),
    }
    note = f"an endpoint that does nothing: {least:.2f} ms in the same seconds"
    return Phase([at_most("/healthz p99 under saturation", tail, 5.0, "ms", note)], figures)


def overload(bench: Bench, rate: float) -> Phase:
    """Ten times what it can, open loop: who is refused, how, and what that costs in memory."""
    arrivals = spread_evenly(OVERLOAD * rate, bench.seconds)
    with MemoryWatch(bench.service.pid) as watch:
        load = bench.load(replace(bench.searches, arrivals=arrivals))
    told, samples = load.told[0], watch.megabytes
    quarter = max(1, len(samples) // 4)
    first, last = median(samples[:quarter]), median(samples[-quarter:])
    answered, refused = told.list_ms(200), told.list_ms(429)
    goodput = find_rate(told.list_ends(200)) / rate
    figures = {
        "rate": OVERLOAD * rate,
        "answers": {str(status): told.statuses.count(status) for status in set(told.statuses)},
        "failures": sorted(set(told.failures)),
        "searches answered / saturated rate": goodput,
        "answered_ms": summarise(answered),
        "refused_ms": summarise(refused) if refused else {},
        "memory_mb": {"first_quarter": first, "last_quarter": last, "most": max(samples)},
        "lag_ms": summarise(told.lags_ms),
        "cpu_ms_a_request": {
            "service": 1000 * load.service_cpu_s / len(arrivals),
            "generator": 1000 * load.generator_cpu_s / len(arrivals),
        },
    }
    note = f"{len(answered)} x 200, {len(refused)} x 429; answers at {goodput:.2f} of the full rate"
    growth = f"{first:.0f} MB in the first quarter, {last:.0f} in the last"
    return Phase(
        [
            at_most("10x overload: neither 200 nor 429", told.count_other(200, 429), 0, "", note),
            at_most("10x overload: 429 without Retry-After", told.without_retry, 0),
            at_most("10x overload: memory grows by", last / first - 1, MOST_GROWTH, "", growth),
        ],
        figures,
    )


def summarise(values: list[float]) -> dict[str, float]:
    """Count, percentiles and the largest."""
    found = {f"p{round(100 * share)}": percentile(values, share) for share in (0.5, 0.95, 0.99)}
    rounded = {name: round(value, 3) for name, value in found.items()}
    return {"n": len(values), **rounded, "max": round(max(values), 3)}
