"""What surrounds every request: its id, log line and counters, its headers, HEAD, known hosts, and
the limits of an upload.

Plain ASGI, so that bodies stream through and contextvars reach the handlers.
"""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import INTERNAL_SENTENCE, Refused, answer_error
from service.logs import current_request_id
from service.metrics import Metrics

access = logging.getLogger("service.access")
logger = logging.getLogger(__name__)

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    # The page may take a photo; nothing else of the device is asked for.
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}

_RAW_HEADERS = [
    (name.lower().encode("latin-1"), value.encode("latin-1"))
    for name, value in SECURITY_HEADERS.items()
]

# Names of this machine, for health checks from inside; nobody else's page can carry them.
LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
# How long the rest of a refused upload is read, so that the client gets to see the answer.
DRAIN_S = 5.0

# Anything else in a client's id could forge log lines.
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestContext:
    """Outermost: gives the request an id, answers bugs with 500 and the id, logs one line."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        request_id = _choose_request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        token = current_request_id.set(request_id)
        status = 0
        start = time.perf_counter()
        own = (b"x-request-id", request_id.encode("ascii"))

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = message.get("headers", ())
                names = {name for name, _ in given}
                message = {**message, "headers": [*given, own, *_find_missing(names)]}
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception:
            # The text may hold paths or data: it goes to the log, the client gets the id.
            logger.exception("request failed")
            if status:
                raise
            response = answer_error(scope, 500, "internal", INTERNAL_SENTENCE)
            await response(scope, receive, send_with_headers)
        finally:
            seconds = time.perf_counter() - start
            _log_request(scope, status, seconds)
            self.metrics.observe_request(scope, status, seconds)
            current_request_id.reset(token)


class HeadAsGet:
    """Answers HEAD wherever GET is answered, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            return await self.app(scope, receive, send)

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        inner = {**scope, "method": "GET"}
        try:
            await self.app(inner, receive, send_without_body)
        finally:
            # Whatever answered: the metrics ask for it.
            scope.update({**inner, "method": "HEAD"})


class KnownHosts:
    """Refuses requests for host names that are not ours: another page's name cannot reach us."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self.app = app
        self.hosts = {host.lower() for host in (*hosts, *LOCAL_NAMES)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        name = re.sub(r":\d+$", "", Headers(scope=scope).get("host", "")).lower()
        parents = {f"*{name[dot:]}" for dot, sign in enumerate(name) if sign == "."}
        if not self.hosts & {name, *parents}:
            message = (
                f'The service does not answer under the name "{name[:100]}"; use one of the names '
                "its operator set."
            )
            response = answer_error(scope, 421, "host_unknown", message)
            return await response(scope, receive, send)
        await self.app(scope, receive, send)


class UploadLimit:
    """Refuses a body that is too large (by its Content-Length, or while it streams in) or slow."""

    def __init__(
        self,
        app: ASGIApp,
        max_bytes: int,
        timeout_s: float = 30.0,
        larger: Mapping[str, int] | None = None,
    ) -> None:
        """`larger` are limits for addresses that begin with a path."""
        self.app = app
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self.larger = larger or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers, limit = Headers(scope=scope), self._find_limit(scope.get("path", ""))
        declared = headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > limit:
            return await self._refuse(scope, receive, send, limit)
        received, is_complete = 0, False
        until = asyncio.get_running_loop().time() + self.timeout_s

        async def count() -> Message:
            nonlocal received, is_complete
            if is_complete:
                return await receive()  # Waits for the client to leave: that may take long.
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise self._slow_error() from None
            is_complete = not message.get("more_body")
            received += len(message.get("body", b""))
            if received > limit:
                if message.get("more_body"):
                    await self._drain(scope, receive, limit)
                raise self._error(limit)
            return message

        await self.app(scope, count, send)

    def _find_limit(self, path: str) -> int:
        found = [
            limit for start, limit in self.larger.items() if f"{path}/".startswith(f"{start}/")
        ]
        return max([self.max_bytes, *found])

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        error = self._error(limit)
        headers = dict(error.headers or {})
        response = answer_error(scope, error.status_code, error.code, error.detail, headers)
        await send({"type": "http.response.start", "status": 413, "headers": response.raw_headers})
        await send({"type": "http.response.body", "body": response.body, "more_body": True})
        await self._drain(scope, receive, limit)
        await send({"type": "http.response.body", "body": b""})

    async def _drain(self, scope: Scope, receive: Receive, limit: int) -> None:
        """Read and drop a little more: a client that is cut off mid-send never sees its answer."""
        if "expect" in Headers(scope=scope):
            return  # It waits for leave to send, and takes the answer as a no.
        left = limit
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body"):
                        return

    def _error(self, limit: int) -> Refused:
        megabytes = limit / (1024 * 1024)
        return Refused(
            413,
            "upload_too_large",
            f"The upload is larger than {megabytes:g} MB; send a smaller photo.",
            {"Connection": "close"},  # or the server would read the rest, however long it is
        )

    def _slow_error(self) -> Refused:
        return Refused(
            408,
            "upload_too_slow",
            f"The request did not arrive within {self.timeout_s:g} s; send a smaller photo, or use "
            "a faster connection.",
            {"Connection": "close"},
        )


def _find_missing(names: set[bytes]) -> list[tuple[bytes, bytes]]:
    """The security headers that an answer does not set by itself."""
    return [header for header in _RAW_HEADERS if header[0] not in names]


def _choose_request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _SAFE_ID.fullmatch(given) else uuid.uuid4().hex[:16]


def _log_request(scope: Scope, status: int, seconds: float) -> None:
    """One line a request: no query string, no header and no body, for those may hold secrets."""
    state = scope["state"]
    fields: dict[str, object] = {"status": status, "duration_ms": round(seconds * 1000, 1)}
    if client := scope.get("client"):
        fields["client"] = client[0]
    if "error_code" in state:
        fields["error_code"] = state["error_code"]
    timings = state.get("timings_ms", {})
    fields.update({f"{stage}_ms": round(ms, 1) for stage, ms in timings.items()})
    # %r keeps line breaks in a path from starting a line of their own.
    access.info("%s %r", scope["method"], scope["path"], extra=fields)
