"""API keys: who may read, who may write.

A key travels as `Authorization: Bearer KEY` or as `X-API-Key: KEY`. A write key may also read.
Without read keys reading is open to everybody; without write keys nobody writes.
"""

import hashlib
import hmac
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Literal

from fastapi import Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer

from service.errors import Refused
from service.settings import PREFIX, Settings

Scope = Literal["read", "write"]

_bearer = HTTPBearer(auto_error=False, description="A read or write key of the service.")
_header = APIKeyHeader(
    name="X-API-Key", auto_error=False, description="The same key in a header of its own."
)


class KeyRing:
    """The keys of one service, as SHA-256 digests: the secrets themselves are not kept."""

    def __init__(self, read: Iterable[str] = (), write: Iterable[str] = ()) -> None:
        self._write = [_digest(key) for key in write]
        self._read = [_digest(key) for key in read]

    @property
    def is_reading_open(self) -> bool:
        """Whether everybody may read."""
        return not self._read

    @property
    def is_writing_on(self) -> bool:
        """Whether anybody may write."""
        return bool(self._write)

    @classmethod
    def from_settings(cls, settings: Settings) -> "KeyRing":
        """Take the keys of the settings and of the files they name."""
        return cls(settings.list_read_keys(), settings.list_write_keys())

    def check(self, key: str | None, scope: Scope) -> None:
        """Return if `key` may do this; raise Refused with 401 or 403 otherwise."""
        if scope == "read" and not self._read:
            return
        if scope == "write" and not self._write:
            raise Refused(
                403,
                "writing_off",
                "The gallery cannot be changed over HTTP here; its operator turns that on with "
                f"the setting {PREFIX}WRITE_KEYS.",
            )
        if not key:
            raise _unauthorised(
                "key_missing",
                f"This address needs a {scope} key; send it as `Authorization: Bearer KEY` or as "
                "`X-API-Key: KEY`.",
            )
        may_write, may_read = _holds(self._write, key), _holds(self._read, key)
        if not may_write and not may_read:
            raise _unauthorised("key_unknown", "The key is not known here; check it.")
        if scope == "write" and not may_write:
            raise Refused(
                403,
                "key_read_only",
                "The key may search, but not change the gallery; use a write key.",
            )


async def require_read(
    request: Request, bearer: object = Security(_bearer), header: object = Security(_header)
) -> None:
    """Dependency: refuse a request that may not read."""
    check_key(request, "read")


async def require_write(
    request: Request, bearer: object = Security(_bearer), header: object = Security(_header)
) -> None:
    """Dependency: refuse a request that may not write."""
    check_key(request, "write")


class GuardedRoute(APIRoute):
    """Checks the key before the body is read; a dependency alone runs after the whole upload."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's own handler."""
        answer = super().get_route_handler()
        wanted = {depends.dependency for depends in self.dependencies}

        async def answer_guarded(request: Request) -> Response:
            if require_write in wanted:
                check_key(request, "write")
            elif require_read in wanted:
                check_key(request, "read")
            return await answer(request)

        return answer_guarded


def check_key(request: Request, scope: Scope) -> None:
    """Return if the request's key may do this; raise Refused with 401 or 403 otherwise."""
    ring: KeyRing = request.app.state.keys
    ring.check(find_key(request), scope)


def find_key(request: Request) -> str | None:
    """Return the key that the request carries, if any."""
    kind, _, key = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and key.strip():
        return key.strip()
    return request.headers.get("x-api-key")


def _holds(digests: list[bytes], key: str) -> bool:
    """Compare with every digest in constant time, so that timing tells nothing."""
    digest = _digest(key)
    # Counted, not stopped at the first match.
    return sum(hmac.compare_digest(digest, known) for known in digests) > 0


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8")).digest()


def _unauthorised(code: str, message: str) -> Refused:
    return Refused(401, code, message, {"WWW-Authenticate": 'Bearer realm="selvedge"'})
