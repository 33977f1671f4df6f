"""FashionAI, DARN and DeepFashion from miniatures in the exact layout."""

import json

import pytest

from model.attributes.data import load_attribute_data
from model.attributes.data.meta import OFFICIAL
from model.errors import DataError, ParameterError
from tests.model.data.conftest import draw, replace_line

VALUES = {"collar": ["Invisible", "Shirt", "Peter Pan"], "length": ["Invisible", "Short"]}


@pytest.fixture
def data(tmp_path):
    """8 training images (the last with two collars), 5 of each other split, two attributes."""
    root = tmp_path / "data"
    folder = root / "FashionAI"
    for split, count in (("train", 8), ("valid", 5), ("test", 5)):
        names = [f"fashionAI_attributes_train2/Images/{split}/{k}.jpg" for k in range(count)]
        for k, name in enumerate(names):
            draw(folder / name, (32, 32), k)
        (folder / f"filenames_{split}.txt").write_text("\n".join(names) + "\n")
    labels = [f"{k} 0 {k % 3} 1 {k % 2}" for k in range(7)]
    (folder / "label_train.txt").write_text("\n".join([*labels, "7 0 1 0 2"]) + "\n")
    for split in ("valid", "test"):
        (folder / f"query_{split}.txt").write_text("0 0 1\n1 1 0\n")
        (folder / f"candidate_{split}.txt").write_text("1 0 1\n2 0 2\n2 0 1\n3 0 0\n4 1 0\n3 1 1\n")
    meta = {
        "ATTRIBUTES": list(VALUES),
        "ATTRIBUTES_NUM": {name: len(each) for name, each in VALUES.items()},
        "ATTRIBUTES_VALUES": VALUES,
    }
    (root / "meta.json").write_text(json.dumps({"FashionAI": meta}))
    return root


def load(data, **options):
    return load_attribute_data(f"fashionai:{data}", counts="any", **options)


def test_training_images_carry_all_their_values(data):
    found = load(data)
    assert [(a.name, list(a.values)) for a in found.attributes] == list(VALUES.items())
    assert dict(found.train[4].values) == {0: 1, 1: 0}
    assert found.train[4].photo.path.name == "4.jpg"
    assert found.train[7].all_values(0) == {1, 2}
    assert found.train[7].all_values(1) == frozenset()


def test_queries_and_candidates_are_the_rows_of_the_lists(data):
    split = load(data).test
    rows = {
        side: [
            (int(split.photos[place].photo.path.stem), k, split.photos[place].values[k])
            for k in (0, 1)
            for place in places[k]
        ]
        for side, places in (("query", split.queries), ("candidate", split.candidates))
    }
    assert rows["query"] == [(0, 0, 1), (1, 1, 0)]
    assert sorted(rows["candidate"]) == sorted(
        [(1, 0, 1), (2, 0, 2), (2, 0, 1), (3, 0, 0), (4, 1, 0), (3, 1, 1)]
    )


def test_an_image_stands_once_unless_one_attribute_has_two_values(data):
    names = [labelled.photo.path.stem for labelled in load(data).test.photos]
    assert sorted(names) == ["0", "1", "2", "2", "3", "4"]


def test_the_folder_of_the_data_set_may_be_given_itself(data):
    assert load(data / "FashionAI").train == load(data).train


def test_meta_may_list_values_in_the_order_of_attributes(data):
    meta = json.loads((data / "meta.json").read_text())
    for key in ("ATTRIBUTES_NUM", "ATTRIBUTES_VALUES"):
        meta["FashionAI"][key] = list(meta["FashionAI"][key].values())
    before = load(data).attributes
    (data / "meta.json").write_text(json.dumps(meta))
    assert load(data).attributes == before


def test_a_part_of_the_set_is_refused_unless_asked_for(data):
    with pytest.raises(DataError, match=r"names the attributes collar \(3\), length \(2\); exp"):
        load_attribute_data(f"fashionai:{data}")


def test_other_counts_than_the_official_ones_are_refused(data, monkeypatch):
    layout = OFFICIAL["fashionai"]._replace(sizes={"collar": 3, "length": 2})
    monkeypatch.setitem(OFFICIAL, "fashionai", layout._replace(counts={"test queries": 3_600}))
    with pytest.raises(DataError, match="found 2 test queries, expected 3,600"):
        load_attribute_data(f"fashionai:{data}")
    monkeypatch.setitem(OFFICIAL, "fashionai", layout._replace(counts={"test queries": 2}))
    assert load_attribute_data(f"fashionai:{data}").test.num_queries == 2


def test_the_known_counts_add_up():
    """3,600 queries and 14,400 candidates; 54, 185 and 1,000 values."""
    counts = OFFICIAL["fashionai"].counts
    for side in ("queries", "candidates"):
        parts = [n for name, n in counts.items() if name.startswith(f"test {side} of")]
        assert (len(parts), sum(parts)) == (8, counts[f"test {side}"])
    values = {kind: sum(layout.sizes.values()) for kind, layout in OFFICIAL.items()}
    assert values == {"fashionai": 54, "darn": 185, "deepfashion-attributes": 1000}


@pytest.mark.parametrize(
    ("file", "line", "text", "said"),
    [
        ("label_train.txt", 2, "1 0", "line 2 of .* is '1 0'; expected whole numbers: id attrib"),
        ("label_train.txt", 2, "1 0 x", "line 2 of .* is '1 0 x'; expected whole numbers"),
        ("label_train.txt", 3, "8 0 1", "line 3 of .* image id 8; .* 8 lines, so the ids are 0 to"),
        ("label_train.txt", 1, "0 2 1", "line 1 of .* has the attribute 2; meta.json lists 2"),
        ("label_train.txt", 1, "0 1 2", "line 1 of .* has the value 2 of length; .* 0 to 1"),
        ("query_test.txt", 1, "0 0 1 1 0", "line 1 of .*query_test.txt is .* id attribute value$"),
        ("candidate_valid.txt", 1, "0 0 1", "line 1 of .* offers image 0 for collar, which asks"),
        ("filenames_test.txt", 2, "", "line 2 of .*filenames_test.txt is empty"),
        ("filenames_test.txt", 2, "no.jpg", "1 of 5 images .*absent, the first is .*no.jpg"),
    ],
)
def test_a_malformed_row_is_named(data, file, line, text, said):
    replace_line(data / "FashionAI" / file, line, text)
    with pytest.raises(DataError, match=said):
        load(data)


@pytest.mark.parametrize(
    "file",
    [f"filenames_{split}.txt" for split in ("train", "valid", "test")]
    + ["label_train.txt", "query_valid.txt", "candidate_test.txt"],
)
def test_a_missing_or_empty_or_binary_file_is_named(data, file):
    path = data / "FashionAI" / file
    path.write_bytes(b"")
    with pytest.raises(DataError, match=f"{file} is empty"):
        load(data)
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match=f"{file} is not text"):
        load(data)
    path.unlink()
    with pytest.raises(DataError, match=f"{file} cannot be read: No such file"):
        load(data)


def test_an_attribute_that_gives_no_triplet_is_refused(data):
    lines = "\n".join(f"{k} 0 {k % 2} 1 0" for k in range(8))
    (data / "FashionAI" / "label_train.txt").write_text(lines)
    with pytest.raises(DataError, match="has no two values of length with two images"):
        load(data)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda meta: meta["FashionAI"].pop("ATTRIBUTES_NUM"), "cannot be read .*ATTRIBUTES_NUM"),
        (lambda meta: meta["FashionAI"]["ATTRIBUTES_NUM"].update(collar=4), "collar has 4 values"),
        (lambda meta: meta["FashionAI"]["ATTRIBUTES_VALUES"].pop("length"), "KeyError: 'length'"),
    ],
)
def test_a_wrong_meta_file_is_named(data, change, said):
    meta = json.loads((data / "meta.json").read_text())
    change(meta)
    (data / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(DataError, match=said):
        load(data)


@pytest.mark.parametrize("text", ["[1", "[]", "\x00"])
def test_a_broken_meta_file_is_named(data, text):
    (data / "meta.json").write_text(text)
    with pytest.raises(DataError, match=r"meta.json cannot be read"):
        load(data)


def test_no_meta_file_is_a_sentence(data):
    (data / "meta.json").unlink()
    with pytest.raises(DataError, match=r"meta.json does not exist; it comes with"):
        load(data)


def test_a_place_that_is_no_folder_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match=r"does not exist; expected the folder with meta.json"):
        load_attribute_data(f"darn:{tmp_path / 'no'}")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("fashionai", "names no place; write fashionai:DIR"),
        ("inshop:x", "'inshop:x' does not name a data set; .*fashionai:DIR"),
        ("darn:x?crops=1", "darn knows no option 'crops'"),
    ],
)
def test_a_wrong_spec_is_a_sentence(spec, said):
    with pytest.raises(ParameterError, match=said):
        load_attribute_data(spec)
