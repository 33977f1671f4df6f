"""One owner of the accelerator: photos of many searches go through the network together."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from service.batching import BatchPolicy, BatchQueue
from service.engine import EngineLike
from service.metrics import Metrics

# Photos of one request that are encoded together without a queue: bounds the memory.
MOST_TOGETHER = 8


class _Entry(NamedTuple):
    engine: EngineLike
    prepared: Any


class Encoding:
    """Encodes prepared photos in batches; without batches, on the thread that asks."""

    def __init__(self, policy: BatchPolicy, metrics: Metrics) -> None:
        self._metrics = metrics
        self._queue: BatchQueue[_Entry, Any] | None = None
        if policy.max_batch > 1:
            self._queue = BatchQueue(_encode_together, policy, SizeObserver(metrics))

    def encode(self, engine: EngineLike, prepared: Sequence[Any]) -> list[Any]:
        """Encode photos that `engine` prepared, in their order; blocks until they are there."""
        if self._queue is None:
            return self._encode_here(engine, prepared)
        futures = [self._queue.submit(_Entry(engine, photo)) for photo in prepared]
        return [future.result() for future in futures]

    def _encode_here(self, engine: EngineLike, prepared: Sequence[Any]) -> list[Any]:
        encoded: list[Any] = []
        for start in range(0, len(prepared), MOST_TOGETHER):
            part = prepared[start : start + MOST_TOGETHER]
            self._metrics.observe_batch(len(part))
            encoded += engine.encode_prepared(part)
        return encoded

    @property
    def num_photos(self) -> int:
        """Photos that wait for the network or go through it; 0 without batches."""
        return self._queue.num_waiting + self._queue.num_running if self._queue else 0

    def close(self) -> None:
        """Encode what was accepted, refuse the rest."""
        if self._queue is not None:
            self._queue.close()


class SizeObserver:
    """Counts batches; waiting and leaving are counted where searches wait."""

    def __init__(self, metrics: Metrics) -> None:
        self.observe_batch = metrics.observe_batch

    def observe_wait(self, seconds: float) -> None:
        """Do nothing."""

    def observe_drop(self, reason: str) -> None:
        """Do nothing."""


class WaitObserver:
    """Counts waits and who left; batches are counted where photos are encoded."""

    def __init__(self, metrics: Metrics) -> None:
        self.observe_wait, self.observe_drop = metrics.observe_wait, metrics.observe_drop

    def observe_batch(self, size: int) -> None:
        """Do nothing."""


def _encode_together(entries: list[_Entry]) -> list[Any]:
    """States of a gallery share their encoder, unless a rebuild brought another checkpoint."""
    groups: dict[str, list[int]] = {}
    for place, entry in enumerate(entries):
        groups.setdefault(entry.engine.fingerprint, []).append(place)
    results: dict[int, Any] = {}
    for places in groups.values():
        engine = entries[places[0]].engine
        encoded = engine.encode_prepared([entries[place].prepared for place in places])
        results.update(zip(places, encoded, strict=True))
    return [results[place] for place in range(len(entries))]
