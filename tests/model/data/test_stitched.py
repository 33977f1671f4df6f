"""Drawn data: disjoint designs, drawn once, hard families on their own line."""

import subprocess

import pytest

from model.data import load_dataset
from model.data.stitched import find_families
from model.errors import DataError

OPTIONS = "designs=6&val=4&test=6&size=48&families=1&workers=1"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("stitch") / "drawn"


@pytest.fixture(scope="module")
def drawn(root):
    return load_dataset(f"stitch:{root}?{OPTIONS}")


def design(photo):
    return tuple(v for k, v in photo.attributes.items() if k not in ("view", "family"))


def test_the_three_splits_share_no_design(drawn):
    validation = (*drawn.validation.queries, *drawn.validation.gallery)
    test = (*drawn.test.queries, *drawn.test.gallery)
    parts = [{design(photo) for photo in part} for part in (drawn.train, validation, test)]
    assert [len(part) for part in parts] == [6, 4, 6]
    assert len(set.union(*parts)) == 16


def test_no_item_name_is_shared_either(drawn):
    assert not {p.item for p in drawn.train} & {p.item for p in drawn.test.gallery}


def test_people_ask_and_shops_answer(drawn):
    assert {photo.domain for photo in drawn.test.queries} == {"consumer"}
    assert {photo.domain for photo in drawn.test.gallery} == {"shop"}
    assert [len(drawn.test.queries), len(drawn.test.gallery)] == [12, 18]
    assert drawn.test.num_without_positive == 0


def test_hard_families_are_a_set_of_their_own(drawn):
    families = drawn.extra["families"]
    assert len({photo.item for photo in families.queries}) >= 2
    assert all(photo.attributes["family"] for photo in families.queries)
    assert families.gallery == drawn.test.gallery


@pytest.mark.parametrize("view", ["back", "detail"])
def test_other_views_of_the_shop_look_for_the_front(drawn, view):
    found = drawn.extra[view]
    assert {photo.attributes["view"] for photo in found.queries} == {view}
    assert {photo.attributes["view"] for photo in found.gallery} == {"shop"}


def test_what_is_drawn_is_read_and_not_drawn_again(drawn, root, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("drawn again")

    monkeypatch.setattr(subprocess, "run", refuse)
    assert load_dataset(f"stitch:{root}?{OPTIONS}") == drawn


def test_a_folder_drawn_with_other_settings_is_refused(drawn, root):
    with pytest.raises(DataError, match="was drawn with other settings"):
        load_dataset(f"stitch:{root}?{OPTIONS.replace('size=48', 'size=64')}")


def test_a_place_that_cannot_be_drawn_into_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"stitch could not draw into .*file"):
        load_dataset(f"stitch:{tmp_path / 'file'}?{OPTIONS}")


def test_designs_that_differ_in_two_details_are_no_family():
    shirt = {"collar": "point", "cuff": "plain", "hem": "curved"}
    other = {**shirt, "cuff": "rolled", "hem": "straight"}
    assert find_families({"a": shirt, "b": other}) == {}


def test_without_a_place_it_is_drawn_below_out(tmp_path, monkeypatch):
    asked = []
    failed = subprocess.CompletedProcess([], 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: (asked.append(command), failed)[1])
    with pytest.raises(DataError, match="could not draw into out/stitch/400-50-100-224-0/train"):
        load_dataset("stitch")
    assert asked[0][1:4] == ["-m", "stitch", "draw"]
    assert {"--products", "400", "--split", "train"} <= set(asked[0])
