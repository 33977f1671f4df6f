"""What the service acknowledged, and what it must therefore still have after any kill.

A change is *open* from before it is sent until its answer is read. An open one may have happened or
not, but as a whole; an acknowledged one has happened, a refused one has not.
"""

import random
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Value(NamedTuple):
    """An item: hex SHA-256 of its photo, its product, and the column `mark` where there is one."""

    photo: str
    product: str
    mark: int | None = None


State = Value | None  # None: the item is not there


class Violation(NamedTuple):
    """A promise that was broken: `kind` for counting, `sentence` for people."""

    kind: str
    sentence: str


@dataclass(frozen=True)
class Change:
    """One request: what its items were, and what they become, all of them or none."""

    before: Mapping[str, State]
    after: Mapping[str, State]


class Journal:
    """Safe to use from many threads; an item belongs to one of them while it is changed."""

    def __init__(self, items: Mapping[str, Value]) -> None:
        """`items` is what the gallery holds at the start."""
        self._states: dict[str, State] = dict(items)
        self._gone_since: dict[str, float] = {}
        self._open: list[Change] = []
        self._taken: set[str] = set()
        self._touched: set[str] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Count the items that are there, as far as was acknowledged."""
        with self._lock:
            return sum(state is not None for state in self._states.values())

    def take(self, rng: random.Random, *, present: bool) -> str | None:
        """Take an item that nobody changes, one that is there or one that is gone; None: none."""
        with self._lock:
            free = [
                item_id
                for item_id, state in self._states.items()
                if (state is not None) == present and item_id not in self._taken
            ]
            chosen = rng.choice(free) if free else None
            if chosen is not None:
                self._taken.add(chosen)
            return chosen

    def give_back(self, item_ids: Iterable[str]) -> None:
        """Let others change these items, unless a change of them is still open."""
        with self._lock:
            held = {item_id for change in self._open for item_id in change.after}
            self._taken -= set(item_ids) - held

    def begin(self, after: Mapping[str, State]) -> Change:
        """Note a change before it is sent; its items are new, or taken by the caller."""
        with self._lock:
            change = Change({name: self._states.get(name) for name in after}, dict(after))
            self._open.append(change)
            self._taken |= set(after)
            self._touched |= set(after)
            for name in after:
                self._gone_since.pop(name, None)
            return change

    def acknowledge(self, change: Change) -> None:
        """Note that it happened."""
        with self._lock:
            self._open.remove(change)
            self._states.update(change.after)
            gone = [name for name, state in change.after.items() if state is None]
            self._gone_since.update(dict.fromkeys(gone, time.monotonic()))

    def refuse(self, change: Change) -> None:
        """Note that it did not happen."""
        with self._lock:
            self._open.remove(change)
            # Known from now on, so that an item that appears after all has its sentence.
            self._states.update(change.before)

    def find(self, item_id: str) -> State:
        """The last acknowledged state of an item."""
        with self._lock:
            return self._states.get(item_id)

    def items(self) -> dict[str, State]:
        """All items that were ever there, with their last acknowledged state."""
        with self._lock:
            return dict(self._states)

    def find_ghosts(self, item_ids: Iterable[str], since: float) -> list[str]:
        """Those whose removal was acknowledged before `since` (`time.monotonic()`)."""
        with self._lock:
            never = float("inf")
            return [name for name in item_ids if self._gone_since.get(name, never) < since]

    def pop_touched(self) -> set[str]:
        """The items that a change was sent for since this was last asked."""
        with self._lock:
            touched, self._touched = self._touched, set()
            return touched

    def settle(self, found: Mapping[str, Value]) -> list[Violation]:
        """Compare to what the gallery holds while nobody changes it, and go on from there."""
        with self._lock:
            settled = dict(self._states)
            violations = []
            for change in self._open:
                now = {name: found.get(name) for name in change.after}
                if now not in (dict(change.before), dict(change.after)):
                    violations.append(_describe_half(change, now))
                settled.update(now)
            for name in {**settled, **found}:
                expected, seen = settled.get(name), found.get(name)
                if expected != seen:
                    violations.append(_describe(name, expected, seen))
            self._states = {name: found.get(name) for name in {**settled, **found}}
            self._gone_since = {
                name: self._gone_since.get(name, time.monotonic())
                for name, state in self._states.items()
                if state is None
            }
            self._open.clear()
            self._taken.clear()
            return violations


def _describe_half(change: Change, now: Mapping[str, State]) -> Violation:
    done = sum(now[name] == change.after[name] for name in now)
    sentence = (
        f"a change of {len(now)} items was interrupted and is neither done nor undone: {done} are "
        f"as it wants them ({', '.join(sorted(now)[:5])})"
    )
    return Violation("half done", sentence)


def _describe(name: str, expected: State, seen: State) -> Violation:
    if seen is None:
        return Violation("lost", f"item {name} is gone, but {expected} was acknowledged")
    if expected is None:
        return Violation("came back", f"item {name} is there ({seen}), but was removed or refused")
    return Violation("changed", f"item {name} is {seen}, but {expected} was acknowledged")
