"""Files from strangers: what is accepted, how it is converted, what is refused in words."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.errors import ImageError, ImageTooLargeError
from model.images import decode_image, decode_reduced, read_image
from model.preprocessing import Preprocessing, needed_side, prepare


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def colour_at(image: Image.Image, x: int, y: int) -> tuple[int, ...]:
    found = image.getpixel((x, y))
    assert isinstance(found, tuple)
    return found


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_stated_format_is_read(kind: str) -> None:
    image = decode_image(encode(Image.new("RGB", (40, 20), (200, 0, 0)), kind))
    assert (image.mode, image.size) == ("RGB", (40, 20))
    assert np.abs(np.array(colour_at(image, 5, 5)) - (200, 0, 0)).max() < 8


def test_exif_orientation_is_applied() -> None:
    photo = Image.new("RGB", (40, 20), "white")
    photo.paste("red", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate 90 degrees clockwise to view
    image = decode_image(encode(photo, exif=exif))
    assert image.size == (20, 40)
    assert colour_at(image, 10, 5) == (255, 0, 0)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_transparency_is_laid_on_white(mode: str) -> None:
    clear = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    image = clear.convert("LA") if mode in ("LA", "PA") else clear
    options = {}
    if mode == "P":
        image, options = Image.new("P", (20, 20), 0), {"transparency": 0}
    kind = "TIFF" if mode == "PA" else "PNG"
    assert colour_at(decode_image(encode(image, kind, **options)), 5, 5) == (255, 255, 255)


def test_cmyk_becomes_rgb() -> None:
    image = decode_image(encode(Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "JPEG"))
    red, green, blue = colour_at(image, 5, 5)
    assert red > 200
    assert max(green, blue) < 60


def test_16_bit_grey_is_scaled_and_not_clipped() -> None:
    deep = Image.fromarray(np.full((20, 20), 32768, dtype=np.uint16))
    assert colour_at(decode_image(encode(deep)), 5, 5) == (128, 128, 128)


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert colour_at(decode_image(data), 5, 5) == (255, 0, 0)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (header, b"IDAT" + zlib.compress(b"\0" * 9), b"IEND")
    chunks = (struct.pack(">I", len(p) - 4) + p + struct.pack(">I", zlib.crc32(p)) for p in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("side", [8_001, 10_000, 20_000])
def test_a_decompression_bomb_is_refused_before_decoding(side: int) -> None:
    with pytest.raises(ImageTooLargeError, match="64,000,000 are accepted"):
        decode_image(png_header(side, side))


def test_the_pixel_limit_is_a_setting() -> None:
    data = encode(Image.new("RGB", (100, 100)))
    with pytest.raises(ImageTooLargeError, match="100 x 100 = 10,000 pixels; at most 9,999"):
        decode_image(data, max_pixels=9_999)
    assert decode_image(data, max_pixels=10_000).size == (100, 100)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"hello, I am no image", "20 bytes are not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (png_header(64, 64), "damaged|truncated"),
        (encode(Image.new("RGB", (1, 1))), "1 x 1 pixels; each side needs at least 16"),
        (encode(Image.new("RGB", (400, 15))), "400 x 15 pixels"),
    ],
)
def test_bad_bytes_are_refused_in_a_sentence(data: bytes, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        decode_image(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF"])
def test_a_truncated_file_is_an_image_error(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), kind)
    with pytest.raises(ImageError):
        decode_image(data[: len(data) // 2])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_mutated_files_decode_or_are_refused_but_never_crash(kind: str) -> None:
    rng = np.random.default_rng(1)
    whole = np.frombuffer(
        encode(Image.fromarray(rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)), kind), np.uint8
    )
    refused = 0
    for _ in range(150):
        data = whole.copy()
        places = rng.integers(0, len(data), rng.integers(1, 12))
        data[places] = rng.integers(0, 256, len(places))
        try:
            assert decode_image(data.tobytes()).mode == "RGB"
        except ImageError as error:
            refused += bool(str(error))
    assert refused > 0


def test_reading_a_file_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "note.jpg").write_text("not a photo")
    with pytest.raises(ImageError, match=r"note\.jpg: these 11 bytes"):
        read_image(tmp_path / "note.jpg")
    with pytest.raises(ImageError, match=r"gone\.jpg cannot be read: No such file"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(ImageError, match="Is a directory"):
        read_image(tmp_path)


def draw_scene(width: int, height: int) -> Image.Image:
    """Soft shapes with an edge: what a JPEG decoder shrinks well, and a corner to tell it by."""
    seeds = np.random.default_rng(0).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    photo = Image.fromarray(seeds).resize((width, height), Image.Resampling.BICUBIC)
    photo.paste("red", (0, 0, width // 2, height // 4))
    return photo


@pytest.mark.parametrize(
    ("size", "at_least", "expected"),
    [
        ((750, 1101), 480, (375, 551)),
        ((1101, 750), 480, (551, 375)),
        ((4000, 3000), 480, (500, 375)),
        ((750, 1101), 551, (750, 1101)),
        ((300, 400), 480, (300, 400)),
        ((2000, 100), 480, (2000, 100)),  # too narrow: a side would vanish
    ],
)
def test_a_large_jpeg_comes_back_smaller_but_never_below_what_is_needed(
    size: tuple[int, int], at_least: int, expected: tuple[int, int]
) -> None:
    found = decode_reduced(encode(draw_scene(*size), "JPEG"), at_least)
    assert found.image.size == expected
    assert found.size == size


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_other_formats_come_back_whole(kind: str) -> None:
    data = encode(draw_scene(1000, 800), kind)
    assert decode_reduced(data, 100).image.tobytes() == decode_image(data).tobytes()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("size", [(750, 1101), (2000, 1500), (516, 640)])
def test_the_network_sees_the_same_photo_when_it_was_reduced(
    mode: str, size: tuple[int, int]
) -> None:
    data = encode(draw_scene(*size).convert(mode), "JPEG", quality=90)
    options = Preprocessing(image_size=320)
    whole = prepare(decode_image(data), options)
    reduced = prepare(decode_reduced(data, needed_side(320)).image, options)
    difference = np.abs(whole.pixels.astype(int) - reduced.pixels)
    # Of 255: the stated tolerance (docs/performance.md).
    assert difference.mean() < 1.0
    assert np.abs(whole.frame.width - reduced.frame.width) < 1 / 320


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_reduced_photo_is_upright_and_so_is_its_size(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(draw_scene(800, 600), "JPEG", exif=exif)
    whole, reduced = decode_image(data), decode_reduced(data, 400)
    assert reduced.size == whole.size
    assert reduced.image.size == (whole.width // 2, whole.height // 2)
    small = whole.resize(reduced.image.size, Image.Resampling.BOX)
    assert np.abs(np.asarray(small, int) - np.asarray(reduced.image)).mean() < 4


def test_pixels_are_counted_before_a_photo_is_reduced() -> None:
    data = encode(draw_scene(1000, 1000), "JPEG")
    with pytest.raises(ImageTooLargeError, match="1000 x 1000 = 1,000,000 pixels"):
        decode_reduced(data, 100, max_pixels=999_999)


def test_a_truncated_photo_is_not_hidden_by_reducing() -> None:
    data = encode(draw_scene(1000, 1000), "JPEG")
    with pytest.raises(ImageError, match="damaged or truncated"):
        decode_reduced(data[: len(data) // 2], 100)
