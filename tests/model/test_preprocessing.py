"""The letterbox, and the way back from it."""

import numpy as np
import pytest
from PIL import Image

from model.preprocessing import Frame, Preprocessing, prepare, to_photo

SQUARE = Preprocessing(image_size=64)


@pytest.mark.parametrize("size", [(64, 64), (300, 200), (20, 777), (17, 16)])
def test_the_whole_photo_is_kept_in_its_shape(size: tuple[int, int]) -> None:
    done = prepare(Image.new("RGB", size, "red"), SQUARE)
    red = (done.pixels == (255, 0, 0)).all(-1)
    height, width = red.any(1).sum(), red.any(0).sum()
    assert done.pixels.shape == (64, 64, 3)
    assert max(width, height) == 64
    assert width / height == pytest.approx(size[0] / size[1], rel=0.35 / min(width, height) * 2)


def test_padding_is_white_and_even() -> None:
    pixels = prepare(Image.new("RGB", (100, 50), "black"), SQUARE).pixels
    assert (pixels[:16] == 255).all()
    assert (pixels[16:48] == 0).all()
    assert (pixels[48:] == 255).all()


def test_a_place_in_the_photo_survives_the_way_there_and_back() -> None:
    photo = Image.new("RGB", (200, 100), "white")
    photo.paste("black", (150, 20, 160, 30))  # its middle is at .775, .25 of the photo
    done = prepare(photo, Preprocessing(image_size=200))
    y, x = np.argwhere(done.pixels[..., 0] < 100).mean(0) / 200 + 0.5 / 200
    geometry = np.array([[[[x, y, 0.1, 0.1, 0.3]]]], dtype=np.float32)
    place = to_photo(geometry, [done.frame])[0, 0, 0]
    np.testing.assert_allclose(place, [0.775, 0.25, 0.1, 0.2, 0.3], atol=0.006)


def test_a_token_that_looks_at_the_padding_is_moved_to_the_edge() -> None:
    geometry = np.array([[[[0.5, 0.05, 0.1, 0.1, 0.0]]]], dtype=np.float32)
    assert to_photo(geometry, [Frame(0.0, 0.25, 1.0, 0.5)])[0, 0, 0, 1] == 0.0
