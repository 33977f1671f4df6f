"""Decoding and boxes."""

import numpy as np
import pytest
from PIL import Image

from model.data.reading import read_photo, to_pixels
from model.data.records import Box, BoxFrame, Photo
from model.errors import DataError, ImageError
from model.images import read_image
from tests.model.data.conftest import draw


@pytest.fixture
def large(tmp_path):
    return draw(tmp_path / "large.jpg", (1200, 800), 1)


def test_a_box_is_cut_and_clipped_to_the_image(large):
    assert read_photo(Photo(large, "x", box=Box(10, 20, 110, 70))).size == (100, 50)
    assert read_photo(Photo(large, "x", box=Box(-10, 700, 110, 900))).size == (110, 100)


@pytest.mark.parametrize("box", [Box(1200, 0, 1300, 50), Box(0, -9, 50, 0), Box(9, 9, 9, 9)])
def test_a_box_outside_the_image_is_a_sentence(large, box):
    with pytest.raises(DataError, match=r"lies outside the image of 1200 x 800 pixels; expected"):
        read_photo(Photo(large, "x", box=box))


@pytest.mark.parametrize("size", [(750, 1500), (1500, 750), (256, 256), (300, 301)])
def test_the_padded_square_maps_the_photo_onto_itself(size):
    scale = 256 / max(size)
    left, top = ((256 - scale * length) / 2 for length in size)
    whole = Box(round(left), round(top), round(256 - left), round(256 - top))
    moved = np.array(to_pixels(whole, BoxFrame(256, padded=True), size))
    # Half a pixel is lost when the box was written down, another half here.
    assert np.abs(moved - (0, 0, *size)).max() <= 0.5 / scale + 0.5


def test_a_large_jpeg_is_decoded_smaller_but_never_below_what_is_needed(large):
    photo = Photo(large, "x")
    assert read_photo(photo).size == (1200, 800)
    assert read_photo(photo, at_least=600).size == (600, 400)
    assert read_photo(photo, at_least=601).size == (1200, 800)
    assert read_photo(photo, at_least=150).size == (150, 100)


def test_the_smaller_decode_shows_the_same_picture(large):
    fast = read_photo(Photo(large, "x"), at_least=300).resize((60, 40), Image.Resampling.BOX)
    slow = read_image(large).resize((60, 40), Image.Resampling.BOX)
    assert np.abs(np.asarray(fast, int) - np.asarray(slow, int)).mean() < 2


def test_the_smaller_decode_turns_the_photo_as_its_camera_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (800, 400), "red").save(tmp_path / "turned.jpg", exif=exif)
    assert read_photo(Photo(tmp_path / "turned.jpg", "x"), at_least=200).size == (100, 200)


def test_other_formats_and_colours_are_decoded_the_usual_way(tmp_path):
    draw(tmp_path / "a.png", (800, 400))
    Image.new("L", (800, 400)).save(tmp_path / "b.jpg")
    for name in ("a.png", "b.jpg"):
        image = read_photo(Photo(tmp_path / name, "x"), at_least=100)
        assert (image.mode, image.size) == ("RGB", (800, 400))


def test_a_truncated_large_jpeg_is_a_sentence(large):
    large.write_bytes(large.read_bytes()[:3000])
    with pytest.raises(ImageError, match="damaged or truncated"):
        read_photo(Photo(large, "x"), at_least=100)
