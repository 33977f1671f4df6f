"""The states of a living gallery that may still be read: the newest, and some before it."""

import threading
import time
import weakref
from collections.abc import Callable
from typing import NamedTuple

from indexer.snapshot import Generation, Snapshot


class _Held(NamedTuple):
    snapshot: Snapshot
    published: float


class History:
    """Keeps the newest state for ever and older ones for a while, in bounded memory.

    A state is forgotten `keep_s` seconds after the next one was published, when `most` newer
    ones are there, or when two newer FAISS indexes are: states that share an index cost a
    few kilobytes, each index costs the vectors of the whole gallery.
    """

    def __init__(
        self, keep_s: float, most: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._keep_s, self._most, self._clock = keep_s, most, clock
        self._lock = threading.Lock()
        self._held: list[_Held] = []
        # States that were forgotten here, but that somebody is still reading.
        self._alive: weakref.WeakSet[Snapshot] = weakref.WeakSet()

    @property
    def newest(self) -> Snapshot:
        return self._held[-1].snapshot

    def publish(self, snapshot: Snapshot) -> None:
        """Make this the newest state; it takes the place of another of the same version."""
        with self._lock:
            version = snapshot.stamp.version
            kept = [held for held in self._held if held.snapshot.stamp.version != version]
            self._held = [*kept, _Held(snapshot, self._clock())]
            self._alive.add(snapshot)
        self.prune()

    def find(self, version: int) -> Snapshot | None:
        """Return the state of this version, None when it is not held."""
        self.prune()
        for held in reversed(self._held):
            if held.snapshot.stamp.version == version:
                return held.snapshot
        return None

    def prune(self) -> None:
        """Forget what is too old."""
        with self._lock:
            self._held = self._find_kept()

    def versions(self) -> list[int]:
        """Versions held, oldest first."""
        return [held.snapshot.stamp.version for held in self._held]

    def find_oldest(self, generation: Generation) -> int:
        """The oldest version of the dataset that anybody may still read."""
        with self._lock:
            alive = [snapshot for snapshot in self._alive if snapshot.generation is generation]
            return min(snapshot.store.version for snapshot in alive)

    def num_bytes(self) -> int:
        """Bytes of vectors and tokens held by all states together."""
        sizes: dict[int, int] = {}
        for held in self._held:
            recall, resident = held.snapshot.recall_index, held.snapshot.resident
            sizes[id(recall.base)] = max(sizes.get(id(recall.base), 0), recall.num_bytes)
            if resident is not None:
                sizes[resident.key] = max(sizes.get(resident.key, 0), resident.num_bytes)
        return sum(sizes.values())

    def _find_kept(self) -> list[_Held]:
        kept: list[_Held] = []
        indexes: list[int] = []
        superseded: float | None = None
        for held in reversed(self._held):
            index = id(held.snapshot.recall_index.base)
            if index not in indexes:
                indexes.append(index)
            old = superseded is not None and self._clock() - superseded > self._keep_s
            if old or len(kept) == self._most or len(indexes) > 2:
                break
            kept.append(held)
            superseded = held.published
        return kept[::-1]
