"""Views: seeded, of the right shape, and changing what they say they change."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from model.data import augment
from model.data.augment import (
    change_background,
    close_up,
    crop_view,
    draw_view,
    instance_view,
    item_view,
    plain_view,
    query_view,
    random_crop,
    relight,
    train_view,
    two_views,
    warp,
)
from model.preprocessing import Preprocessing, prepare

SMALL = Preprocessing(image_size=64)
RANDOM_VIEWS = [train_view, instance_view, query_view, item_view, crop_view]
SIZES = [(90, 60), (33, 200), (16, 16), (640, 480)]


def rng(seed=0):
    return np.random.default_rng(seed)


def make_photo(size=(90, 60), seed=0):
    seeds = rng(seed).integers(0, 255, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(seeds).resize(size, Image.Resampling.BICUBIC)


def make_shirt():
    """A dark shirt with a white badge, on white."""
    image = Image.new("RGB", (80, 80), "white")
    ImageDraw.Draw(image).rectangle((20, 20, 60, 60), "navy")
    ImageDraw.Draw(image).rectangle((35, 35, 45, 45), "white")
    return image


@pytest.mark.parametrize("view", [plain_view, *RANDOM_VIEWS])
@pytest.mark.parametrize("size", SIZES)
def test_every_view_is_a_square_of_bytes(view, size):
    for seed in range(6):
        pixels = view(make_photo(size), SMALL, rng(seed))
        assert (pixels.shape, pixels.dtype) == ((64, 64, 3), np.uint8)


@pytest.mark.parametrize("view", RANDOM_VIEWS)
def test_equal_seeds_give_equal_views_and_others_do_not(view):
    photo = make_photo()
    assert np.array_equal(view(photo, SMALL, rng(1)), view(photo, SMALL, rng(1)))
    assert not np.array_equal(view(photo, SMALL, rng(1)), view(photo, SMALL, rng(2)))


@pytest.mark.parametrize("size", SIZES)
def test_the_plain_view_is_what_serving_sees(size):
    photo = make_photo(size)
    assert np.array_equal(plain_view(photo, SMALL, rng()), prepare(photo, SMALL).pixels)


def test_a_training_view_is_the_photo_flipped_or_not_shifted_and_part_erased(monkeypatch):
    monkeypatch.setattr(augment, "ERASE", 0.0)
    photo = make_photo((64, 64))
    plain = np.pad(prepare(photo, SMALL).pixels, ((2, 2), (2, 2), (0, 0)), constant_values=255)
    shifts = [plain[y : y + 64, x : x + 64] for y in range(5) for x in range(5)]
    mirrored = np.pad(
        prepare(photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT), SMALL).pixels,
        ((2, 2), (2, 2), (0, 0)), constant_values=255,
    )  # fmt: skip
    flips = [mirrored[y : y + 64, x : x + 64] for y in range(5) for x in range(5)]
    found = [
        (any(np.array_equal(p, s) for s in shifts), any(np.array_equal(p, s) for s in flips))
        for p in (train_view(photo, SMALL, rng(seed)) for seed in range(20))
    ]
    assert set(found) == {(True, False), (False, True)}


def test_half_of_the_training_views_lose_a_rectangle_of_mean_colour():
    photo = Image.new("RGB", (64, 64), "red")
    mean = np.array([round(255 * value) for value in SMALL.mean])
    shares = [(train_view(photo, SMALL, rng(seed)) == mean).all(-1).mean() for seed in range(200)]
    erased = [share for share in shares if share]
    assert 0.4 < len(erased) / len(shares) < 0.6
    assert min(erased) > 0.01
    assert max(erased) < 0.42


def test_a_close_up_is_a_part_of_the_photo():
    photo = make_photo((100, 80))
    for seed in range(10):
        part = close_up(photo, rng(seed))
        assert 0.34 <= part.width / 100 <= 0.81
        assert 0.34 <= part.height / 80 <= 0.81


def test_another_background_leaves_the_garment_and_what_is_white_inside_it():
    before = np.asarray(make_shirt(), int)
    after = np.asarray(change_background(make_shirt(), rng(3)), int)
    assert np.array_equal(after[24:57, 24:57], before[24:57, 24:57])
    assert (np.abs(after - before).sum(-1)[:18] > 10).mean() > 0.9


def test_a_photo_from_a_room_keeps_its_background():
    photo = make_photo()
    assert change_background(photo, rng()) is photo


def test_light_changes_every_photo_but_hardly_its_hue():
    red = Image.new("RGB", (8, 8), (160, 40, 40))
    for seed in range(30):
        r, g, b = np.asarray(relight(red, rng(seed)), int)[0, 0]
        assert r > 1.5 * max(g, b)


def test_no_strength_leaves_the_light_as_it_is():
    photo = make_photo()
    assert np.array_equal(np.asarray(relight(photo, rng(), 0.0)), np.asarray(photo))


def test_an_items_view_is_nearly_the_whole_photo():
    image = Image.new("RGB", (640, 640), "navy")
    image.paste("red", (60, 60, 580, 580))
    for seed in range(20):
        pixels = item_view(image, Preprocessing(image_size=640), rng(seed))
        assert (pixels[300:340, 300:340] == (255, 0, 0)).all()
        red = (pixels == (255, 0, 0)).all(-1).mean()
        assert 0.6 < red < 0.95  # .66 of the photo is red


def test_a_warp_keeps_the_size_and_moves_the_picture():
    photo = make_photo()
    moved = warp(photo, rng(1))
    assert moved.size == photo.size
    assert np.abs(np.asarray(moved, int) - np.asarray(photo, int)).mean() > 1


def test_a_warp_that_turns_nothing_changes_nothing(monkeypatch):
    monkeypatch.setattr(augment, "TURN", 0.0)
    monkeypatch.setattr(augment, "TILT", 0.0)
    photo = make_photo()
    difference = np.asarray(warp(photo, rng()), int) - np.asarray(photo, int)
    assert np.abs(difference[1:-1, 1:-1]).max() <= 1


def test_a_random_crop_is_a_part_of_any_size_and_place():
    rows, columns = np.mgrid[:120, :90].astype(np.uint8)  # each pixel says where it stood
    image = Image.fromarray(np.stack((rows, columns, rows), axis=-1))
    parts = [np.asarray(random_crop(image, rng(seed))) for seed in range(300)]
    shares = [part.shape[0] * part.shape[1] / (120 * 90) for part in parts]
    assert 0.13 < min(shares) < 0.2
    assert 0.9 < max(shares) <= 1.0
    corners = np.array([part[0, 0, :2] for part in parts])
    assert corners.min() == 0
    assert (corners.max(axis=0) > (55, 40)).all()


def test_two_views_differ_and_a_drawn_view_is_never_larger_than_asked():
    first, second = two_views(make_photo(), SMALL, rng())
    assert not np.array_equal(first, second)
    assert all(max(draw_view(make_photo((500, 300)), rng(s), 96).size) <= 96 for s in range(8))
