"""What the service counts, in a registry per app; GET /metrics prints it for Prometheus.

Labels take few values: route templates, not paths; error codes, not messages.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import Scope

from indexer.results import GalleryStamp, TaskStats

# Seconds: from a thumbnail out of memory to a cold search on a slow CPU.
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LEARNING_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
OTHER = "other"
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class QueueState(Protocol):
    """What is asked of the search queue."""

    @property
    def num_running(self) -> int: ...

    @property
    def num_waiting(self) -> int: ...


class Metrics:
    """The counters of one app; safe to use from many threads."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.requests = Counter(
            "selvedge_requests",
            "Requests answered.",
            ["route", "method", "status"],
            registry=registry,
        )
        self.request_seconds = Histogram(
            "selvedge_request_seconds",
            "Time from the first byte of a request to the last of its answer.",
            ["route"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.errors = Counter(
            "selvedge_errors",
            "Answers of 4xx and 5xx, by the code in their body.",
            ["code", "status"],
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "selvedge_search_stage_seconds",
            "Time of each stage of a search; `total` is the whole of it in the engine.",
            ["stage"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.wait_seconds = Histogram(
            "selvedge_queue_wait_seconds",
            "Time that searches waited before they were begun.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.batch_size = Histogram(
            "selvedge_batch_size",
            "Searches computed together.",
            buckets=BATCH_BUCKETS,
            registry=registry,
        )
        self.dropped = Counter(
            "selvedge_queue_dropped",
            "Searches that left the queue unanswered.",
            ["reason"],
            registry=registry,
        )
        for reason in ("cancelled", "deadline"):
            self.dropped.labels(reason)
        self.attribute_searches = Counter(
            "selvedge_attribute_searches",
            "Searches that asked for attributes.",
            registry=registry,
        )
        self.learning_seconds = Histogram(
            "selvedge_attribute_learning_seconds",
            "Time to learn an attribute from marked items.",
            buckets=LEARNING_BUCKETS,
            registry=registry,
        )
        self._ready = Gauge("selvedge_ready", "1 once a search would succeed.", registry=registry)
        self._version = Gauge(
            "selvedge_gallery_version", "Grows with every change.", registry=registry
        )
        self._items = Gauge("selvedge_gallery_items", "Items of the gallery.", registry=registry)
        self._tasks = _TaskCollector()
        registry.register(self._tasks)

    def watch_queue(self, queue: QueueState) -> None:
        """Read the queue's state whenever the metrics are printed."""
        running = Gauge(
            "selvedge_searches_running", "Searches being computed.", registry=self.registry
        )
        waiting = Gauge(
            "selvedge_searches_waiting", "Searches in the queue.", registry=self.registry
        )
        running.set_function(lambda: queue.num_running)
        waiting.set_function(lambda: queue.num_waiting)

    def observe_request(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one answered request; status 0 is a client that left before the answer."""
        route, method = name_route(scope), str(scope["method"])
        method = method if method in METHODS else OTHER
        self.requests.labels(route, method, status).inc()
        self.request_seconds.labels(route).observe(seconds)
        if status >= 400:
            code = scope.get("state", {}).get("error_code", OTHER)
            self.errors.labels(code, status).inc()

    def observe_stages(self, timings_ms: Mapping[str, float]) -> None:
        """Count the stages of one search."""
        for stage, milliseconds in timings_ms.items():
            self.stage_seconds.labels(stage).observe(milliseconds / 1000)

    def observe_batch(self, size: int) -> None:
        """Count one batch."""
        self.batch_size.observe(size)

    def observe_wait(self, seconds: float) -> None:
        """Count how long one search waited."""
        self.wait_seconds.observe(seconds)

    def observe_drop(self, reason: str) -> None:
        """Count a search that left the queue: `cancelled` or `deadline`."""
        self.dropped.labels(reason).inc()

    def observe_attribute_search(self) -> None:
        """Count one search by attributes."""
        self.attribute_searches.inc()

    def observe_learning(self, seconds: float) -> None:
        """Count one attribute that was learned."""
        self.learning_seconds.observe(seconds)

    def render(self, stamp: GalleryStamp | None, tasks: Mapping[str, TaskStats]) -> bytes:
        """Print everything; `stamp` is that of the gallery, None while there is none.

        `tasks` are those of the gallery in the background, by name.
        """
        self._tasks.tasks = tasks
        self._ready.set(stamp is not None and stamp.items > 0)
        self._version.set(stamp.version if stamp else 0)
        self._items.set(stamp.items if stamp else 0)
        return generate_latest(self.registry)


class _TaskCollector(Collector):
    """Prints what the gallery itself counts."""

    def __init__(self) -> None:
        self.tasks: Mapping[str, TaskStats] = {}

    def collect(self) -> Iterator[Metric]:
        failures = CounterMetricFamily(
            "selvedge_task_failures", "Failed runs of work in the background.", labels=["task"]
        )
        failing = GaugeMetricFamily(
            "selvedge_task_failing", "1 while the last run of it failed.", labels=["task"]
        )
        success = GaugeMetricFamily(
            "selvedge_task_last_success_timestamp_seconds",
            "When it last went through, also with nothing to do; absent before the first time.",
            labels=["task"],
        )
        for name, task in self.tasks.items():
            failures.add_metric([name], task.failures)
            failing.add_metric([name], task.error is not None)
            if task.last_success is not None:
                success.add_metric([name], task.last_success.timestamp())
        yield from (failures, failing, success)


def name_route(scope: Scope) -> str:
    """Return the template of the route that answered, so that paths cannot multiply labels."""
    route = scope.get("route")
    if route is not None:
        return str(getattr(route, "path_format", None) or getattr(route, "path", OTHER))
    # A mount leaves no route, but its prefix.
    mount = str(scope.get("root_path", "")).removeprefix(scope.get("app_root_path", ""))
    return mount if "app_root_path" in scope and mount else OTHER
