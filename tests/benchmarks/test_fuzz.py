"""What damaged photos did to a service, in numbers; the photos are tested in tests/service."""

from collections import Counter

import httpx
import pytest

from benchmarks.fuzz import describe
from benchmarks.memory import fit_slope, read_memory
from model.errors import ParameterError


def serve(text: str, status: int = 200) -> httpx.Client:
    transport = httpx.MockTransport(lambda request: httpx.Response(status, text=text))
    return httpx.Client(transport=transport, base_url="http://service")


def test_growth_is_that_of_the_second_half() -> None:
    memory = [(0, 100.0), (250, 160.0), (500, 162.0), (750, 162.5), (1000, 163.0)]
    story = describe(Counter({"200": 600, "422 image_unreadable": 400}), memory)
    assert story["growth_mb_per_1000_images"] == pytest.approx(2.0)
    assert story["findings"] == []
    assert story["images"] == 1000


@pytest.mark.parametrize("answer", ["500 internal", "no answer in time", "connection broken (X)"])
def test_a_failure_or_a_hang_is_a_finding(answer: str) -> None:
    story = describe(Counter({"200": 1, answer: 1}), [(0, 100.0), (2, 100.0)])
    assert story["findings"] == [answer]
    assert story["growth_mb_per_1000_images"] is None


def test_one_point_has_no_slope() -> None:
    assert fit_slope([(1, 5)]) is None


def test_memory_is_read_from_the_metrics() -> None:
    assert read_memory(serve("a 1\nprocess_resident_memory_bytes 2.5e+08\n")) == 250.0


def test_a_service_without_metrics_is_misuse() -> None:
    with pytest.raises(ParameterError, match="does not answer /metrics"):
        read_memory(serve("", 404))
