"""/healthz, /readyz, /info, and what a service says while its gallery loads or has failed."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from model.errors import GalleryMismatchError
from service import app as app_module
from service.app import create_app
from service.engine import EngineLike, EngineSlot
from service.settings import Settings
from tests.service.fake_engine import FakeEngine

Opener = Callable[[Settings], EngineLike]


@contextmanager
def serving(
    settings: Settings, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[TestClient, threading.Event]]:
    """Start an app that opens its gallery by `opener`; the event tells when that is over."""
    monkeypatch.setattr(app_module, "_open_gallery", opener)
    app, settled = create_app(settings), threading.Event()
    find_slot(app).when_settled(settled.set)
    with TestClient(app) as client:
        yield client, settled


def find_slot(app: FastAPI) -> EngineSlot:
    slot: EngineSlot = app.state.slot
    return slot


def test_a_service_with_an_engine_is_healthy_and_ready(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_an_empty_gallery_is_healthy_but_not_ready(client: TestClient, engine: FakeEngine) -> None:
    engine.colours = {}
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "gallery_empty"
    assert client.get("/healthz").status_code == 200


def test_a_loading_service_is_alive_and_asks_to_come_back(
    settings: Settings, engine: FakeEngine, red_photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_load = threading.Event()

    def open_slowly(settings: Settings) -> EngineLike:
        assert may_load.wait(10)
        return engine

    with serving(settings, open_slowly, monkeypatch) as (client, settled):
        assert client.get("/healthz").status_code == 200
        waiting = [
            client.get("/readyz"),
            client.get("/info"),
            client.post("/search", files={"image": red_photo}),
        ]
        may_load.set()
        assert settled.wait(10)
        assert client.get("/readyz").json() == {"status": "ready"}
        assert client.post("/search", files={"image": red_photo}).status_code == 200
    for response in waiting:
        assert response.status_code == 503
        assert response.headers["retry-after"] == "2"
        assert "still loading" in response.json()["error"]["message"]


def test_readiness_is_proven_by_a_search_and_the_engine_closed_at_the_end(
    settings: Settings, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(settings, lambda _: engine, monkeypatch) as (_, settled):
        assert settled.wait(10)
        assert engine.calls == [{"k": 1}]
        assert not engine.is_closed
    assert engine.is_closed


def test_an_engine_handed_in_stays_open(settings: Settings, engine: FakeEngine) -> None:
    with TestClient(create_app(settings, engine)):
        pass
    assert not engine.is_closed


def test_an_empty_gallery_loads(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(settings, lambda _: FakeEngine({}), monkeypatch) as (client, settled):
        assert settled.wait(10)
        assert client.get("/info").json()["gallery"]["items"] == 0


def test_a_failed_load_logs_the_sentence_and_stays_503(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(settings: Settings) -> EngineLike:
        raise GalleryMismatchError("built with a1b2, but c3d4 is loaded")

    with serving(settings, refuse, monkeypatch) as (client, settled):
        assert settled.wait(10)
        response = client.get("/readyz")
    assert response.status_code == 503
    assert "could not be loaded" in response.json()["error"]["message"]
    assert "built with a1b2" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_bug_while_loading_is_logged_with_its_traceback(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(settings: Settings) -> EngineLike:
        raise ZeroDivisionError("oops")

    with serving(settings, fail, monkeypatch) as (client, settled):
        assert settled.wait(10)
        assert isinstance(find_slot(client.app).failure, ZeroDivisionError)  # type: ignore[arg-type]
    assert "oops" in caplog.text


def test_info_describes_gallery_network_and_limits(client: TestClient) -> None:
    answer = client.get("/info").json()
    assert answer["gallery"] == {"version": 7, "items": 5, "fingerprint": "c0ffee"}
    assert answer["trained_for_retrieval"] is True
    assert answer["metadata_columns"] == {"price": "float", "name": "string"}
    assert answer["limits"] == {
        "max_upload_mb": 1,
        "max_items_upload_mb": 100,
        "max_pixels": 64_000_000,
        "max_k": 1000,
        "max_candidates": 1000,
        "max_photos": 8,
        "max_batch": 32,
        "max_explain": 10,
        "default_k": 10,
        "query_ttl_s": 600,
        "fetches_urls": False,
    }


def test_info_leaves_no_fact_of_the_engine_out(client: TestClient, engine: FakeEngine) -> None:
    answer = client.get("/info").json()
    facts = {key: value for key, value in vars(engine.info()).items() if key != "gallery"}
    assert answer.items() >= facts.items()
