"""The arithmetic of `python -m benchmarks serve`: percentiles, rates, verdicts, queues."""

from itertools import pairwise

import pytest

from benchmarks.serving.arithmetic import (
    at_least,
    at_most,
    find_allowance,
    find_rate,
    percentile,
    queue_perfectly,
    spread_evenly,
    spread_randomly,
)
from benchmarks.serving.generator import Told
from model.errors import DataError


@pytest.mark.parametrize(
    ("share", "expected"), [(0.01, 1), (0.07, 7), (0.5, 50), (0.99, 99), (1.0, 100)]
)
def test_a_percentile_is_a_value_that_was_seen(share: float, expected: float) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected


def test_of_few_values_the_high_percentile_is_the_largest() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0


def test_nothing_measured_is_an_error_and_no_figure() -> None:
    with pytest.raises(DataError, match="nothing was measured"):
        percentile([], 0.5)


def test_a_rate_leaves_out_how_the_run_began() -> None:
    assert find_rate([100.0, 100.25, 100.5, 100.75, 101.0]) == 4.0


@pytest.mark.parametrize("ends", [[], [1.0], [1.0, 1.0]])
def test_too_few_answers_have_no_rate(ends: list[float]) -> None:
    with pytest.raises(DataError, match="too few"):
        find_rate(ends)


@pytest.mark.parametrize(("measured", "met"), [(4.9, True), (5.0, True), (5.1, False)])
def test_a_limit_is_met_up_to_the_limit(measured: float, met: bool) -> None:
    assert at_most("p99", measured, 5.0, "ms").met is met


@pytest.mark.parametrize(("measured", "met"), [(0.89, False), (0.9, True), (1.1, True)])
def test_a_floor_is_met_from_the_floor_up(measured: float, met: bool) -> None:
    assert at_least("rate", measured, 0.9).met is met


def test_a_goal_of_no_failures_has_no_ratio() -> None:
    assert at_most("failures", 0, 0).ratio is None
    assert at_most("failures", 0, 0).met
    assert not at_most("failures", 1, 0).met


def test_http_may_add_two_milliseconds_or_one_percent() -> None:
    assert [find_allowance(ms) for ms in (10.0, 200.0, 1000.0)] == [2.0, 2.0, 10.0]


def test_arrivals_have_the_rate_that_was_asked_for() -> None:
    even, random = spread_evenly(8.0, 100.0), spread_randomly(8.0, 100.0)
    assert len(even) == len(random) == 800
    assert {round(b - a, 9) for a, b in pairwise(even)} == {0.125}
    assert random == sorted(random) == spread_randomly(8.0, 100.0)
    assert random[-1] == pytest.approx(100.0, rel=0.1)


def test_even_arrivals_below_the_rate_never_wait() -> None:
    assert set(queue_perfectly(spread_evenly(1.0, 50), 1.5, 2)) == {1.5}


def test_random_arrivals_wait_even_where_all_searches_take_equally_long() -> None:
    latencies = queue_perfectly(spread_randomly(1.4, 2000), 1.0, 2)
    assert percentile(latencies, 0.99) / percentile(latencies, 0.5) > 1.5


def test_a_queue_works_first_come_first_served() -> None:
    assert queue_perfectly([0.0, 0.0, 0.0, 0.5, 9.0], 1.0, 2) == [1.0, 1.0, 2.0, 1.5, 1.0]


def test_answers_are_told_apart_by_status() -> None:
    told = Told(
        starts=[0.0, 1.0, 2.0], ends=[0.5, 1.001, 3.0], statuses=[200, 429, 500], failures=["gone"]
    )
    assert told.list_ms() == [500.0]
    assert told.list_ms(429) == pytest.approx([1.0])
    assert told.list_ends() == [0.5]
    assert told.count_other(200, 429) == 2
