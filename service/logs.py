"""Log lines with request ids: readable text, or one JSON object a line."""

import json
import logging
import logging.config
import warnings
from contextvars import ContextVar
from typing import Literal

# Copied into worker threads by anyio, so that the engine's own lines carry the id too.
current_request_id: ContextVar[str] = ContextVar("current_request_id", default="")

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "request_id"}


class RequestIdFilter(logging.Filter):
    """Adds the running request's id to every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Never drops a record."""
        record.request_id = getattr(record, "request_id", "") or current_request_id.get()
        return True


class TextFormatter(logging.Formatter):
    """`12:00:01 INFO service.access GET /search 200 status=200 request_id=...`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """Append the record's extra fields to the line."""
        line = super().format(record)
        fields = "".join(f" {key}={value}" for key, value in _fields(record).items())
        return line + fields


class JsonFormatter(logging.Formatter):
    """One JSON object a line; extra fields become keys."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_logging(level: str, style: Literal["text", "json"]) -> None:
    """Send everything to stderr; uvicorn's own chatter only from warnings on."""
    # Pillow warns of every odd tag of a photo, in lines without a request id, and remembers each.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    formatter = JsonFormatter if style == "json" else TextFormatter
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"request_id": {"()": RequestIdFilter}},
            "formatters": {"line": {"()": formatter}},
            "handlers": {
                "stderr": {
                    "class": "logging.StreamHandler",
                    "formatter": "line",
                    "filters": ["request_id"],
                }
            },
            "root": {"level": level.upper(), "handlers": ["stderr"]},
            "loggers": {
                "uvicorn": {"level": "WARNING"},
                "PIL": {"level": "WARNING"},
                "faiss": {"level": "WARNING"},
                # They print addresses, which may be signed ones, and every part of a form.
                "httpx": {"level": "WARNING"},
                "httpcore": {"level": "WARNING"},
                "python_multipart": {"level": "WARNING"},
            },
        }
    )


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    fields.pop("taskName", None)
    request_id = getattr(record, "request_id", "")
    return {**fields, "request_id": request_id} if request_id else fields
