"""What the items of a gallery look like to an attribute: derived from their tokens, in memory.

n items, L levels, M tokens a level, d token width, E width of an embedding.

Nothing of it is stored: an attribute is computed over all items when it is first asked for, and
kept as float16 while the budget lasts. What changes later is computed when it is next
asked for.
"""

import threading
import time
from collections import OrderedDict, deque
from concurrent.futures import Future
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.codec import unpack_geometry, unpack_tokens
from indexer.protocols import TokenBlock
from model.attributes.heads import AttributeHeads
from model.errors import AttributePendingError

DEFAULT_BUDGET_MB = 256
# Items read at once: a read from the disk costs milliseconds, whatever its size.
READ_CHUNK = 1024
# Items unpacked at once: some 6,000 numbers each, which a processor's cache should hold.
UNPACK_CHUNK = 64
# Past changes that are remembered: 8 MB of row ids, in so many commits.
_MOST_CHANGES = 1_000_000
_MOST_COMMITS = 10_000
# So long is waited also past a deadline: after a write only little is computed.
LEAST_WAIT_S = 0.1


class Embeddings(NamedTuple):
    """One attribute of all items: rows ascending, and the embedding of each.

    vectors: (n, E') float16, unit length, without the columns that are zero for every item.
    """

    rows: NDArray[np.int64]
    vectors: NDArray[np.float16]


class State(Protocol):
    """What the cache reads of one state of a gallery."""

    def rows(self) -> NDArray[np.int64]:
        """All rows, ascending."""

    def read_tokens(self, rows: NDArray[np.int64]) -> TokenBlock:
        """Read tokens and geometry of these rows, in their order."""


class _Entry(NamedTuple):
    heads: AttributeHeads
    version: int
    found: Embeddings

    @property
    def num_bytes(self) -> int:
        return count_bytes(*self.found.vectors.shape)


def count_bytes(items: int, width: int) -> int:
    """Bytes of one attribute's embeddings.

    >>> count_bytes(1000, 12)
    32000
    """
    return items * (8 + 2 * width)


class EmbeddingCache:
    """Shared by all states of one opened gallery. Safe to use from many threads.

    One set of embeddings is kept an attribute: that of the newest state that asked. Another
    state takes from it what is the same there, by row id and the changes noted in between.
    """

    def __init__(self, budget_mb: float = DEFAULT_BUDGET_MB) -> None:
        """Start empty.

        Args:
            budget_mb: what is kept at most; the attributes used longest ago are dropped
                first. One that alone is larger is computed anew for each search.
        """
        self.budget_bytes = budget_mb * 1_000_000
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._changes: deque[tuple[int, NDArray[np.int64]]] = deque()
        self._num_changes = 0
        self._forgotten = 0
        self._lock = threading.Lock()
        self._busy: dict[str, threading.Lock] = {}
        self._begun: dict[tuple[str, int, int], Future[Embeddings]] = {}

    @property
    def num_bytes(self) -> int:
        """Bytes kept."""
        with self._lock:
            return sum(entry.num_bytes for entry in self._entries.values())

    @property
    def names(self) -> tuple[str, ...]:
        """Attributes kept, the one used longest ago first."""
        with self._lock:
            return tuple(self._entries)

    def note_change(self, version: int, rows: NDArray[np.int64]) -> None:
        """Remember that these rows were added, changed or removed by the commit `version`."""
        with self._lock:
            self._changes.append((version, rows))
            self._num_changes += len(rows)
            while self._num_changes > _MOST_CHANGES or len(self._changes) > _MOST_COMMITS:
                self._forgotten, gone = self._changes.popleft()
                self._num_changes -= len(gone)

    def read(
        self,
        name: str,
        heads: AttributeHeads,
        version: int,
        state: State,
        until: float | None = None,
    ) -> Embeddings:
        """Embed all items of a state; waits where another thread is at the same attribute.

        Args:
            name: of the attribute.
            heads: that read it.
            version: of the state, as in `note_change`.
            state: the items.
            until: how long to wait, on the clock of `time.monotonic`; it goes on afterwards.

        Raises:
            AttributePendingError: it is not done by then.
        """
        with self._lock:
            found = self._find(name, heads, version)
        if found is not None:
            return found
        if until is None:
            return self._compute(name, heads, version, state)
        begun = self._begin(name, heads, version, state)
        try:
            return begun.result(max(until - time.monotonic(), LEAST_WAIT_S))
        except TimeoutError:
            raise AttributePendingError(
                f"attribute {name!r} is being prepared for this gallery, as it is on its first "
                "use, and was not ready before the deadline; search again in a few seconds, or "
                "without it"
            ) from None

    def _begin(
        self, name: str, heads: AttributeHeads, version: int, state: State
    ) -> "Future[Embeddings]":
        """Embed in a thread, unless one is at it."""
        key = name, version, id(heads)

        def work(future: "Future[Embeddings]") -> None:
            try:
                future.set_result(self._compute(name, heads, version, state))
            except BaseException as error:
                future.set_exception(error)
            finally:
                with self._lock:
                    del self._begun[key]

        with self._lock:
            future = self._begun.get(key)
            if future is None:
                future = self._begun[key] = Future()
                threading.Thread(target=work, args=(future,), name=name, daemon=True).start()
        return future

    def _compute(self, name: str, heads: AttributeHeads, version: int, state: State) -> Embeddings:
        with self._lock:
            busy = self._busy.setdefault(name, threading.Lock())
        with busy:
            with self._lock:
                found = self._find(name, heads, version)
                start = self._entries.get(name)
                stale = None if start is None else self._find_stale(start.version, version)
            if found is not None:
                return found
            if start is None or stale is None or start.heads is not heads:
                found = embed_rows(name, heads, state, state.rows())
            else:
                found = _bring_over(name, start, stale, state)
            with self._lock:
                self._keep(name, _Entry(heads, version, found))
        return found

    def _find(self, name: str, heads: AttributeHeads, version: int) -> Embeddings | None:
        entry = self._entries.get(name)
        if entry is None or entry.heads is not heads or entry.version != version:
            return None
        self._entries.move_to_end(name)
        return entry.found

    def _find_stale(self, one: int, other: int) -> NDArray[np.int64] | None:
        """Rows that differ between two versions; None where that is not known any more."""
        first, last = sorted((one, other))
        if first < self._forgotten:
            return None
        between = [rows for version, rows in self._changes if first < version <= last]
        return np.unique(np.concatenate([np.empty(0, np.int64), *between]))

    def _keep(self, name: str, entry: _Entry) -> None:
        known = self._entries.get(name)
        # An older state, that somebody still pages through, does not push the newest out.
        if known is None or known.version <= entry.version:
            self._entries[name] = entry
        self._entries.move_to_end(name)
        total = sum(each.num_bytes for each in self._entries.values())
        while total > self.budget_bytes:
            total -= self._entries.popitem(last=False)[1].num_bytes


def embed_rows(
    name: str, heads: AttributeHeads, state: State, rows: NDArray[np.int64]
) -> Embeddings:
    """Compute the embeddings of these rows from their stored tokens, a chunk at a time."""
    vectors = np.empty((len(rows), heads.width(name)), np.float16)
    for start in range(0, len(rows), READ_CHUNK):
        block = state.read_tokens(rows[start : start + READ_CHUNK])
        for first in range(0, len(block.tokens), UNPACK_CHUNK):
            tokens, mass, geometry = unpack_block(block, slice(first, first + UNPACK_CHUNK))
            found = heads.embed(name, tokens, mass, geometry)[:, : vectors.shape[1]]
            vectors[start + first : start + first + len(found)] = found
    return Embeddings(rows, vectors)


def unpack_block(
    block: TokenBlock, part: slice = slice(None)
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Bring stored items back to tokens (n, L, M, d), mass (n, L, M), geometry (n, L, M, 5)."""
    tokens = unpack_tokens(block.tokens[part], block.scales[part])
    return tokens, block.mass[part], unpack_geometry(block.geometry[part])


def _bring_over(name: str, start: _Entry, stale: NDArray[np.int64], state: State) -> Embeddings:
    """Take from another state what is the same in this one, and compute the rest."""
    rows, (known, vectors) = state.rows(), start.found
    if not len(known):
        return embed_rows(name, start.heads, state, rows)
    at = np.minimum(np.searchsorted(known, rows), len(known) - 1)
    same = (known[at] == rows) & ~np.isin(rows, stale)
    if same.all() and len(rows) == len(known):
        return start.found
    found = np.empty((len(rows), vectors.shape[1]), np.float16)
    found[same] = vectors[at[same]]
    found[~same] = embed_rows(name, start.heads, state, rows[~same]).vectors
    return Embeddings(rows, found)
