"""The upload limit: by Content-Length before reading, by counting while a body streams in."""

import asyncio
import json
from typing import Any

import pytest
from starlette.formparsers import MultiPartParser
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.app import create_app
from service.errors import Refused
from service.middleware import UploadLimit
from service.settings import Settings
from tests.service.fake_engine import FakeEngine, Held

MEGABYTE = 1024 * 1024
PART = b'--b\r\ncontent-disposition: form-data; name="image"; filename="x"\r\n\r\n'


def send_chunks(app: ASGIApp, chunks: list[bytes]) -> tuple[int, Any]:
    """POST a form chunk by chunk, without Content-Length; return status and JSON."""
    sent: list[Message] = []
    pending = iter([*chunks, b"\r\n--b--\r\n"])

    async def receive() -> Message:
        body = next(pending, None)
        return {"type": "http.request", "body": body or b"", "more_body": body is not None}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-type", b"multipart/form-data; boundary=b")]
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/search",
        "query_string": b"",
        "headers": headers,
    }
    asyncio.run(_run(app, scope, receive, send))
    return sent[0]["status"], json.loads(b"".join(part.get("body", b"") for part in sent))


def test_a_declared_size_over_the_limit_is_413(client: TestClient, engine: FakeEngine) -> None:
    response = client.post("/search", files={"image": bytes(2 * MEGABYTE)})
    assert response.status_code == 413
    assert response.headers["connection"] == "close"
    error = response.json()["error"]
    assert error["code"] == "upload_too_large"
    assert error["message"] == "The upload is larger than 1 MB; send a smaller photo."
    assert error["request_id"] == response.headers["x-request-id"]
    assert engine.calls == []


def test_a_chunked_upload_is_counted_and_stopped_before_the_form_parser(
    client: TestClient, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = 0
    original = MultiPartParser.on_part_data

    def count(self: MultiPartParser, data: bytes, start: int, end: int) -> None:
        nonlocal seen
        seen += end - start
        original(self, data, start, end)

    monkeypatch.setattr(MultiPartParser, "on_part_data", count)
    status, answer = send_chunks(client.app, [PART, *[bytes(MEGABYTE // 16)] * 64])
    assert (status, answer["error"]["code"]) == (413, "upload_too_large")
    assert 0 < seen <= MEGABYTE
    assert engine.calls == []


def test_a_chunked_upload_under_the_limit_is_searched(client: TestClient, red_photo: bytes) -> None:
    status, answer = send_chunks(client.app, [PART, red_photo[:20], red_photo[20:]])
    assert (status, answer["hits"][0]["item_id"]) == (200, "red.jpg")


def test_an_endless_upload_is_left_alone_after_twice_the_limit() -> None:
    received = 0

    async def receive() -> Message:
        nonlocal received
        received += 10
        return {"type": "http.request", "body": bytes(10), "more_body": True}

    async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            await receive()

    async def send(message: Message) -> None:
        raise AssertionError("nothing to send")

    scope: Scope = {"type": "http", "headers": []}
    with pytest.raises(Refused, match="larger"):
        asyncio.run(_run(UploadLimit(read_all, 100), scope, receive, send))
    assert received <= 220


def test_a_client_that_waits_for_leave_to_send_is_answered_unread() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("nothing to read")

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-length", b"5000000000"), (b"expect", b"100-continue")]
    scope: Scope = {"type": "http", "headers": headers, "state": {"request_id": "r"}}
    asyncio.run(_run(UploadLimit(_never, 100), scope, receive, send))
    assert sent[0]["status"] == 413
    assert b"upload_too_large" in sent[1]["body"]


def test_a_slow_upload_is_refused_while_the_form_is_still_arriving(
    settings: Settings, engine: FakeEngine
) -> None:
    """The client sends a first part and then nothing: no clock is measured, it never ends."""
    hasty = settings.model_copy(update={"upload_timeout_s": 0.05})
    pending = iter([{"type": "http.request", "body": PART, "more_body": True}])
    sent: list[Message] = []

    async def receive() -> Message:
        message = next(pending, None)
        return message if message else await asyncio.Future()

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-type", b"multipart/form-data; boundary=b")]
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/search",
        "query_string": b"",
        "headers": headers,
    }
    asyncio.run(_run(create_app(hasty, engine), scope, receive, send))
    error = json.loads(sent[1]["body"])["error"]
    assert (sent[0]["status"], error["code"]) == (408, "upload_too_slow")
    assert (b"connection", b"close") in sent[0]["headers"]
    assert engine.calls == []


def test_the_rest_of_a_refused_upload_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.middleware.DRAIN_S", 0.01)
    sent: list[Message] = []

    async def receive() -> Message:
        message: Message = await asyncio.Future()
        return message

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-length", b"5000000000")]
    scope: Scope = {"type": "http", "headers": headers, "state": {"request_id": "r"}}
    asyncio.run(_run(UploadLimit(_never, 100), scope, receive, send))
    assert [message.get("status") for message in sent] == [413, None, None]


def test_waiting_for_an_answer_is_not_a_slow_upload(engine: FakeEngine) -> None:
    """Once the body is there, the clock of the upload has stopped."""
    left: list[Message] = []

    async def answer_late(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await asyncio.sleep(0.05)
        left.append(await receive())

    messages = iter([{"type": "http.request", "body": b"x"}, {"type": "http.disconnect"}])

    async def receive() -> Message:
        await asyncio.sleep(0)
        return next(messages)

    app = UploadLimit(answer_late, 100, timeout_s=0.02)
    asyncio.run(_run(app, {"type": "http", "headers": []}, receive, receive))  # type: ignore[arg-type]
    assert left == [{"type": "http.disconnect"}]


def test_a_client_that_leaves_takes_its_search_out_of_the_queue(
    settings: Settings, engine: FakeEngine, red_photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.searches.PATIENCE_S", 0.001)
    app = create_app(settings.model_copy(update={"max_searches": 1}), engine)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def ask(has_left: asyncio.Event) -> None:
        body = PART + red_photo + b"\r\n--b--\r\n"
        messages: list[Message] = [{"type": "http.request", "body": body}]

        async def receive() -> Message:
            if messages:
                return messages.pop()
            await has_left.wait()
            return {"type": "http.disconnect"}

        headers = [(b"content-type", b"multipart/form-data; boundary=b")]
        scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": "/search",
            "query_string": b"",
            "headers": headers,
        }
        await app(scope, receive, send)

    async def leave(held: Held) -> None:
        stays, leaves = asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(ask(stays))
        await asyncio.to_thread(held.begun.wait, 10)
        second = asyncio.create_task(ask(leaves))
        while not app.state.searches.num_waiting:
            await asyncio.sleep(0)
        leaves.set()
        await second
        assert app.state.searches.num_waiting == 0
        held.may_end.set()
        await first

    with engine.holding() as held:
        asyncio.run(leave(held))
    assert len(engine.calls) == 1
    assert [message["status"] for message in sent if "status" in message] == [499, 200]


async def _run(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


async def _never(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("the app is not reached")
