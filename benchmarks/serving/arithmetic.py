"""Percentiles, rates, the verdict on a goal, and the queue that no server could beat."""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from model.errors import DataError

# What HTTP may add to the in-process median: the larger of both.
ADDED_MS = 2.0
ADDED_SHARE = 0.01


@dataclass(frozen=True)
class Row:
    """One goal and what was measured.

    Attributes:
        name: what is asked for.
        goal, measured: with their units.
        ratio: measured / limit; at most 1 (or for `at least`: no less) meets it. None where the
            limit is zero.
        met: the verdict.
        note: what else one has to know to read it.
    """

    name: str
    goal: str
    measured: str
    ratio: float | None
    met: bool
    note: str = ""


def at_most(name: str, measured: float, limit: float, unit: str = "", note: str = "") -> Row:
    """A goal that less is better of.

    >>> at_most("p99 / p50", 1.2, 1.5).met, at_most("p99 / p50", 1.8, 1.5).ratio
    (True, 1.2)
    """
    ratio = round(measured / limit, 3) if limit else None
    return Row(
        name, f"<= {_say(limit, unit)}", _say(measured, unit), ratio, measured <= limit, note
    )


def at_least(name: str, measured: float, limit: float, unit: str = "", note: str = "") -> Row:
    """A goal that more is better of.

    >>> at_least("rate", 0.95, 0.9).met, at_least("rate", 0.45, 0.9).ratio
    (True, 0.5)
    """
    ratio = round(measured / limit, 3) if limit else None
    return Row(
        name, f">= {_say(limit, unit)}", _say(measured, unit), ratio, measured >= limit, note
    )


def find_allowance(in_process_ms: float) -> float:
    """Milliseconds that HTTP may add to a median: 2 ms or 1 %, the larger.

    >>> find_allowance(100.0), find_allowance(500.0)
    (2.0, 5.0)
    """
    return max(ADDED_MS, ADDED_SHARE * in_process_ms)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed (nearest rank).

    Of few values the highest percentiles are the largest value: nothing is interpolated, so that a
    percentile is always a latency that somebody saw.

    >>> percentile([5, 1, 3, 2, 4], 0.5), percentile([1, 2, 3], 0.99)
    (3, 3)

    Raises:
        DataError: there is no value.
    """
    if not values:
        raise DataError("nothing was measured, so there is no percentile; run for longer")
    ordered = sorted(values)
    # Rounded first: 0.07 * 100 is a little more than 7.
    return ordered[max(1, math.ceil(round(share * len(ordered), 9))) - 1]


def find_rate(ends: Sequence[float]) -> float:
    """Completions a second between the first and the last: how a run begins and ends is left out.

    >>> find_rate([10.0, 10.5, 11.0])
    2.0

    Raises:
        DataError: fewer than two completions, or all at once.
    """
    if len(ends) < 2 or max(ends) == min(ends):
        raise DataError(f"{len(ends)} answers are too few for a rate; run for longer")
    return (len(ends) - 1) / (max(ends) - min(ends))


def spread_evenly(rate: float, seconds: float) -> list[float]:
    """Arrival times in seconds, at a constant interval.

    >>> spread_evenly(2.0, 1.5)
    [0.0, 0.5, 1.0]
    """
    return [number / rate for number in range(int(rate * seconds))]


def spread_randomly(rate: float, seconds: float, seed: int = 0) -> list[float]:
    """Arrival times of a Poisson process: as many as `spread_evenly` has, same for same seed."""
    rng, times, now = Random(seed), [], 0.0
    for _ in range(int(rate * seconds)):
        now += rng.expovariate(rate)
        times.append(now)
    return times


def queue_perfectly(arrivals: Sequence[float], service_s: float, servers: int) -> list[float]:
    """Latencies in seconds if every search took exactly `service_s`, first come first served.

    What remains of p99 / p50 then is in the arrivals: no server of this size does better.

    >>> queue_perfectly([0.0, 0.0, 0.0], 1.0, 2)
    [1.0, 1.0, 2.0]
    """
    free = [0.0] * servers
    latencies = []
    for arrival in arrivals:
        end = max(arrival, heapq.heappop(free)) + service_s
        heapq.heappush(free, end)
        latencies.append(end - arrival)
    return latencies


def _say(value: float, unit: str) -> str:
    """Print three digits or so.

    >>> _say(0.12345, "ms"), _say(1234.5, ""), _say(0, "failures")
    ('0.123 ms', '1234', '0 failures')
    """
    digits = 0 if value == int(value) or abs(value) >= 100 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f} {unit}".rstrip()
