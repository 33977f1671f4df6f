"""Files that pose as photos, hide something behind one, or promise more pixels than they should."""

import io
import struct
import zipfile
import zlib
from typing import Any

import pytest
from PIL import Image, ImageFile, WebPImagePlugin
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.service.fake_engine import FakeEngine, draw_photo

SIDE = 20_000
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"


def post(client: TestClient, photo: bytes) -> Any:
    files = {"image": ("photo.jpg", photo, "image/jpeg")}
    return client.post("/search", files=files)


def make_png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        size, check = struct.pack(">I", len(data)), struct.pack(">I", zlib.crc32(kind + data))
        return size + kind + data + check

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(SIDE * (SIDE + 1) // 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)


def make_gif() -> bytes:
    """Promise a screen of 20,000 x 20,000."""
    photo = bytearray(draw_photo((255, 0, 0), kind="GIF"))
    photo[6:10] = struct.pack("<HH", SIDE, SIDE)
    return bytes(photo)


def make_gif_frame() -> bytes:
    """Promise a small screen, and a first frame of 20,000 x 20,000 on it."""
    photo = bytearray(draw_photo((255, 0, 0), kind="GIF"))
    frame = photo.index(b",\x00\x00\x00\x00")
    photo[frame + 5 : frame + 9] = struct.pack("<HH", SIDE, SIDE)
    return bytes(photo)


def make_webp() -> bytes:
    """Promise a canvas of 16,384 x 16,384, the format's most."""
    side = struct.pack("<I", 16_383)[:3]
    extended = b"VP8X" + struct.pack("<I", 10) + bytes(4) + side + side
    frame = draw_photo((255, 0, 0), kind="WEBP")[12:]
    body = b"WEBP" + extended + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def make_tiff() -> bytes:
    def entry(tag: int, value: int) -> bytes:
        return struct.pack("<HHII", tag, 4, 1, value)

    tags = {256: SIDE, 257: SIDE, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: SIDE, 279: 1000}
    entries = b"".join(entry(tag, value) for tag, value in tags.items())
    return b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", len(tags)) + entries + bytes(1004)


def make_bmp() -> bytes:
    photo = bytearray(draw_photo((255, 0, 0), kind="BMP"))
    photo[18:26] = struct.pack("<ii", SIDE, SIDE)
    return bytes(photo)


BOMBS = {
    "png": make_png,
    "gif": make_gif,
    "gif frame": make_gif_frame,
    "webp": make_webp,
    "tiff": make_tiff,
    "bmp": make_bmp,
}


@pytest.mark.parametrize("make", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_before_any_pixel_is_decoded(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    def fail(self: Image.Image) -> None:
        raise AssertionError("pixels were decoded")

    photo = make()
    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    monkeypatch.setattr(WebPImagePlugin.WebPImageFile, "load", fail)
    response = post(client, photo)
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "image_too_large"


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_of_many_frames_one_is_decoded(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    frames = [Image.new("RGB", (32, 32), (255, shade, 0)) for shade in range(60)]
    photo = io.BytesIO()
    frames[0].save(photo, kind, save_all=True, append_images=frames[1:])
    sought: list[int] = []
    plugin = type(Image.open(photo))
    original = plugin.seek

    def seek(self: Image.Image, frame: int) -> None:
        sought.append(frame)
        original(self, frame)

    monkeypatch.setattr(plugin, "seek", seek)
    assert post(client, photo.getvalue()).json()["hits"][0]["item_id"] == "red.jpg"
    assert set(sought) == {0}


@pytest.mark.parametrize(
    "content",
    [SVG, HTML, b"\xef\xbb\xbf" + SVG, b"%PDF-1.7 ", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\x7fELF"],
)
def test_what_poses_as_a_photo_is_refused(client: TestClient, content: bytes) -> None:
    response = post(client, content)
    assert response.status_code == 422
    assert response.json()["error"]["code"] == "image_unreadable"
    assert "script" not in response.text


def make_zip() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("evil.js", "alert(1)")
    return archive.getvalue()


@pytest.mark.parametrize("hidden", [HTML, SVG, make_zip()], ids=["html", "svg", "zip"])
def test_of_a_polyglot_only_the_photo_is_seen(client: TestClient, hidden: bytes) -> None:
    """The photo is searched with; nothing of the upload is sent back."""
    response = post(client, draw_photo((255, 0, 0), kind="JPEG") + hidden)
    assert response.json()["hits"][0]["item_id"] == "red.jpg"
    assert response.headers["content-type"] == "application/json"
    assert b"alert" not in response.content


def test_a_file_name_is_never_repeated(client: TestClient, red_photo: bytes) -> None:
    name = "../../etc/<script>alert(1)</script>.svg"
    for content in (red_photo, b"text"):
        response = client.post("/search", files={"image": (name, content, "text/html")})
        assert "script" not in response.text


def test_answers_with_bytes_say_their_type_and_forbid_guessing(client: TestClient) -> None:
    headers = client.get("/items/red.jpg/thumbnail").headers
    assert headers["content-type"] == "image/jpeg"
    assert headers["x-content-type-options"] == "nosniff"


def test_a_form_of_many_parts_is_refused(settings: Settings, engine: FakeEngine) -> None:
    client = TestClient(create_app(settings, engine))
    files = [("image", (f"{n}", b"x")) for n in range(1500)]
    response = client.post("/search", files=files)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "form_unreadable"
