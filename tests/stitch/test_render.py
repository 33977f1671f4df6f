"""Pictures: repeatable, of the size asked for, and different where the design differs."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from stitch import Design, StitchError, View, hard_family, render, sample_design
from stitch.render import View as RenderView
from stitch.rules import CATEGORIES
from stitch.sampling import FAMILY_ATTRIBUTES

SHIRT = Design.of(category="shirt", colour="navy", print="check", print_scale="medium")


def digest(picture) -> str:
    return hashlib.sha256(picture.tobytes()).hexdigest()


@pytest.mark.parametrize("view", View)
def test_equal_arguments_give_equal_bytes(view):
    assert digest(render(SHIRT, view, 3, 64)) == digest(render(SHIRT, view, 3, 64))


def test_another_process_draws_the_same_bytes():
    code = (
        "import hashlib, stitch;"
        "p = stitch.render(stitch.sample_design(5), 'person', 2, 64);"
        "print(hashlib.sha256(p.tobytes()).hexdigest())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == digest(render(sample_design(5), View.PERSON, 2, 64))


def test_drawing_leaves_the_global_random_state_alone():
    np.random.seed(1)
    before = np.random.get_state()[1].copy()  # type: ignore[index]
    render(SHIRT, View.PERSON, 0, 64)
    assert (np.random.get_state()[1] == before).all()  # type: ignore[index]


@pytest.mark.parametrize("seed", range(6))
def test_every_seed_is_another_photo(seed):
    assert digest(render(SHIRT, View.PERSON, seed, 64)) != digest(
        render(SHIRT, View.PERSON, seed + 1, 64)
    )


@pytest.mark.parametrize("view", View)
@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_is_drawn_in_every_view(category, view):
    picture = render(Design.of(category=category, colour="red"), view, 1, 64)
    assert (picture.mode, picture.size) == ("RGB", (64, 64))
    assert np.asarray(picture).std() > 8


@pytest.mark.parametrize("size", [32, 100, 333])
def test_the_size_is_honoured(size):
    assert render(SHIRT, View.SHOP, 0, size).size == (size, size)


@pytest.mark.parametrize("size", [0, 31, 2049])
def test_a_size_that_cannot_be_drawn_is_refused(size):
    with pytest.raises(StitchError, match=f"size is {size}; expected 32 to 2048 pixels"):
        render(SHIRT, View.SHOP, 0, size)


def test_random_designs_are_drawn_without_complaint():
    for seed in range(60):
        view = tuple(RenderView)[seed % 4]
        assert render(sample_design(seed), view, seed, 48).size == (48, 48)


@pytest.mark.parametrize("attribute", FAMILY_ATTRIBUTES)
@pytest.mark.parametrize("seed", range(3))
def test_the_one_detail_of_a_family_is_visible_in_the_shop(attribute, seed):
    family = hard_family(seed, 2, attribute=attribute)
    one, other = (
        np.asarray(render(design, View.SHOP, seed, 224), np.int16) for design in family.designs
    )
    changed = np.abs(one - other).max(axis=2) > 24
    assert changed.sum() > 25, f"{family.attribute} changed {changed.sum()} pixels"


def test_a_shop_photo_stands_on_a_light_background_and_shows_the_colour():
    picture = np.asarray(render(Design.of(category="t-shirt", colour="red"), View.SHOP, 0, 128))
    assert picture[2, 2].min() > 220
    red, green, blue = picture[64, 64].astype(int)
    assert red > 2 * max(green, blue)


def test_the_back_shows_no_buttons():
    plain = Design.of(category="shirt", colour="white", closure="hidden")
    buttoned = Design.of(category="shirt", colour="white", closure="buttons", hardware="black")
    assert digest(render(plain, View.BACK, 0, 96)) == digest(render(buttoned, View.BACK, 0, 96))
