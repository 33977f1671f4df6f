"""API keys: who may read, who may write, and that no key is ever shown."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, Security
from pydantic import SecretStr
from starlette.formparsers import MultiPartParser
from starlette.testclient import TestClient
from typer.testing import CliRunner

from service.__main__ import cli
from service.app import create_app
from service.auth import GuardedRoute, KeyRing, require_write
from service.errors import Refused
from service.settings import Settings
from tests.service.fake_engine import FakeEngine

READ, WRITE, STRANGE = "read-key-0123456789", "write-key-0123456789", "other-key-0123456789"
OPEN = ["/healthz", "/readyz", "/", "/docs", "/openapi.json", "/static/app.js", "/metrics"]
GUARDED = ["/info", "/items/red.jpg", "/items/red.jpg/thumbnail", "/items/red.jpg/similar"]

MakeClient = Callable[..., TestClient]


@pytest.fixture
def make_client(settings: Settings, engine: FakeEngine) -> MakeClient:
    """Build a client of an app with other settings."""
    return lambda **changes: TestClient(create_app(settings.model_copy(update=changes), engine))


@pytest.fixture
def guarded(make_client: MakeClient) -> TestClient:
    """A client of an app with a read key and a write key."""
    return make_client(read_keys=SecretStr(READ), write_keys=SecretStr(WRITE))


def refuse(ring: KeyRing, key: str | None, scope: Any) -> tuple[int, str]:
    with pytest.raises(Refused) as refusal:
        ring.check(key, scope)
    return refusal.value.status_code, refusal.value.code


def test_without_read_keys_everybody_reads() -> None:
    KeyRing(write=[WRITE]).check(None, "read")


def test_without_write_keys_nobody_writes_and_the_sentence_names_the_setting() -> None:
    with pytest.raises(Refused, match="SELVEDGE_WRITE_KEYS") as refusal:
        KeyRing(read=[READ]).check(READ, "write")
    assert refusal.value.status_code == 403


def test_a_write_key_reads_and_writes() -> None:
    ring = KeyRing([READ], [WRITE])
    ring.check(WRITE, "read")
    ring.check(WRITE, "write")
    ring.check(READ, "read")


def test_what_a_key_may_not_do_is_refused() -> None:
    ring = KeyRing([READ], [WRITE])
    assert refuse(ring, READ, "write") == (403, "key_read_only")
    for scope in ("read", "write"):
        assert refuse(ring, None, scope) == (401, "key_missing")
        assert refuse(ring, STRANGE, scope) == (401, "key_unknown")
    assert refuse(ring, READ[:-1], "read") == (401, "key_unknown")


def test_the_ring_does_not_hold_the_keys() -> None:
    assert READ not in repr(vars(KeyRing([READ], [WRITE])))


@pytest.mark.parametrize("path", OPEN)
def test_the_page_and_the_probes_need_no_key(guarded: TestClient, path: str) -> None:
    assert guarded.get(path).status_code == 200


@pytest.mark.parametrize("path", GUARDED)
def test_reading_needs_a_key(guarded: TestClient, path: str) -> None:
    response = guarded.get(path)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="selvedge"'
    assert "`Authorization: Bearer KEY`" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {READ}"},
        {"authorization": f"bearer  {READ}"},
        {"x-api-key": READ},
        {"x-api-key": WRITE},
        {"authorization": "Basic eDp5", "x-api-key": READ},
    ],
)
def test_a_key_travels_in_either_header(guarded: TestClient, headers: dict[str, str]) -> None:
    assert guarded.get("/info", headers=headers).status_code == 200


def test_every_route_but_the_open_ones_asks_for_a_key(guarded: TestClient) -> None:
    spec = guarded.get("/openapi.json").json()
    for path, methods in spec["paths"].items():
        for operation in methods.values():
            is_open = path in OPEN
            assert bool(operation.get("security")) is not is_open, path


def test_a_search_without_a_key_is_refused_before_its_upload_is_parsed(
    guarded: TestClient, red_photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise AssertionError("the form was parsed")

    monkeypatch.setattr(MultiPartParser, "on_part_data", fail)
    assert guarded.post("/search", files={"image": red_photo}).status_code == 401


def test_metrics_may_ask_for_a_key(make_client: MakeClient) -> None:
    client = make_client(read_keys=SecretStr(READ), metrics_key=True)
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"x-api-key": READ}).status_code == 200


def test_a_guarded_thumbnail_is_not_for_shared_caches(
    guarded: TestClient, client: TestClient
) -> None:
    path = "/items/red.jpg/thumbnail"
    private = guarded.get(path, headers={"x-api-key": READ}).headers["cache-control"]
    assert (private, client.get(path).headers["cache-control"]) == (
        "private, max-age=300",
        "public, max-age=300",
    )


def test_keys_come_from_files_too(make_client: MakeClient, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{READ}\n{STRANGE}\n")
    client = make_client(read_keys_file=file)
    assert client.get("/info").status_code == 401
    assert client.get("/info", headers={"x-api-key": STRANGE}).status_code == 200


def test_no_key_is_logged_or_answered(
    guarded: TestClient, caplog: pytest.LogCaptureFixture, red_photo: bytes
) -> None:
    with caplog.at_level(logging.DEBUG):
        answers = [
            guarded.get("/info", headers={"x-api-key": READ}),
            guarded.get("/info", headers={"x-api-key": STRANGE}),
            guarded.get(f"/info?key={READ}", headers={"authorization": f"Bearer {WRITE}"}),
            guarded.post("/search", files={"image": red_photo}, headers={"x-api-key": WRITE}),
        ]
    lines = [str(vars(record)) for record in caplog.records if record.name.startswith("service")]
    shown = "".join(lines) + "".join(answer.text for answer in answers)
    assert len(lines) >= len(answers)
    assert not [key for key in (READ, WRITE, STRANGE) if key in shown]


def test_settings_never_print_their_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELVEDGE_READ_KEYS", READ)
    settings = Settings(index_dir=Path("x"))
    assert READ not in f"{settings!r} {settings} {settings.model_dump_json()}"
    assert settings.list_read_keys() == [READ]
    assert settings.without_keys().list_read_keys() == []


@pytest.mark.parametrize("weak", ["hunter2", "with a blank in the middle", "schlüssel-0123456789"])
def test_a_weak_key_is_refused_without_being_repeated(
    monkeypatch: pytest.MonkeyPatch, weak: str
) -> None:
    monkeypatch.setenv("SELVEDGE_WRITE_KEYS", weak)
    result = CliRunner().invoke(cli, ["--index", "x"])
    assert result.exit_code == 2
    assert "write_keys (SELVEDGE_WRITE_KEYS) is not usable" in result.stderr
    assert "openssl rand -hex 32" in result.stderr
    assert weak not in result.output


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"\n", "holds no key"),
        (b"hunter2", "too short"),
    ],
)
def test_an_unusable_key_file_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, expected: str
) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("SELVEDGE_READ_KEYS_FILE", str(file))
    result = CliRunner().invoke(cli, ["--index", "x"])
    assert result.exit_code == 2
    assert expected in result.stderr
    assert "hunter2" not in result.output


@pytest.mark.parametrize(
    ("key", "expected"),
    [(None, "key_missing"), (STRANGE, "key_unknown"), (READ, "key_read_only"), (WRITE, "200")],
)
def test_a_route_that_writes_names_its_guard_and_needs_no_more(
    settings: Settings, key: str | None, expected: str
) -> None:
    keys = {"read_keys": SecretStr(READ), "write_keys": SecretStr(WRITE)}
    app = create_app(settings.model_copy(update=keys), FakeEngine())
    router = APIRouter(route_class=GuardedRoute, dependencies=[Security(require_write)])
    router.add_api_route("/change", lambda: {"error": {"code": "200"}}, methods=["POST"])
    app.include_router(router)
    response = TestClient(app).post("/change", headers={"x-api-key": key} if key else {})
    assert response.json()["error"]["code"] == expected


def test_writing_is_off_without_write_keys(settings: Settings) -> None:
    app = create_app(settings, FakeEngine())
    router = APIRouter(route_class=GuardedRoute, dependencies=[Security(require_write)])
    router.add_api_route("/change", lambda: {}, methods=["POST"])
    app.include_router(router)
    response = TestClient(app).post("/change", headers={"x-api-key": WRITE})
    assert (response.status_code, response.json()["error"]["code"]) == (403, "writing_off")
