"""Log lines: one a request, with its id, as text or as JSON."""

import json
import logging

import pytest
from starlette.testclient import TestClient

from service.logs import (
    JsonFormatter,
    RequestIdFilter,
    TextFormatter,
    configure_logging,
    current_request_id,
)
from tests.service.fake_engine import FakeEngine


def make_record(message: str = "GET '/'", **fields: object) -> logging.LogRecord:
    record = logging.makeLogRecord({"name": "service", "levelname": "INFO", "msg": message})
    vars(record).update(fields)
    return record


def test_a_text_line_ends_in_its_fields() -> None:
    line = TextFormatter().format(make_record(status=200, request_id="abc"))
    assert line.endswith("INFO service: GET '/' status=200 request_id=abc")


def test_a_json_line_is_one_object() -> None:
    record = make_record("two\nlines", status=200, request_id="abc")
    line = JsonFormatter().format(record)
    assert "\n" not in line
    fields = json.loads(line)
    assert (fields["message"], fields["level"]) == ("two\nlines", "info")
    assert (fields["status"], fields["request_id"]) == (200, "abc")


def test_a_json_line_holds_the_exception() -> None:
    try:
        raise ValueError("odd")
    except ValueError as error:
        record = make_record(exc_info=(ValueError, error, error.__traceback__))
    assert "ValueError: odd" in json.loads(JsonFormatter().format(record))["exception"]


def test_a_record_takes_the_id_of_the_running_request() -> None:
    token = current_request_id.set("r1")
    record = make_record()
    RequestIdFilter().filter(record)
    current_request_id.reset(token)
    assert record.request_id == "r1"  # type: ignore[attr-defined]


def test_each_request_logs_one_line(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "service.access"):
        client.get("/nowhere%0Aforged")
    (record,) = [record for record in caplog.records if record.name == "service.access"]
    assert record.getMessage() == r"GET '/nowhere\nforged'"
    assert record.status == 404  # type: ignore[attr-defined]


def test_the_engines_own_lines_carry_the_request_id(
    client: TestClient, engine: FakeEngine, red_photo: bytes
) -> None:
    seen: list[str] = []
    engine.before_search = lambda: seen.append(current_request_id.get())
    headers = {"x-request-id": "shop-7"}
    client.post("/search", files={"image": red_photo}, headers=headers)
    assert seen == ["shop-7"]


def find_access_line(caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    (record,) = [record for record in caplog.records if record.name == "service.access"]
    return record


def test_the_line_of_a_search_holds_its_stages_and_who_asked(
    client: TestClient, caplog: pytest.LogCaptureFixture, red_photo: bytes
) -> None:
    with caplog.at_level(logging.INFO, "service.access"):
        client.post("/search?token=hunter2", files={"image": ("me.png", red_photo)})
    line = vars(find_access_line(caplog))
    assert line["recall_ms"] == 3.0
    assert line["total_ms"] >= 3.0
    assert {"decode_ms", "encode_ms"} <= set(line)
    assert line["client"] == "testclient"
    assert "error_code" not in line
    assert not [value for value in line.values() if "hunter2" in str(value)]
    assert not [value for value in line.values() if "me.png" in str(value)]


def test_the_line_of_a_refusal_holds_its_code(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "service.access"):
        client.post("/search", files={"image": b"text"})
    assert find_access_line(caplog).error_code == "image_unreadable"  # type: ignore[attr-defined]


def test_configured_logging_names_no_agent_no_header_and_no_byte_of_a_photo(
    client: TestClient, red_photo: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    root, quiet = logging.getLogger(), ("httpx", "httpcore", "python_multipart", "uvicorn", "PIL")
    handlers, level = root.handlers[:], root.level
    try:
        configure_logging("debug", "json")
        headers = {"user-agent": "secret-agent", "cookie": "session=hunter2"}
        client.post("/search", files={"image": red_photo}, headers=headers)
        lines = capsys.readouterr().err
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name in (*quiet, "faiss"):
            logging.getLogger(name).setLevel(logging.NOTSET)
    assert '"message": "POST \'/search\'"' in lines
    for secret in ("secret-agent", "hunter2", "IHDR"):
        assert secret not in lines
