"""HTTP/1.1 as the load generator speaks it: requests made beforehand, answers read as they come.

A general client spends about a millisecond of CPU on a request: as much as is to be measured.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import NamedTuple

BOUNDARY = "selvedge-benchmark"
HEAD_END = b"\r\n\r\n"
# A server closes idle connections at about this age or later; a request must not race with that.
MAX_IDLE_S = 2.0


class Answer(NamedTuple):
    """Status, headers in lower case, body."""

    status: int
    headers: dict[str, str]
    body: bytes


def make_get(host: str, path: str) -> bytes:
    """A GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def make_json(
    host: str, method: str, path: str, content: object, headers: Mapping[str, str] | None = None
) -> bytes:
    """A request with a JSON body."""
    body = json.dumps(content).encode()
    return _join(host, method, path, "application/json", body, headers or {})


def make_search(host: str, photo: bytes, fields: Mapping[str, str]) -> bytes:
    """POST /search with one photo, as curl -F sends it."""
    parts = [_part(f'name="{name}"', value.encode()) for name, value in fields.items()]
    parts.append(_part('name="image"; filename="photo.jpg"\r\nContent-Type: image/jpeg', photo))
    body = b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])
    return _join(host, "POST", "/search", f"multipart/form-data; boundary={BOUNDARY}", body, {})


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._answer: asyncio.Future[Answer] | None = None
        self._since = self._loop.time()

    @property
    def is_usable(self) -> bool:
        """Whether another request may be sent on it."""
        is_open = self._transport is not None and not self._transport.is_closing()
        return is_open and self._loop.time() - self._since < MAX_IDLE_S

    def ask(self, request: bytes) -> "asyncio.Future[Answer]":
        """Send a request now; ConnectionError where the server hangs up instead of answering."""
        assert self._answer is None
        if self._transport is None:
            raise ConnectionResetError("the server hung up")
        self._answer = self._loop.create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the way out."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Collect an answer."""
        self._received += data
        found = read_answer(bytes(self._received))
        if found is None or self._answer is None:
            return
        self._received.clear()
        self._since = self._loop.time()
        if found.headers.get("connection") == "close":
            self.close()
        answer, self._answer = self._answer, None
        if not answer.done():
            answer.set_result(found)

    def connection_lost(self, error: Exception | None) -> None:
        """Tell who waits."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("the server hung up"))
        self._transport = None


class Pool:
    """Connections to one address; opens as many as are asked for at the same time."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._free: list[Connection] = []

    async def take(self) -> Connection:
        """A connection that is not in use, a new one where there is none."""
        while self._free:
            connection = self._free.pop()
            if connection.is_usable:
                return connection
            connection.close()
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, self._host, self._port)
        return connection

    def give_back(self, connection: Connection) -> None:
        """Keep it for the next request."""
        self._free.append(connection)

    def close(self) -> None:
        """Hang up everywhere."""
        for connection in self._free:
            connection.close()
        self._free.clear()


def read_answer(received: bytes) -> Answer | None:
    """Read a whole answer with a Content-Length; None while part of it is missing.

    >>> read_answer(b"HTTP/1.1 429 Busy\\r\\nRetry-After: 2\\r\\nContent-Length: 2\\r\\n\\r\\nno")
    Answer(status=429, headers={'retry-after': '2', 'content-length': '2'}, body=b'no')
    """
    end = received.find(HEAD_END)
    if end < 0:
        return None
    first, *lines = received[:end].decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in lines)
    headers = {name.lower(): value.strip() for name, value in pairs}
    body = received[end + len(HEAD_END) :]
    if len(body) < int(headers.get("content-length", "0")):
        return None
    return Answer(int(first.split(" ")[1]), headers, body)


def _part(disposition: str, content: bytes) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    return head.encode() + content + b"\r\n"


def _join(
    host: str, method: str, path: str, kind: str, body: bytes, headers: Mapping[str, str]
) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {host}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + HEAD_END + body
