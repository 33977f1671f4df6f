"""What stands between the service and the internet: headers, origins, host names."""

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.service.fake_engine import FakeEngine

SHOP = "https://shop.example"
MakeClient = Callable[..., TestClient]


@pytest.fixture
def make_client(settings: Settings, engine: FakeEngine) -> MakeClient:
    """Build a client of an app with other settings."""
    return lambda **changes: TestClient(create_app(settings.model_copy(update=changes), engine))


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/healthz", "/metrics", "/nowhere", "/openapi.json"]
)
def test_every_answer_tells_browsers_what_they_must_not_do(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["permissions-policy"] == "camera=(self), geolocation=(), microphone=()"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "server" not in headers


def test_no_other_origin_may_read_answers_by_default(client: TestClient) -> None:
    assert (
        "access-control-allow-origin" not in client.get("/info", headers={"origin": SHOP}).headers
    )


def test_an_origin_of_the_list_may(make_client: MakeClient) -> None:
    client = make_client(cors_origins=f"{SHOP}, https://other.example")
    headers = client.get("/info", headers={"origin": SHOP}).headers
    assert headers["access-control-allow-origin"] == SHOP
    assert "X-Request-ID" in headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in headers
    strange = client.get("/info", headers={"origin": "https://evil.example"}).headers
    assert "access-control-allow-origin" not in strange


def test_a_preflight_lets_keys_through(make_client: MakeClient) -> None:
    headers = {
        "origin": SHOP,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,x-api-key",
    }
    response = make_client(cors_origins=SHOP).options("/search", headers=headers)
    assert response.status_code == 200
    assert "X-API-Key" in response.headers["access-control-allow-headers"]
    assert response.headers["x-request-id"]


def test_a_refusal_can_be_read_by_an_allowed_origin(make_client: MakeClient) -> None:
    client = make_client(cors_origins=SHOP)
    response = client.post("/search", content=bytes(2 * 1024 * 1024), headers={"origin": SHOP})
    assert response.status_code == 413
    assert response.headers["access-control-allow-origin"] == SHOP


@pytest.mark.parametrize(
    "host",
    [
        "find.example",
        "FIND.example:8000",
        "a.shops.example",
        "localhost:9",
        "127.0.0.1",
        "[::1]:80",
    ],
)
def test_a_known_host_is_answered(make_client: MakeClient, host: str) -> None:
    client = make_client(allowed_hosts="find.example, *.shops.example")
    assert client.get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "find.example.evil", "shops.example", "xshops.example", "", "::1"]
)
def test_an_unknown_host_is_refused(make_client: MakeClient, host: str) -> None:
    client = make_client(allowed_hosts="find.example, *.shops.example")
    response = client.get("/healthz", headers={"host": host})
    assert response.status_code == 421
    assert response.json()["error"]["code"] == "host_unknown"
    assert response.headers["x-content-type-options"] == "nosniff"


def test_every_host_is_answered_by_default(client: TestClient) -> None:
    assert client.get("/healthz", headers={"host": "any.example"}).status_code == 200
