"""Fetching by address: only listed hosts, only public addresses, only so much."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import pytest

from service.errors import Refused
from service.fetching import PhotoFetcher, is_public
from service.settings import Settings

PUBLIC = "93.184.216.34"
PHOTO = b"photo"
Handler = Callable[[httpx.Request], httpx.Response]


def send_photo() -> httpx.Response:
    """Answer like the network: with a body that has not been read yet."""
    return httpx.Response(200, stream=httpx.ByteStream(PHOTO))


def fetch(
    url: str,
    *,
    addresses: Sequence[str] = (PUBLIC,),
    handler: Handler = lambda request: send_photo(),
    hosts: str = "cdn.example, img.example",
    timeout_s: float = 10.0,
) -> tuple[bytes, list[httpx.Request]]:
    """Fetch with a made-up resolver and network; return the body and what was asked."""
    asked: list[httpx.Request] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return handler(request)

    settings = Settings(
        index_dir=Path("x"), fetch_hosts=hosts, max_upload_mb=1, fetch_timeout_s=timeout_s
    )
    fetcher = PhotoFetcher(settings, resolve, httpx.MockTransport(answer))
    return asyncio.run(fetcher.fetch(url)), asked


def refuse(url: str, **options: object) -> tuple[int, str]:
    with pytest.raises(Refused) as refusal:
        fetch(url, **options)  # type: ignore[arg-type]
    return refusal.value.status_code, refusal.value.code


def test_the_connection_goes_to_the_checked_address_under_the_hosts_name() -> None:
    body, (request,) = fetch("https://CDN.example/a%20b.jpg?w=3#top")
    assert body == PHOTO
    assert str(request.url) == f"https://{PUBLIC}/a%20b.jpg?w=3"
    assert request.headers["host"] == "cdn.example"
    assert request.extensions["sni_hostname"] == "cdn.example"


def test_an_ipv6_address_is_written_in_brackets() -> None:
    _, (request,) = fetch("https://cdn.example/", addresses=["2606:4700::1111"])
    assert request.url.host == "2606:4700::1111"


def test_nothing_is_fetched_by_default() -> None:
    with pytest.raises(Refused, match="SELVEDGE_FETCH_HOSTS") as refusal:
        fetch("https://cdn.example/a.jpg", hosts="")
    assert refusal.value.status_code == 403


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/a.jpg",
        "https://cdn.example.evil/a.jpg",
        "https://cdn.example:8443/a.jpg",
        "https://evil.example#cdn.example",
        "https://127.0.0.1/a.jpg",
        "https://[::1]/a.jpg",
    ],
)
def test_a_host_off_the_list_is_refused(url: str) -> None:
    assert refuse(url) == (403, "host_not_allowed")


@pytest.mark.parametrize(
    "url",
    [
        "http://cdn.example/a.jpg",
        "file:///etc/passwd",
        "ftp://cdn.example/a",
        "//cdn.example/a",
        "cdn.example",
        "https://",
        "https://[::1",
        "https://cdn.example:99999/",
        "https://user:secret@cdn.example/",
        "https://cdn.example/\r\nX-Evil: 1",
        "https://cdn.example/" + "a" * 3000,
        "",
    ],
)
def test_what_is_no_https_address_is_refused(url: str) -> None:
    assert refuse(url) == (422, "image_url_unusable")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "not an address",
    ],
)
def test_a_name_with_an_inner_address_is_refused(address: str) -> None:
    assert not is_public(address)
    assert refuse("https://cdn.example/a", addresses=[PUBLIC, address])[1] == "host_not_public"


def test_a_name_without_address_is_refused() -> None:
    assert refuse("https://cdn.example/a", addresses=[]) == (422, "image_url_unusable")


def test_a_redirect_on_the_list_is_followed_and_checked_again() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.headers["host"] == "cdn.example":
            return httpx.Response(302, headers={"location": "https://img.example/b"})
        return send_photo()

    body, asked = fetch("https://cdn.example/a", handler=handler)
    assert body == PHOTO
    assert [request.headers["host"] for request in asked] == ["cdn.example", "img.example"]


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("https://evil.example/", "host_not_allowed"),
        ("http://cdn.example/", "image_url_unusable"),
        ("https://169.254.169.254/latest/meta-data", "host_not_allowed"),
        ("/again", "image_url_unusable"),
    ],
)
def test_a_redirect_elsewhere_or_without_end_is_refused(target: str, code: str) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(301, headers={"location": target})

    assert refuse("https://cdn.example/a", handler=handler)[1] == code


def test_a_photo_that_is_too_large_is_not_read_to_its_end() -> None:
    read: list[int] = []

    async def stream() -> object:  # type: ignore[misc]
        for number in range(100):
            read.append(number)
            yield bytes(256 * 1024)

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=stream())  # type: ignore[arg-type]

    assert refuse("https://cdn.example/a", handler=handler) == (413, "photo_too_large")
    assert len(read) == 5


def test_a_compressed_answer_is_not_inflated() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Raw())

    class Raw(httpx.AsyncByteStream):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            yield b"\x1f\x8b bomb"

    assert fetch("https://cdn.example/a", handler=handler)[0] == b"\x1f\x8b bomb"


def test_an_answer_that_never_ends_is_given_up() -> None:
    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            yield b"x"
            await asyncio.Future()

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Endless())

    options = {"handler": handler, "timeout_s": 0.05}
    assert refuse("https://cdn.example/a", **options) == (422, "image_url_unusable")


@pytest.mark.parametrize("status", [204, 404, 500])
def test_an_answer_other_than_200_is_a_sentence(status: int) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status)

    assert refuse("https://cdn.example/a", handler=handler) == (422, "image_url_unusable")


def test_a_broken_connection_is_a_sentence_without_details() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("10.0.0.7 refused")

    with pytest.raises(Refused, match="ConnectError") as refusal:
        fetch("https://cdn.example/a", handler=handler)
    assert "10.0.0.7" not in str(refusal.value.detail)


def test_certificates_are_checked_and_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, object]] = []
    original = httpx.AsyncClient.__init__

    def remember(self: httpx.AsyncClient, **options: object) -> None:
        seen.append(options)
        original(self, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(httpx.AsyncClient, "__init__", remember)
    fetch("https://cdn.example/a")
    assert seen[0]["trust_env"] is False
    assert "verify" not in seen[0]
