"""Searches of many clients share the engine: together where they can, each with its own answer."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import uvicorn
from pydantic import SecretStr
from starlette.testclient import TestClient

from service.app import create_app
from service.searches import choose_batches, choose_policy
from service.settings import Settings
from tests.service.fake_engine import FakeEngine, draw_photo

RED, BRICK, GREEN = (255, 0, 0), (204, 51, 0), (0, 255, 0)
Job = tuple[bytes, dict[str, Any]]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads for clients."""
    with ThreadPoolExecutor(8) as pool:
        yield pool


def search_together(
    settings: Settings, engine: FakeEngine, pool: ThreadPoolExecutor, jobs: list[Job]
) -> list[Any]:
    """Send searches while another one is encoded, so that they wait together; their answers."""
    wait = {"max_searches": len(jobs) + 1, "max_batch": len(jobs), "batch_wait_ms": 0}
    app = create_app(settings.model_copy(update=wait), engine)
    with TestClient(app) as client, engine.holding("encode") as held:

        def post(photo: bytes, fields: dict[str, Any]) -> Any:
            return client.post("/search", files={"image": photo}, data=fields)

        first = pool.submit(post, draw_photo(RED), {})
        assert held.begun.wait(10)
        waiting: list[Future[Any]] = []
        readable = 0
        for photo, fields in jobs:
            waiting.append(pool.submit(post, photo, fields))
            readable += photo != b"text"
            while app.state.searches.num_encoding < 1 + readable:
                pass
        held.may_end.set()
        assert first.result().status_code == 200
        return [future.result() for future in waiting]


def test_photos_that_wait_go_through_the_network_together(
    settings: Settings, engine: FakeEngine, pool: ThreadPoolExecutor
) -> None:
    options = [{"k": 1}, {"k": 1, "alpha": 0.5}, {"k": 1, "facet": "price"}]
    photos = [draw_photo(colour) for colour in (RED, BRICK, GREEN)]
    answers = search_together(settings, engine, pool, list(zip(photos, options, strict=True)))
    found = [answer.json()["hits"][0]["item_id"] for answer in answers]
    assert found == ["red.jpg", "tops/brick.jpg", "green.jpg"]
    assert engine.sizes == [1, 3]


def test_an_unreadable_photo_fails_alone(
    settings: Settings, engine: FakeEngine, pool: ThreadPoolExecutor
) -> None:
    jobs: list[Job] = [(draw_photo(RED), {}), (b"text", {}), (draw_photo(GREEN), {})]
    answers = search_together(settings, engine, pool, jobs)
    assert [answer.status_code for answer in answers] == [200, 422, 200]


@pytest.mark.parametrize(
    ("device", "changes", "expected"),
    [
        ("cuda:0", {}, (16, 0.002, 20)),
        ("cpu", {"max_searches": 3}, (1, 0.0, 3)),
        ("cuda", {"max_batch": 4, "batch_wait_ms": 0.0, "max_searches": 2}, (4, 0.0, 2)),
        ("cpu", {"max_batch": 8, "batch_wait_ms": 5.0}, (8, 0.005, 12)),
    ],
)
def test_the_device_decides_what_the_settings_leave_open(
    settings: Settings, device: str, changes: dict[str, Any], expected: tuple[int, float, int]
) -> None:
    changed = settings.model_copy(update=changes)
    batches = choose_batches(changed, device)
    assert (batches.max_batch, batches.wait_s) == expected[:2]
    assert batches.workers == 1
    assert choose_policy(changed, device).workers == expected[2]


def test_on_a_cpu_no_more_searches_run_than_there_are_cores(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cores, expected in {1: 1, 2: 2, 64: 4}.items():
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        assert choose_policy(settings, "cpu").workers == expected


def test_a_full_queue_refuses_before_the_form_is_parsed(
    settings: Settings, engine: FakeEngine, pool: ThreadPoolExecutor, red_photo: bytes
) -> None:
    full = settings.model_copy(update={"max_searches": 1, "max_waiting": 0})
    with TestClient(create_app(full, engine)) as client, engine.holding() as held:
        running = pool.submit(client.post, "/search", files={"image": red_photo})
        assert held.begun.wait(10)
        refused = client.post("/search", data={"k": "a form that is not read"})
        held.may_end.set()
        assert running.result().status_code == 200
    assert refused.json()["error"]["code"] == "too_busy"
    assert refused.headers["retry-after"] == "1"


def test_a_full_queue_is_nothing_to_tell_a_stranger(
    settings: Settings, engine: FakeEngine, pool: ThreadPoolExecutor, red_photo: bytes
) -> None:
    key = "a key of sixteen characters"
    full = settings.model_copy(
        update={"max_searches": 1, "max_waiting": 0, "read_keys": SecretStr(key)}
    )
    with TestClient(create_app(full, engine)) as client, engine.holding() as held:
        photo, headers = {"image": red_photo}, {"X-API-Key": key}
        running = pool.submit(client.post, "/search", files=photo, headers=headers)
        assert held.begun.wait(10)
        stranger = client.post("/search", files=photo)
        held.may_end.set()
        assert running.result().status_code == 200
    assert stranger.status_code == 401


def test_a_server_that_stops_answers_what_it_accepted(
    settings: Settings, engine: FakeEngine, pool: ThreadPoolExecutor
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, engine.holding() as held:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/search"
        config = uvicorn.Config(create_app(settings, engine), log_config=None, access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        photo = {"image": draw_photo(RED)}
        answer = pool.submit(lambda: httpx.post(url, files=photo, timeout=20, trust_env=False))
        assert held.begun.wait(10)
        server.should_exit = True
        held.may_end.set()
        assert answer.result().status_code == 200
        thread.join(10)
    assert not thread.is_alive()


def test_a_closed_service_refuses_searches(
    settings: Settings, engine: FakeEngine, red_photo: bytes
) -> None:
    app = create_app(settings, engine)
    with TestClient(app) as client:
        client.post("/search", files={"image": red_photo})
    response = TestClient(app).post("/search", files={"image": red_photo})
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "shutting_down"
    assert response.headers["retry-after"] == "5"
