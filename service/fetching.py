"""Photos by address, for operators who allow it: https, listed hosts and public addresses only.

The name is resolved once, every address it has is checked, and the connection goes to a checked
one: a name that changes its address between check and use reaches nothing new. No redirect is
followed off the list.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urljoin, urlsplit

import httpx

from service.errors import Refused
from service.settings import PREFIX, Settings, split_list

MAX_REDIRECTS = 3
MAX_URL_LENGTH = 2048

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def resolve_name(host: str, port: int) -> Sequence[str]:
    """Return every address of a host; empty when it has none."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(entry[4][0]) for entry in found]


class PhotoFetcher:
    """Fetches photos from the hosts of the settings; refuses everything while there are none.

    Args:
        settings: `fetch_hosts`, `fetch_timeout_s` and `max_upload_mb`.
        resolve: addresses of a name; tests hand in their own.
        transport: the same for connections.
    """

    def __init__(
        self,
        settings: Settings,
        resolve: Resolve = resolve_name,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._hosts = {host.lower() for host in split_list(settings.fetch_hosts)}
        self._timeout_s = settings.fetch_timeout_s
        self._max_bytes = settings.max_upload_bytes
        self._resolve = resolve
        self._transport = transport

    async def fetch(self, url: str) -> bytes:
        """Return the bytes at an https address.

        Raises:
            Refused: 403 fetching is off or the host is not on the list; 422 not a usable address,
                or nothing to be had there; 413 too large.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._follow(url)
        except TimeoutError:
            raise _unusable(f"did not answer within {self._timeout_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _unusable(f"could not be fetched ({type(error).__name__})") from error

    async def _follow(self, url: str) -> bytes:
        # Certificates are checked, proxies of the environment are not asked.
        async with httpx.AsyncClient(transport=self._transport, trust_env=False) as client:
            for _ in range(MAX_REDIRECTS + 1):
                answer = await self._read(client, url)
                if isinstance(answer, bytes):
                    return answer
                url = answer
        raise _unusable(f"redirects more than {MAX_REDIRECTS} times")

    async def _read(self, client: httpx.AsyncClient, url: str) -> bytes | str:
        """Return the body, or the address it redirects to."""
        host, port, path = self._check(url)
        request = client.build_request(
            "GET",
            f"https://{_bracket(await self._find_address(host, port))}:{port}{path}",
            headers={"Host": host if port == 443 else f"{host}:{port}", "Accept": "image/*"},
            # The certificate must be that of the name, although the address is a number.
            extensions={"sni_hostname": host},
        )
        response = await client.send(request, stream=True)
        try:
            if response.has_redirect_location:
                return urljoin(url, response.headers["location"])
            if response.status_code != 200:
                raise _unusable(f"answered {response.status_code}")
            return await self._read_body(response)
        finally:
            await response.aclose()

    async def _read_body(self, response: httpx.Response) -> bytes:
        body = bytearray()
        # Raw: a small compressed answer must not become a large one.
        async for part in response.aiter_raw():
            body += part
            if len(body) > self._max_bytes:
                limit = self._max_bytes / (1024 * 1024)
                raise Refused(
                    413, "photo_too_large", f"The photo at `image_url` is larger than {limit:g} MB."
                )
        return bytes(body)

    def _check(self, url: str) -> tuple[str, int, str]:
        """Return host, port and path of an address on the list."""
        if not self._hosts:
            raise Refused(
                403,
                "fetching_off",
                "Photos are not fetched by address here; send the file, or ask the operator to "
                f"set {PREFIX}FETCH_HOSTS.",
            )
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port or 443
        except ValueError:
            raise _unusable("is not an address") from None
        if len(url) > MAX_URL_LENGTH or not url.isascii() or not url.isprintable() or not host:
            raise _unusable("is not an address")
        if parts.scheme != "https":
            raise _unusable("does not begin with https://")
        if parts.username or parts.password:
            raise _unusable("holds a user name or password; leave it out")
        if host not in self._hosts or port != 443:
            raise Refused(
                403, "host_not_allowed", f"Photos are not fetched from {host}:{port} here."
            )
        query = f"?{parts.query}" if parts.query else ""
        return host, port, (parts.path or "/") + query

    async def _find_address(self, host: str, port: int) -> str:
        """Return an address of the host; refuse when any of them is not a public one."""
        addresses = await self._resolve(host, port)
        if not addresses:
            raise _unusable("has a host name without an address")
        if not all(map(is_public, addresses)):
            raise Refused(
                403, "host_not_public", f"{host} has an address inside a private network."
            )
        return addresses[0]


def is_public(address: str) -> bool:
    """Say whether an address belongs to the public internet.

    >>> [is_public(a) for a in ("1.1.1.1", "127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1")]
    [True, False, False, False]
    """
    try:
        found = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1]
        if inner is not None:
            return found.ipv4_mapped is not None and is_public(str(inner))
        if found in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
    return found.is_global and not found.is_multicast and not found.is_reserved


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def _bracket(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _unusable(reason: str) -> Refused:
    return Refused(422, "image_url_unusable", f"`image_url` {reason}.")
