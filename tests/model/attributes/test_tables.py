"""Any CSV with attribute columns: products, never photos, are divided."""

from pathlib import Path

import pytest

from model.attributes.data import load_attribute_data
from model.attributes.sampler import TripletSampler
from model.errors import DataError, ParameterError
from tests.model.data.conftest import draw, replace_line

LUMA = Path(__file__).parents[3] / "shared" / "data" / "luma" / "gallery.csv"


@pytest.fixture
def table(tmp_path):
    """40 products of two photos; collar of 3 values, style of several or none."""
    lines = ["image,product_id,collar,style,price"]
    for product in range(40):
        for view in "ab":
            name = f"{product}{view}.png"
            draw(tmp_path / name, (8, 8), product)
            style = ("", "long", "long|wide")[product % 3]
            lines.append(f"{name},p{product},c{product % 3},{style},{product}")
    (tmp_path / "shop.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "shop.csv"


def load(table, attributes="collar", **options):
    return load_attribute_data(f"attributes-csv:{table}", attributes=attributes, **options)


def products(photos):
    return {labelled.photo.item for labelled in photos}


def sides(split, k=0):
    return [
        products(split.photos[p] for p in each[k]) for each in (split.queries, split.candidates)
    ]


def test_no_product_stands_in_two_splits_or_on_two_sides(table):
    found = load(table)
    parts = [products(part) for part in (found.train, found.valid.photos, found.test.photos)]
    assert [len(part) for part in parts] == [32, 4, 4]
    assert len(set.union(*parts)) == 40
    for split in (found.valid, found.test):
        asked, answers = sides(split)
        assert not asked & answers
        assert (len(asked), len(answers)) == (1, 3)


def test_the_seed_decides_who_is_held_out(table):
    assert load(table) == load(table)
    held = [products(load(table, seed=seed).test.photos) for seed in (0, 1)]
    assert held[0] != held[1]


def test_a_cell_may_hold_several_values_or_none(table):
    found = load(table, "style;collar")
    by_item = {labelled.photo.item: labelled for labelled in found.train}
    style = {item: by_item[item].all_values(0) for item in by_item}
    assert found.attributes[0].values == ("long", "wide")
    for item, values in style.items():
        assert values == [set(), {0}, {0, 1}][int(item[1:]) % 3]
    assert all(len(labelled.all_values(1)) == 1 for labelled in found.train)


def test_another_separator_leaves_the_bar_alone(table):
    assert load(table, "style;collar", separator="/").attributes[0].values == ("long", "long|wide")


def test_a_split_column_is_believed(table):
    lines = table.read_text().splitlines()
    parts = ["train"] * 28 + ["val"] * 6 + ["test"] * 6
    rows = [f"{line},{parts[k // 2]}" for k, line in enumerate(lines[1:])]
    table.write_text("\n".join([lines[0] + ",split", *rows]))
    found = load(table)
    assert products(found.valid.photos) == {f"p{k}" for k in range(28, 34)}
    assert products(found.test.photos) == {f"p{k}" for k in range(34, 40)}
    replace_line(table, 2, rows[0].replace("train", "test"))
    with pytest.raises(DataError, match=r"product 'p0' .* is in test and, on line 3, in train"):
        load(table)
    replace_line(table, 2, rows[0].replace("train", "query"))
    with pytest.raises(DataError, match=r"line 2 of .* has the split 'query'; expected one of"):
        load(table)


def test_photos_for_evaluation_only_are_never_trained_on(table):
    found = load(table, use="evaluation")
    assert (found.train, found.valid.num_queries) == ((), 0)
    assert len(found.test.photos) == 80
    asked, answers = sides(found.test)
    assert (len(asked), len(answers), asked & answers) == (8, 32, set())
    with pytest.raises(DataError, match="for evaluation only"):
        TripletSampler(found)


def test_every_photo_may_ask_for_those_of_other_products(table):
    found = load(table, use="evaluation", queries="all").test
    assert found.leave_own_item
    assert found.queries[0] == found.candidates[0] == tuple(range(80))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"attributes": ""}, "say which are attributes, as in"),
        ({"attributes": "collar;cuff"}, "has no column 'cuff' for an attribute"),
        ({"image": "file"}, "none of which is the image"),
        ({"product": "sku"}, "none of which is the product"),
        ({"use": "demo"}, "has no use=demo; expected one of: train, evaluation"),
        ({"queries": "half"}, "queries=half; expected a whole number"),
        ({"colour": "red"}, "knows no option 'colour'"),
    ],
)
def test_a_wrong_option_is_a_sentence(table, options, said):
    with pytest.raises(ParameterError, match=said):
        load(table, **options)


@pytest.mark.parametrize(
    ("line", "text", "said"),
    [
        (3, "0b.png,,c0,,0", "line 3 of .* has no product_id"),
        (3, "0a.png,p0,c0,,0", "lines 2 and 3 of .* name the same photo"),
        (3, "0b.png,p0,c0", "line 3 of .* more or fewer cells"),
        (3, "0c.png,p0,c0,,0", "1 of 80 images .*absent, the first is .*0c.png"),
    ],
)
def test_a_malformed_row_is_named(table, line, text, said):
    replace_line(table, line, text)
    with pytest.raises(DataError, match=said):
        load(table)


def test_an_attribute_that_gives_no_triplet_is_refused(table):
    with pytest.raises(DataError, match="have no two values of image with two images"):
        load(table, "collar;image")


def test_too_few_products_are_refused(table):
    table.write_text("\n".join(table.read_text().splitlines()[:19]))
    with pytest.raises(DataError, match="has 9 products; at least 10 are needed"):
        load(table)


def test_an_evaluation_of_one_product_is_refused(table):
    table.write_text("\n".join(table.read_text().splitlines()[:3]))
    for queries in ("20", "all"):
        with pytest.raises(DataError, match="its photos gives no queries and candidates"):
            load(table, use="evaluation", queries=queries)


@pytest.mark.skipif(not LUMA.is_file(), reason="the photos of luma are not at hand")
def test_luma_is_read_for_evaluation():
    found = load(LUMA, "pattern;style;category;gender", use="evaluation", queries="all")
    assert [attribute.name for attribute in found.attributes][:2] == ["pattern", "style"]
    assert len(found.test.photos) == 673
