"""Drawn garments: every detail is an attribute, on the photos that show it."""

import pytest

from model.attributes.data import load_attribute_data
from model.attributes.data.stitched import KIN, find_applicable, list_visible
from model.data import load_dataset
from model.data.records import Photo
from model.errors import ParameterError
from stitch import ATTRIBUTES
from stitch.design import KIN_ATTRIBUTES

OPTIONS = "designs=24&val=10&test=15&size=32&families=3&workers=1"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("stitch") / "drawn"


@pytest.fixture(scope="module")
def drawn(root):
    return load_attribute_data(f"stitch:{root}?{OPTIONS}")


def shirt(**other):
    plain = dict.fromkeys(ATTRIBUTES, "none")
    return {**plain, "category": "shirt", "fabric": "linen", "colour": "navy", **other}


def kin(photo):
    return tuple(photo.attributes[name] for name in KIN_ATTRIBUTES)


def kins(split, places):
    return {kin(split.photos[place].photo) for place in places}


def test_every_detail_is_an_attribute_unless_it_is_said_to_be_too_rare(drawn):
    kept = [attribute.name for attribute in drawn.attributes]
    dropped = [note for note in drawn.notes if note.startswith("Left out")]
    missing = [name for name in ATTRIBUTES if name not in kept]
    assert kept == [name for name in ATTRIBUTES if name in kept]
    assert {"category", "fabric", "colour", "sleeve_length", "print"} <= set(kept)
    assert all(name in dropped[0] for name in missing)


def test_what_counts_as_kin_is_what_stitch_splits_by():
    assert KIN == KIN_ATTRIBUTES


def test_kin_share_the_split_and_the_side(drawn):
    parts = [
        {kin(labelled.photo) for labelled in photos}
        for photos in (drawn.train, drawn.valid.photos, drawn.test.photos)
    ]
    assert sum(len(part) for part in parts) == len(set.union(*parts))
    for split in (drawn.valid, drawn.test):
        asked = set.union(*(kins(split, places) for places in split.queries.values()))
        answers = set.union(*(kins(split, places) for places in split.candidates.values()))
        assert not asked & answers


def test_about_a_fifth_of_the_photos_ask(drawn):
    category = drawn.index_of("category")
    asked, answers = drawn.test.queries[category], drawn.test.candidates[category]
    assert 0.15 < len(asked) / (len(asked) + len(answers)) < 0.35


def test_labels_are_those_of_the_drawing(drawn):
    for labelled in drawn.train:
        for k, value in labelled.values.items():
            attribute = drawn.attributes[k]
            assert labelled.photo.attributes[attribute.name] == attribute.values[value]


def test_the_same_seed_divides_the_same_way_and_another_does_not(drawn, root):
    again = load_attribute_data(f"stitch:{root}?{OPTIONS}")
    other = load_attribute_data(f"stitch:{root}?{OPTIONS}&queries=50")
    assert again == drawn
    assert other.test.queries != drawn.test.queries


def test_the_folder_serves_retrieval_as_well(drawn, root):
    retrieval = load_dataset(f"stitch:{root}?{OPTIONS}")
    assert [labelled.photo for labelled in drawn.train] == list(retrieval.train)


@pytest.mark.parametrize(
    ("view", "seen", "hidden"),
    [
        ("shop", {"collar", "pockets", "logo_place", "fabric"}, set()),
        ("person", {"collar", "pockets", "logo_place", "fabric"}, set()),
        ("back", {"fabric", "colour", "cuff"}, {"collar", "pockets", "logo_place", "closure"}),
        ("detail", {"fabric", "colour"}, {"category", "cuff", "collar", "pockets"}),
    ],
)
def test_a_photo_is_labelled_with_what_its_view_shows(view, seen, hidden):
    design = shirt(collar="point", pockets="chest", logo_place="centre", cuff="plain", view=view)
    found = set(list_visible(design, {}))
    assert seen <= found
    assert not hidden & found


def test_a_close_up_of_two_blocks_of_colour_says_nothing_about_the_colour():
    assert list_visible(shirt(print="colour-block", view="detail"), {}) == {"fabric": ("linen",)}


def test_nothing_is_a_value_where_the_garment_could_have_something():
    able = find_applicable([Photo("a", "a", attributes=shirt(pockets="chest", view="shop"))])
    found = list_visible(shirt(view="shop"), able)
    assert found["pockets"] == ("none",)
    assert "logo" not in found  # no shirt here has one
    assert "print_scale" not in found


@pytest.mark.parametrize("percent", [0, 81])
def test_a_share_of_queries_that_leaves_no_candidates_is_refused(percent, tmp_path):
    with pytest.raises(ParameterError, match=f"queries={percent}; expected"):
        load_attribute_data(f"stitch:{tmp_path}?queries={percent}")
