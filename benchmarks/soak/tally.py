"""What happened during a soak: operations and their answers, times, broken promises."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from benchmarks.soak.journal import Violation

MOST_SENTENCES = 100
MOST_SLOW = 10


class Tally:
    """Counts from many threads."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._lock = threading.Lock()
        self._answers: dict[str, Counter[str]] = defaultdict(Counter)
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self._slowest: list[tuple[float, str, float]] = []
        self._kinds: Counter[str] = Counter()
        self._sentences: list[str] = []

    def begin(self) -> None:
        """Start the clock anew."""
        self._start = time.monotonic()

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    def count(self, operation: str, answer: str, seconds: float) -> None:
        """Count one operation; the time counts where it was answered as asked."""
        at = self.elapsed()
        with self._lock:
            self._answers[operation][answer] += 1
            if answer == "200":
                self._seconds[operation].append(seconds)
                self._slowest = sorted([*self._slowest, (seconds, operation, at)])[-MOST_SLOW:]

    def report(self, violations: Iterable[Violation]) -> None:
        """Count broken promises and keep the first sentences."""
        at = self.elapsed()
        with self._lock:
            for violation in violations:
                self._kinds[violation.kind] += 1
                if len(self._sentences) < MOST_SENTENCES:
                    self._sentences.append(f"{at:.0f} s: {violation.sentence}")

    @property
    def num_violations(self) -> int:
        """All that were reported."""
        with self._lock:
            return self._kinds.total()

    def describe(self) -> dict[str, Any]:
        """Everything, ready for JSON; milliseconds."""
        with self._lock:
            return {
                "operations": {name: dict(n) for name, n in sorted(self._answers.items())},
                "violations": dict(self._kinds),
                "sentences": list(self._sentences),
                "milliseconds": {name: _quantiles(s) for name, s in sorted(self._seconds.items())},
                "slowest": [
                    {"ms": round(1000 * s, 1), "operation": name, "at_s": round(at)}
                    for s, name, at in reversed(self._slowest)
                ],
            }


def _quantiles(seconds: list[float]) -> dict[str, float]:
    milliseconds = 1000 * np.asarray(seconds)
    named = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: round(float(np.quantile(milliseconds, q)), 1) for name, q in named.items()}
