"""Forms of a search are read as FastAPI reads them, and sooner."""

import asyncio
import io
from typing import Any

import pytest
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.testclient import TestClient

from service.app import create_app
from service.forms import validate_form
from service.options import SearchForm
from service.settings import Settings
from tests.service.fake_engine import FakeEngine
from tests.service.test_http_search import post, sentence


def photo(name: str = "photo.jpg", content: bytes = b"x") -> UploadFile:
    return UploadFile(io.BytesIO(content), size=len(content), filename=name, headers=Headers({}))


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([], {}),
        ([("k", "")], {}),
        ([("k", "3"), ("k", "5")], {"k": 5}),
        ([("facet", "price"), ("facet", "")], {"facet": ["price"]}),
        ([("filter", "a = 1"), ("filter", "")], {}),
    ],
)
def test_what_is_sent_empty_is_not_sent(
    sent: list[tuple[str, str]], expected: dict[str, Any]
) -> None:
    form = validate_form(SearchForm, FormData(sent))
    assert form.model_dump(exclude_defaults=True) == expected


def test_every_photo_counts_but_an_empty_choice_of_a_browser() -> None:
    every = [photo("a.jpg"), photo("", b""), photo("b.jpg")]
    form = validate_form(SearchForm, FormData([("image", each) for each in every]))
    assert form.image == [every[0], every[2]]


@pytest.mark.parametrize("value", ["", "1"])
def test_an_unknown_field_is_refused_also_where_it_is_empty(value: str) -> None:
    with pytest.raises(RequestValidationError) as refused:
        validate_form(SearchForm, FormData([("colour", value)]))
    assert refused.value.errors()[0]["type"] == "extra_forbidden"


def test_a_deadline_that_is_no_number_is_a_sentence(client: TestClient, red_photo: bytes) -> None:
    response = client.post("/search", files={"image": red_photo}, headers={"X-Deadline-Ms": "soon"})
    assert sentence(response, 422) == 'X-Deadline-Ms is "soon"; expected a whole number.'


def test_a_form_that_breaks_off_is_no_failure_of_the_service(
    settings: Settings, engine: FakeEngine
) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    scope = {"type": "http", "method": "POST", "path": "/search", "headers": headers}
    app = create_app(settings, engine)
    asyncio.run(app({**scope, "query_string": b"", "raw_path": b"/search"}, receive, send))
    assert sent[0]["status"] == 400


def test_numbers_and_blanks_of_a_form_reach_the_engine(
    client: TestClient, engine: FakeEngine, red_photo: bytes
) -> None:
    assert len(post(client, red_photo, k="2", explain="").json()["hits"]) == 2
