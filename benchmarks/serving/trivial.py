"""An HTTP endpoint that does nothing: what the load generator and the machine cost by themselves.

It reads a request with its body and answers 200 with as many bytes as a search's answer has.
"""

import asyncio
import sys

ANSWER_BYTES = 4000


class Trivial(asyncio.Protocol):
    """Answers every request on one connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the way out."""
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._received = transport, bytearray()

    def data_received(self, data: bytes) -> None:
        """Answer once the whole request is there."""
        self._received += data
        head, found, body = bytes(self._received).partition(b"\r\n\r\n")
        if not found or len(body) < find_length(head):
            return
        self._received.clear()
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % ANSWER_BYTES
        self._transport.write(answer + b" " * ANSWER_BYTES)


def find_length(head: bytes) -> int:
    """Bytes of the body that a request's head announces.

    >>> find_length(b"POST / HTTP/1.1\\r\\nContent-Length: 12"), find_length(b"GET / HTTP/1.1")
    (12, 0)
    """
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def serve() -> None:
    """Serve on a free port, which is written to stdout, until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Trivial, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
