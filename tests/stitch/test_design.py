"""Designs: closed values, sensible combinations, splits, families."""

import pytest

from stitch import (
    ATTRIBUTES,
    Design,
    Split,
    StitchError,
    applicable,
    hard_family,
    sample_design,
    sample_designs,
    split_of,
)
from stitch.design import KIN_ATTRIBUTES, VALUES
from stitch.rules import CATEGORIES
from stitch.sampling import FAMILY_ATTRIBUTES


@pytest.fixture(scope="module")
def designs() -> list[Design]:
    return [sample_design(seed) for seed in range(400)]


def test_every_attribute_takes_a_value_from_its_closed_list(designs):
    for design in designs:
        assert all(value in VALUES[name] for name, value in design.attributes.items())


def test_every_value_of_every_list_is_drawn_by_some_seed():
    drawn = {pair for seed in range(4000) for pair in sample_design(seed).attributes.items()}
    missing = {(n, v) for n in ATTRIBUTES for v in VALUES[n] if v != "none"} - drawn
    assert not missing


def test_the_same_seed_draws_the_same_design_and_others_differ(designs):
    assert sample_design(3) == designs[3]
    assert len({design.key for design in designs}) > 390


def test_a_top_has_a_neckline_or_a_collar_but_never_both(designs):
    for design in designs:
        worn_on_top = design.category not in ("skirt", "trousers", "shorts")
        assert ((design.neckline != "none") + (design.collar != "none")) == worn_on_top


def test_unsaid_attributes_take_their_first_allowed_value():
    shirt = Design.of(category="shirt", colour="blue")
    assert (shirt.collar, shirt.neckline, shirt.closure) == ("point", "none", "buttons")


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"category": "toga"}, "category 'toga' does not exist; expected one of: t-shirt"),
        ({"category": "skirt", "collar": "hood"}, "collar 'hood' does not exist for a skirt"),
        ({"category": "hoodie", "logo_place": "centre"}, "logo_place 'centre' does not exist"),
        ({"colour": "navy", "sleeves": "long"}, "'sleeves' is not an attribute of a design"),
    ],
)
def test_impossible_designs_are_refused_with_a_sentence(attributes, sentence):
    with pytest.raises(StitchError, match=sentence):
        Design.of(**{"category": "shirt", **attributes})


@pytest.mark.parametrize("category", CATEGORIES)
def test_applicable_lists_only_attributes_that_vary(category):
    varying = applicable(category)
    assert "silhouette" in varying
    assert all(len(values) > 1 for values in varying.values())


def test_applicable_refuses_an_unknown_category():
    with pytest.raises(StitchError, match="'toga' is not a category; expected one of: t-shirt"):
        applicable("toga")


def test_splits_share_no_design_and_no_kin():
    kin = {split: {d.kin for d in sample_designs(split, 300, seed=1)} for split in Split}
    assert not kin[Split.TRAIN] & kin[Split.VAL]
    assert not kin[Split.TRAIN] & kin[Split.TEST]
    assert not kin[Split.VAL] & kin[Split.TEST]


def test_sampled_designs_are_different_and_repeatable():
    found = sample_designs("val", 50, seed=4)
    assert len({design.key for design in found}) == 50
    assert found == sample_designs("val", 50, seed=4)
    assert {split_of(design) for design in found} == {Split.VAL}


@pytest.mark.parametrize("seed", range(30))
def test_a_family_differs_in_exactly_its_attribute(seed):
    family = hard_family(seed, 3)
    for name in ATTRIBUTES:
        values = {getattr(design, name) for design in family.designs}
        assert len(values) == (3 if name == family.attribute else 1)


@pytest.mark.parametrize("attribute", FAMILY_ATTRIBUTES)
def test_every_kind_of_detail_makes_families_in_one_split(attribute):
    family = hard_family(0, 2, split="test", attribute=attribute)
    assert family.attribute == attribute
    assert attribute not in KIN_ATTRIBUTES
    assert {split_of(design) for design in family.designs} == {Split.TEST}


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: hard_family(0, 1), "size is 1; expected 2 or more"),
        (lambda: hard_family(0, 2, attribute="colour"), "no hard family varies 'colour'"),
        (lambda: hard_family(0, 9, attribute="hem"), "no family of 9 designs was found"),
        (lambda: sample_designs("test", 0, 0), "count is 0; expected 1 or more"),
    ],
)
def test_what_cannot_be_drawn_is_said(call, sentence):
    with pytest.raises(StitchError, match=sentence):
        call()


def test_titles_name_colour_category_and_details():
    design = Design.of(
        category="shirt", colour="navy", print="stripes", print_scale="small",
        second_colour="white", collar="button-down", pockets="chest",
    )  # fmt: skip
    assert design.title.startswith("Navy and white striped poplin slim")
    assert design.title.endswith("shirt with button-down collar, chest pocket and curved hem") or (
        "button-down collar and chest pocket" in design.title
    )
