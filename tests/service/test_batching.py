"""The queue: batches, refusals, cancelling, deadlines and shutdown, with items that are numbers."""

import gc
import logging
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service.batching import BatchPolicy, BatchQueue
from service.errors import Refused
from service.logs import current_request_id

WAIT_S = 10


class Owner:
    """Doubles numbers, remembers its batches, and can be stopped in the middle of one."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()
        self.begun = threading.Semaphore(0)
        self.may_go = threading.Event()
        self.may_go.set()

    def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self.threads.add(threading.current_thread().name)
        self.begun.release()
        assert self.may_go.wait(WAIT_S)
        if -1 in items:
            raise ValueError("-1 cannot be doubled")
        return [2 * item for item in items]


class Observer:
    """Notes what the queue reports."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.waits: list[float] = []
        self.drops: list[str] = []

    def observe_batch(self, size: int) -> None:
        self.sizes.append(size)

    def observe_wait(self, seconds: float) -> None:
        self.waits.append(seconds)

    def observe_drop(self, reason: str) -> None:
        self.drops.append(reason)


@pytest.fixture
def owner() -> Owner:
    """Something that owns the accelerator."""
    return Owner()


@contextmanager
def busy(owner: Owner, policy: BatchPolicy) -> Iterator[BatchQueue[int, int]]:
    """Yield a queue whose workers all compute; they go on at the end."""
    queue = BatchQueue(owner, policy)
    owner.may_go.clear()
    futures = []
    for _ in range(policy.workers):
        futures.append(queue.submit(0))
        assert owner.begun.acquire(timeout=WAIT_S)
    try:
        yield queue
    finally:
        owner.may_go.set()
        queue.close()
        assert [future.result() for future in futures] == [0] * policy.workers


def test_an_item_is_answered(owner: Owner) -> None:
    assert BatchQueue(owner, BatchPolicy()).submit(4).result(WAIT_S) == 8


def test_items_that_wait_together_go_together_in_their_order(owner: Owner) -> None:
    with busy(owner, BatchPolicy(max_batch=3)) as queue:
        futures = [queue.submit(item) for item in (1, 2, 3, 4)]
    assert owner.batches == [[0], [1, 2, 3], [4]]
    assert [future.result() for future in futures] == [2, 4, 6, 8]


def test_a_full_batch_does_not_wait_for_more(owner: Owner) -> None:
    queue = BatchQueue(owner, BatchPolicy(max_batch=2, wait_s=3600))
    futures = [queue.submit(item) for item in (1, 2)]
    assert [future.result(WAIT_S) for future in futures] == [2, 4]
    assert owner.batches == [[1, 2]]


def test_one_worker_owns_the_accelerator(owner: Owner) -> None:
    queue = BatchQueue(owner, BatchPolicy(max_waiting=100))
    for future in [queue.submit(item) for item in range(50)]:
        future.result(WAIT_S)
    assert owner.threads == {"search-0"}


def test_workers_compute_at_the_same_time(owner: Owner) -> None:
    with busy(owner, BatchPolicy(workers=3)) as queue:
        assert queue.num_running == 3
    assert queue.num_running == 0


@pytest.mark.parametrize("max_waiting", [0, 2])
def test_one_more_than_may_wait_is_refused(owner: Owner, max_waiting: int) -> None:
    with busy(owner, BatchPolicy(max_waiting=max_waiting)) as queue:
        for _ in range(max_waiting):
            queue.submit(1)
        with pytest.raises(Refused, match="Too many") as refusal:
            queue.submit(1)
    assert refusal.value.status_code == 429
    assert refusal.value.headers == {"Retry-After": "1"}


def test_retry_after_is_what_the_queue_takes_at_the_recent_rate(owner: Owner) -> None:
    with busy(owner, BatchPolicy(max_waiting=9)) as queue:
        queue._note_rate(2.0)
        for _ in range(9):
            queue.submit(1)
        with pytest.raises(Refused) as refusal:
            queue.submit(1)
        assert refusal.value.headers == {"Retry-After": "20"}
        queue._seconds_per_item = 1e6
        with pytest.raises(Refused) as refusal:
            queue.submit(1)
        assert refusal.value.headers == {"Retry-After": "60"}


def test_several_workers_divide_the_time(owner: Owner) -> None:
    queue = BatchQueue(owner, BatchPolicy(workers=4))
    queue._note_rate(2.0)
    assert queue._seconds_per_item == 0.5


def test_a_cancelled_item_is_not_computed_and_makes_room(owner: Owner) -> None:
    with busy(owner, BatchPolicy(max_waiting=1)) as queue:
        assert queue.submit(1).cancel()
        assert queue.num_waiting == 0
        queue.submit(2)
    assert owner.batches == [[0], [2]]


def test_an_item_past_its_deadline_is_refused_unseen(owner: Owner) -> None:
    with busy(owner, BatchPolicy()) as queue:
        late = queue.submit(1, deadline=time.monotonic())
        in_time = queue.submit(2, deadline=time.monotonic() + 3600)
    with pytest.raises(Refused, match="deadline"):
        late.result(WAIT_S)
    assert in_time.result(WAIT_S) == 4
    assert owner.batches == [[0], [2]]


def test_a_bad_item_fails_alone(owner: Owner) -> None:
    with busy(owner, BatchPolicy(max_batch=3)) as queue:
        good, bad, other = (queue.submit(item) for item in (1, -1, 3))
    assert (good.result(WAIT_S), other.result(WAIT_S)) == (2, 6)
    with pytest.raises(ValueError, match="cannot be doubled"):
        bad.result(WAIT_S)


def test_a_failure_does_not_end_the_worker(owner: Owner) -> None:
    queue = BatchQueue(owner, BatchPolicy())
    with pytest.raises(ValueError, match="cannot be doubled"):
        queue.submit(-1).result(WAIT_S)
    assert queue.submit(1).result(WAIT_S) == 2


def test_shutdown_answers_what_was_accepted_and_refuses_the_rest(owner: Owner) -> None:
    with busy(owner, BatchPolicy()) as queue:
        accepted = queue.submit(5)
        closing = threading.Thread(target=queue.close)
        closing.start()
        refusal = wait_until_refused(queue)
        owner.may_go.set()
        closing.join(WAIT_S)
    assert accepted.result(WAIT_S) == 10
    assert (refusal.status_code, refusal.code) == (503, "shutting_down")


def wait_until_refused(queue: BatchQueue[int, int]) -> Refused:
    while True:
        try:
            queue.submit(6).cancel()
        except Refused as refusal:
            return refusal


def test_a_queue_that_was_never_used_closes() -> None:
    queue = BatchQueue(Owner(), BatchPolicy())
    queue.close()
    with pytest.raises(Refused):
        queue.submit(1)


def test_batches_waits_and_drops_are_reported(owner: Owner) -> None:
    observer = Observer()
    queue = BatchQueue(owner, BatchPolicy(max_batch=2), observer)
    owner.may_go.clear()
    queue.submit(0)
    assert owner.begun.acquire(timeout=WAIT_S)
    queue.submit(1).cancel()
    queue.submit(2, deadline=0.0)
    queue.submit(3)
    owner.may_go.set()
    queue.close()
    assert observer.sizes == [1, 1]
    assert sorted(observer.drops) == ["cancelled", "deadline"]
    assert len(observer.waits) == 3


def test_lines_written_in_the_worker_carry_the_request_id(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[str] = []

    def note(items: list[int]) -> list[int]:
        seen.append(current_request_id.get())
        return items

    queue = BatchQueue(note, BatchPolicy())
    with caplog.at_level(logging.INFO):
        for request_id in ("shop-1", "shop-2"):
            token = current_request_id.set(request_id)
            queue.submit(1).result(WAIT_S)
            current_request_id.reset(token)
    assert seen == ["shop-1", "shop-2"]


@pytest.mark.parametrize("item", [1, -1])
def test_an_item_is_forgotten_once_it_is_answered(owner: Owner, item: int) -> None:
    """At once, not when the garbage is collected: a crowd of bad photos must not pile up."""
    queue: BatchQueue[Photo, int] = BatchQueue(
        lambda photos: owner([photo.number for photo in photos]), BatchPolicy()
    )
    photo = Photo(item)
    seen = weakref.ref(photo)
    gc.disable()
    try:
        future = queue.submit(photo)
        del photo
        queue.close()
        assert future.done()
        future = None
        assert seen() is None
    finally:
        gc.enable()


class Photo:
    """Something that can be weakly referred to."""

    def __init__(self, number: int) -> None:
        self.number = number
