"""/metrics counts what happens, with few labels, and feeds every panel and alert."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from indexer.results import TaskStats
from model.errors import StorageError
from service.app import create_app
from service.metrics import Metrics
from service.settings import Settings
from tests.service.fake_engine import FakeEngine

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "selvedge.json").read_text())
RULES = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())["groups"][0]["rules"]
EXPRESSIONS = [
    *(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]),
    *(rule["expr"] for rule in RULES),
]
SUFFIXES = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}


def read(client: TestClient, name: str, **labels: str) -> float:
    """Return one sample of this app's registry; 0 where there is none yet."""
    registry: CollectorRegistry = client.app.state.metrics.registry  # type: ignore[attr-defined]
    return registry.get_sample_value(name, labels) or 0.0


def count(client: TestClient, route: str, method: str, status: int) -> float:
    labels = {"route": route, "method": method, "status": str(status)}
    return read(client, "selvedge_requests_total", **labels)


def test_metrics_are_prometheus_text(client: TestClient) -> None:
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    assert "# TYPE selvedge_requests_total counter" in response.text
    assert "selvedge_gallery_version 7.0" in response.text.splitlines()
    assert "selvedge_gallery_items 5.0" in response.text.splitlines()
    assert "selvedge_ready 1.0" in response.text.splitlines()


def test_a_service_without_a_gallery_counts_and_is_not_ready(settings: Settings) -> None:
    lines = TestClient(create_app(settings)).get("/metrics").text.splitlines()
    assert "selvedge_ready 0.0" in lines


def test_an_empty_gallery_is_not_ready(client: TestClient, engine: FakeEngine) -> None:
    engine.colours = {}
    assert "selvedge_ready 0.0" in client.get("/metrics").text.splitlines()


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/healthz", "/healthz", 200),
        ("HEAD", "/healthz", "/healthz", 200),
        ("GET", "/items/red.jpg", "/items/{item_id}", 200),
        ("GET", "/items/a b/c/thumbnail", "/items/{item_id}/thumbnail", 404),
        ("GET", "/search", "/search", 405),
        ("GET", "/static/app.js", "/static", 200),
        ("GET", "/static/nope.js", "/static", 404),
        ("GET", "/no/such/path", "other", 404),
        ("BREW", "/healthz", "/healthz", 405),
    ],
)
def test_a_request_is_counted_under_the_template_of_its_route(
    client: TestClient, method: str, path: str, route: str, status: int
) -> None:
    client.request(method, path)
    assert count(client, route, method if method != "BREW" else "other", status) == 1
    assert read(client, "selvedge_request_seconds_count", route=route) == 1


def test_many_unknown_paths_make_one_label(client: TestClient) -> None:
    for number in range(20):
        client.get(f"/guess-{number}")
        client.get(f"/items/guess-{number}")
    registry: CollectorRegistry = client.app.state.metrics.registry  # type: ignore[attr-defined]
    samples = [s for metric in registry.collect() for s in metric.samples]
    routes = {sample.labels["route"] for sample in samples if "route" in sample.labels}
    assert routes == {"other", "/items/{item_id}"}


def test_a_search_counts_its_stages_its_batch_and_its_wait(
    client: TestClient, red_photo: bytes
) -> None:
    client.post("/search", files={"image": red_photo})
    client.get("/items/red.jpg/similar")
    for stage in ("decode", "encode", "recall", "total"):
        assert read(client, "selvedge_search_stage_seconds_count", stage=stage) == 2
    found = read(client, "selvedge_search_stage_seconds_sum", stage="recall")
    assert found == pytest.approx(0.006)
    # An item of the gallery is not encoded again.
    assert read(client, "selvedge_batch_size_sum") == 1
    assert read(client, "selvedge_queue_wait_seconds_count") == 2


def test_a_running_search_shows(client: TestClient, engine: FakeEngine, red_photo: bytes) -> None:
    seen: list[float] = []
    engine.before_search = lambda: seen.append(read(client, "selvedge_searches_running"))
    client.post("/search", files={"image": red_photo})
    assert seen == [1.0]


def test_work_in_the_background_shows_its_failures_and_its_last_success(
    client: TestClient, engine: FakeEngine
) -> None:
    engine.background = {
        "reload": TaskStats(),
        "maintenance": TaskStats(3, datetime.fromtimestamp(1000, UTC), "disk full"),
    }
    lines = client.get("/metrics").text.splitlines()
    success = "selvedge_task_last_success_timestamp_seconds"
    assert 'selvedge_task_failures_total{task="maintenance"} 3.0' in lines
    assert 'selvedge_task_failing{task="maintenance"} 1.0' in lines
    assert 'selvedge_task_failing{task="reload"} 0.0' in lines
    assert [line for line in lines if line.startswith(success)] == [
        f'{success}{{task="maintenance"}} 1000.0'
    ]


def test_refusals_and_failures_are_counted_by_their_code(
    client: TestClient, engine: FakeEngine, red_photo: bytes
) -> None:
    def fail() -> None:
        raise StorageError("disk full")

    def crash() -> None:
        raise ZeroDivisionError

    client.post("/search", files={"image": b"text"})
    client.post("/search", files={"image": bytes(2 * 1024 * 1024)})
    for engine.before_search in (fail, crash):
        client.post("/search", files={"image": red_photo})
    expected = {
        "image_unreadable": "422",
        "upload_too_large": "413",
        "storage_failed": "503",
        "internal": "500",
    }
    for code, status in expected.items():
        assert read(client, "selvedge_errors_total", code=code, status=status) == 1


def test_two_apps_count_apart(client: TestClient, settings: Settings) -> None:
    client.get("/healthz")
    other = TestClient(create_app(settings, FakeEngine()))
    assert count(other, "/healthz", "GET", 200) == 0


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_panel_or_alert_asks_for_what_the_service_counts(expression: str) -> None:
    metrics = Metrics()
    metrics.watch_queue(FakeQueue())
    offered = {
        metric.name + suffix
        for metric in metrics.registry.collect()
        for suffix in SUFFIXES.get(metric.type, [""])
    }
    asked = set(re.findall(r"\b(?:selvedge|process)_\w+", expression))
    assert asked or expression.startswith("up{")
    assert asked <= offered


class FakeQueue:
    """An idle queue."""

    num_running = 0
    num_waiting = 0


def test_every_metric_of_ours_is_on_the_dashboard_or_in_an_alert() -> None:
    metrics = Metrics()
    names = {m.name for m in metrics.registry.collect() if m.name.startswith("selvedge_")}
    assert [name for name in names if name not in "".join(EXPRESSIONS)] == []


def test_panels_do_not_overlap() -> None:
    cells = [
        (panel["gridPos"]["x"] + dx, panel["gridPos"]["y"] + dy)
        for panel in DASHBOARD["panels"]
        for dx in range(panel["gridPos"]["w"])
        for dy in range(panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
