"""Micro-batches on a GPU that is not there: it takes as long for many photos as for one.

The time of the fake is a count of batches, and a batch ends when the test says so: nothing sleeps.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.batching import BatchPolicy
from service.encoding import Encoding
from service.metrics import Metrics
from service.searches import GPU_BATCH, choose_batches, choose_policy
from service.settings import Settings
from tests.service.fake_engine import FakeEngine, draw_photo

WAIT_S = 10
CROWD = 64


class FakeGpu(FakeEngine):
    """Encodes numbers as their doubles; every batch takes one tick, however many are in it."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()
        self.begun = threading.Semaphore(0)
        self.ticks = threading.Semaphore(0)

    def encode_prepared(self, photos: Any) -> list[Any]:
        """Wait for the end of this batch."""
        self.batches.append(list(photos))
        self.threads.add(threading.current_thread().name)
        self.begun.release()
        assert self.ticks.acquire(timeout=WAIT_S)
        return [2 * photo for photo in photos]


@pytest.fixture
def gpu() -> FakeGpu:
    """A GPU whose batches end when the test says so."""
    return FakeGpu()


@pytest.fixture
def policy(settings: Settings) -> BatchPolicy:
    """What a service takes on a GPU when nothing is set, without the wait for company."""
    return choose_batches(settings.model_copy(update={"batch_wait_ms": 0}), "cuda:0")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """A thread for each search of a crowd."""
    with ThreadPoolExecutor(CROWD) as pool:
        yield pool


def wait_until(is_so: Callable[[], bool]) -> None:
    """Look until it is so."""
    until = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < until


def encode_crowd(
    gpu: FakeGpu, policy: BatchPolicy, pool: ThreadPoolExecutor
) -> list["Future[list[Any]]"]:
    """Encode 0, 1, 2 ..., each on its own thread, queued in this order behind a first batch."""
    encoding = Encoding(policy, Metrics())
    asked = []
    for number in range(CROWD):
        asked.append(pool.submit(encoding.encode, gpu, [number]))
        if number == 0:
            assert gpu.begun.acquire(timeout=WAIT_S)
        wait_until(lambda number=number: encoding.num_photos == number + 1)
    gpu.ticks.release(CROWD)
    return asked


def test_a_crowd_takes_a_tick_for_sixteen_photos(
    gpu: FakeGpu, policy: BatchPolicy, pool: ThreadPoolExecutor
) -> None:
    answers = [asked.result(WAIT_S) for asked in encode_crowd(gpu, policy, pool)]
    assert [len(batch) for batch in gpu.batches] == [1, GPU_BATCH, GPU_BATCH, GPU_BATCH, 15]
    assert answers == [[2 * number] for number in range(CROWD)]


def test_photos_go_through_the_network_in_the_order_they_came(
    gpu: FakeGpu, policy: BatchPolicy, pool: ThreadPoolExecutor
) -> None:
    for asked in encode_crowd(gpu, policy, pool):
        asked.result(WAIT_S)
    assert [number for batch in gpu.batches for number in batch] == list(range(CROWD))
    assert gpu.threads == {"search-0"}


def test_a_full_batch_begins_before_the_wait_for_company_ends(gpu: FakeGpu) -> None:
    encoding = Encoding(BatchPolicy(max_batch=4, wait_s=3600, max_waiting=100), Metrics())
    gpu.ticks.release(2)
    assert encoding.encode(gpu, list(range(8))) == [2 * number for number in range(8)]
    assert gpu.batches == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_photo_that_cannot_be_encoded_fails_alone(gpu: FakeGpu, policy: BatchPolicy) -> None:
    encoding = Encoding(policy, Metrics())
    gpu.ticks.release(100)
    with ThreadPoolExecutor(2) as pool:
        good = pool.submit(encoding.encode, gpu, [4])
        bad = pool.submit(encoding.encode, gpu, [None])
        assert good.result(WAIT_S) == [8]
        with pytest.raises(TypeError):
            bad.result(WAIT_S)


def test_while_a_batch_is_encoded_the_next_one_is_gathered(settings: Settings) -> None:
    searches, batches = choose_policy(settings, "cuda:0"), choose_batches(settings, "cuda:0")
    assert searches.workers > batches.max_batch
    assert batches.workers == 1


@pytest.fixture
def crowded(settings: Settings) -> Settings:
    """A service that batches by four and computes two searches at a time."""
    changes = {"max_searches": 2, "max_batch": 4, "batch_wait_ms": 0}
    return settings.model_copy(update=changes)


def test_a_deadline_that_passes_in_the_queue_of_the_network_leaves_stage_one(
    crowded: Settings, engine: FakeEngine, pool: ThreadPoolExecutor
) -> None:
    app = create_app(crowded, engine)
    with TestClient(app) as client, engine.holding("encode") as held:

        def post(**fields: str) -> Any:
            return client.post("/search", files={"image": draw_photo((255, 0, 0))}, data=fields)

        first = pool.submit(post)
        assert held.begun.wait(WAIT_S)
        late = pool.submit(post, deadline_ms="1")
        wait_until(lambda: app.state.searches.num_encoding == 2)
        passed = time.monotonic() + 0.001
        wait_until(lambda: time.monotonic() > passed)
        held.may_end.set()
        assert first.result().json()["reranked"]
        assert not late.result().json()["reranked"]


def test_a_search_that_leaves_before_its_turn_never_reaches_the_network(
    crowded: Settings, engine: FakeEngine, pool: ThreadPoolExecutor
) -> None:
    app = create_app(crowded, engine)
    with TestClient(app) as client, engine.holding("encode") as held:

        def post(deadline_ms: int) -> Any:
            # The strict deadline: a search that has not begun by then is not begun.
            return client.post(
                "/search",
                files={"image": draw_photo((255, 0, 0))},
                headers={"X-Deadline-Ms": str(deadline_ms)},
            )

        running = [pool.submit(post, 600_000) for _ in range(crowded.max_searches or 0)]
        wait_until(lambda: app.state.searches.num_encoding == 2)
        late = pool.submit(post, 1)
        wait_until(lambda: app.state.searches.num_waiting == 1)
        passed = time.monotonic() + 0.001
        wait_until(lambda: time.monotonic() > passed)
        held.may_end.set()
        assert late.result().json()["error"]["code"] == "deadline_passed"
        assert [answer.result().status_code for answer in running] == [200, 200]
    assert sum(engine.sizes) == 2
