"""Whatever is sent, the service answers in its own shape and never fails.

`python -m benchmarks fuzz` sends ten thousand such photos to a real service.
"""

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from pydantic import SecretStr
from schemathesis import GenerationMode
from starlette.testclient import TestClient

from benchmarks.fuzz import make_photos, send_photos
from service.app import create_app
from service.settings import Settings
from tests.service.fake_engine import FakeEngine, draw_photo

NUM_PHOTOS = 300
# Enough to meet every kind of value once; a real hunt raises it.
NUM_CASES = 15
# Percent-encoded, more of them make an address that the client refuses to send.
MOST_SIGNS = 5000
SCHEMA = schemathesis.openapi.from_dict(
    create_app(Settings(index_dir="unused")).openapi()  # type: ignore[arg-type]
)
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations()]
KEY = {"X-API-Key": "w" * 20}
SENT = ("method", "url", "headers", "params", "data", "json", "content")


@pytest.fixture(scope="module")
def client() -> TestClient:
    """A client that gets the service's own 500s, of an app that serves the whole file."""
    plain = Settings(
        index_dir=Path("unused"), max_upload_mb=1, write_keys=SecretStr(KEY["X-API-Key"])
    )
    return TestClient(create_app(plain, FakeEngine()), raise_server_exceptions=False)


def to_part(part: Any) -> Any:
    """What a client can send: the generator also makes numbers."""
    if isinstance(part, tuple):
        return part[0], to_part(part[1])
    return part if isinstance(part, bytes) else str(part).encode("utf-8", "replace")


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_any_request_is_answered_as_documented(
    client: TestClient, operation: Any, mode: GenerationMode
) -> None:
    documented = {int(status) for status in operation.definition.raw["responses"]}
    photo = draw_photo((255, 0, 0))

    @settings(
        max_examples=NUM_CASES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def answer(case: Any) -> None:
        sent = case.as_transport_kwargs(base_url="http://testserver")
        if len(str(sent.get("params"))) > MOST_SIGNS:
            return
        if isinstance(sent.get("data"), bytes):
            sent["content"] = sent.pop("data")
        parts = sent.get("files") or []
        files = [(name, to_part(part)) for name, part in parts if name != "image"]
        if sent.get("files"):
            files.append(("image", ("photo", photo)))  # or no field would ever be looked at
        headers = {**dict(sent.get("headers") or {}), **KEY}
        sent["headers"] = {name: value.encode("latin-1") for name, value in headers.items()}
        response = client.request(
            files=files or None, **{key: sent[key] for key in SENT if key in sent}
        )
        # The address itself may have become another one.
        assert response.status_code in documented | {404, 405}
        if response.status_code >= 400:
            assert set(response.json()["error"]) == {"code", "message", "request_id"}

    try:
        answer()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "there is nothing to get wrong"


def test_a_damaged_photo_is_searched_with_or_refused(client: TestClient) -> None:
    def post(photo: bytes) -> str:
        response = client.post("/search", files={"image": ("photo", photo)})
        return str(response.status_code)

    answers = send_photos(post, NUM_PHOTOS, seed=0)
    assert set(answers) <= {"200", "413", "422"}
    assert answers["422"] > NUM_PHOTOS / 4


def test_the_same_seed_makes_the_same_photos() -> None:
    first, again, other = (list(make_photos(20, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
