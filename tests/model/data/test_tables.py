"""A shop's own photos: CSV, folders, and photos nobody labelled."""

import csv

import numpy as np
import pytest

from model.data import load_dataset, load_datasets, read_photo
from model.errors import DataError, ParameterError
from tests.model.data.conftest import draw


def write_csv(folder, rows, name="gallery.csv"):
    with (folder / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / name


@pytest.fixture
def rows(tmp_path):
    """Six products with three photos each."""
    names = [(item, f"{item}_{k}.png") for item in "abcdef" for k in range(3)]
    for number, (_, name) in enumerate(names):
        draw(tmp_path / name, (24, 32), number)
    return [{"image": name, "product_id": item, "colour": "red"} for item, name in names]


@pytest.fixture
def folder(tmp_path, rows):
    write_csv(tmp_path, rows)
    return tmp_path


def items(photos):
    return {photo.item for photo in photos}


@pytest.mark.parametrize("name", ["", "gallery.csv"])
def test_a_csv_is_read_by_its_name_or_its_folder(folder, name):
    found = load_dataset(f"csv:{folder / name}", holdout=0.3)
    assert len(items(found.train)) == 4
    assert len(items(found.validation.queries)) == 2
    assert found.test is None
    assert found.train[0].attributes == {"colour": "red"}


def test_columns_may_be_named(tmp_path, rows):
    named = [{"shot": r["image"], "design": r["product_id"]} for r in rows]
    table = write_csv(tmp_path, named, "own.csv")
    found = load_dataset(f"csv:{table}", image_column="shot", product_column="design")
    assert len(items(found.train)) == 5


def test_a_split_column_is_followed(tmp_path, rows):
    splits = {"a": "train", "b": "train", "c": "val", "d": "val", "e": "test", "f": "test"}
    write_csv(tmp_path, [{**r, "split": splits[r["product_id"]]} for r in rows])
    found = load_dataset(f"csv:{tmp_path}")
    assert items(found.train) == {"a", "b"}
    assert items(found.validation.queries) == items(found.validation.gallery) == {"c", "d"}
    assert items(found.test.queries) == items(found.test.gallery) == {"e", "f"}


def test_query_and_gallery_rows_make_the_test_set(tmp_path, rows):
    for row in rows:
        part = "query" if row["image"].endswith("_0.png") else "gallery"
        row["split"] = part if row["product_id"] in "ef" else "train"
    write_csv(tmp_path, rows)
    test = load_dataset(f"csv:{tmp_path}").test
    assert [len(test.queries), len(test.gallery)] == [2, 4]


def test_boxes_of_a_csv_are_cut_out(tmp_path, rows):
    write_csv(tmp_path, [{**r, "x1": 2, "y1": 4, "x2": 20, "y2": 30} for r in rows])
    assert read_photo(load_dataset(f"csv:{tmp_path}").train[0]).size == (18, 26)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"product_id": "e", "split": "test"}, "item 'e' of .* is in train and in test; each item"),
        ({"split": "exam"}, "line 2 of .* has the split 'exam'"),
        ({"product_id": " "}, "line 2 of .* has no product_id"),
        ({"image": "gone.png"}, r"1 of 18 images .* absent, the first is .*gone\.png"),
        ({"x1": "9", "y1": "0", "x2": "3", "y2": "9"}, "line 2 of .* the box 9, 0, 3, 9"),
        ({"x1": "9", "y1": "", "x2": "3", "y2": "9"}, "line 2 of .* four empty cells"),
    ],
)
def test_a_bad_row_is_named(tmp_path, rows, change, message):
    blank = {"split": "", "x1": "", "y1": "", "x2": "", "y2": ""}
    rows = [{**blank, **row} for row in rows]
    rows[0] |= change
    write_csv(tmp_path, rows)
    with pytest.raises(DataError, match=message):
        load_dataset(f"csv:{tmp_path}")


def test_a_photo_listed_twice_is_refused_unless_its_boxes_differ(tmp_path, rows):
    rows.append({**rows[3], "product_id": "f"})
    write_csv(tmp_path, rows)
    with pytest.raises(DataError, match=r"lines 5 and 20 of .* name the same photo, b_0\.png"):
        load_dataset(f"csv:{tmp_path}")
    boxes = [{"x1": 0, "y1": 0, "x2": 9 + k, "y2": 9} for k in range(len(rows))]
    write_csv(tmp_path, [{**row, **box} for row, box in zip(rows, boxes, strict=True)])
    assert load_dataset(f"csv:{tmp_path}").train


def test_a_query_class_without_positives_is_noted_and_all_of_them_refused(tmp_path, rows):
    for row in rows:
        if row["product_id"] in "ef":
            row["split"] = "query" if row["product_id"] == "e" else "gallery"
        else:
            row["split"] = "train"
    write_csv(tmp_path, rows)
    with pytest.raises(DataError, match="none of the 3 queries in the test set"):
        load_dataset(f"csv:{tmp_path}")
    rows[-4]["split"] = "gallery"
    write_csv(tmp_path, rows)
    notes = load_dataset(f"csv:{tmp_path}").notes
    assert not any("no photo of their item" in note for note in notes)
    rows[-1]["split"], rows[-2]["split"] = "query", "gallery"
    rows[-1]["product_id"] = "g"
    write_csv(tmp_path, rows)
    notes = load_dataset(f"csv:{tmp_path}").notes
    assert "1 of 3 test queries have no photo of their item in the gallery." in notes


def test_a_csv_without_products_points_to_photos(tmp_path, rows):
    table = write_csv(tmp_path, [{"image": r["image"], "label": "x"} for r in rows])
    with pytest.raises(
        DataError, match=r"columns image, label, none of which is the product.*photos:DIR"
    ):
        load_dataset(f"csv:{table}")


def test_a_column_that_was_named_and_is_not_there_is_a_wrong_option(folder):
    with pytest.raises(ParameterError, match="none of which is the image"):
        load_dataset(f"csv:{folder}?image_column=bild")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"image,product_id\n", "has no rows"),
        (b"image,product_id\na.png\n", "line 2 .* more or fewer cells"),
        (b"image,product_id\n\xff\xfe,x\n", "is not a CSV in UTF-8"),
    ],
)
def test_a_damaged_csv_is_refused(tmp_path, content, message):
    (tmp_path / "gallery.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_dataset(f"csv:{tmp_path}")


def test_subfolders_are_items(tmp_path):
    for item in "abcd":
        for k in range(2):
            draw(tmp_path / item / f"{k}.png")
    found = load_dataset(f"folder:{tmp_path}")
    assert items(found.train) | items(found.validation.queries) == set("abcd")


def test_an_item_with_one_photo_each_leaves_nothing_to_hold_out(tmp_path):
    for item in "abcd":
        draw(tmp_path / item / "0.png")
    with pytest.raises(DataError, match="0 of 4 training items have two photos or more"):
        load_dataset(f"folder:{tmp_path}")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("folder", "holds no photos in subfolders"),
        ("photos", "holds no photos; expected files"),
        ("csv", "gallery.csv does not exist"),
    ],
)
def test_an_empty_folder_is_refused(tmp_path, kind, message):
    with pytest.raises(DataError, match=message):
        load_dataset(f"{kind}:{tmp_path}")


def test_each_unlabelled_photo_is_its_own_item(folder):
    (folder / "gallery.csv").unlink()
    found = load_dataset(f"photos:{folder}", holdout=0.2)
    assert found.views
    assert len(items(found.train)) == len(found.train)
    assert len(found.train) + len(found.validation.gallery) == 18
    assert items(found.validation.queries) == items(found.validation.gallery)


def test_the_query_of_an_unlabelled_photo_is_a_view_of_it_and_always_the_same(folder):
    validation = load_dataset(f"photos:{folder}").validation
    query, shown = validation.queries[0], validation.gallery[0]
    assert query.path == shown.path
    assert np.array_equal(read_photo(query), read_photo(query))
    assert not np.array_equal(read_photo(query).resize((9, 9)), read_photo(shown).resize((9, 9)))


def test_contributors_are_held_out_whole(tmp_path, rows):
    write_csv(tmp_path, [{"image": r["image"], "contributor": r["product_id"]} for r in rows])
    found = load_dataset(f"photos:{tmp_path}", holdout=0.3)
    trained = {photo.path.name[0] for photo in found.train}
    held = {photo.path.name[0] for photo in found.validation.gallery}
    assert len(held) == 2
    assert not trained & held


def test_photos_elsewhere_may_be_named_by_their_whole_path(tmp_path, rows):
    (tmp_path / "table").mkdir()
    write_csv(tmp_path / "table", [{"image": str(tmp_path / r["image"])} for r in rows])
    found = load_dataset(f"photos:{tmp_path / 'table'}")
    assert all(read_photo(photo).size == (24, 32) for photo in found.train)


def test_one_contributor_alone_cannot_be_divided(tmp_path, rows):
    write_csv(tmp_path, [{"image": r["image"], "contributor": "me"} for r in rows])
    with pytest.raises(DataError, match="18 photos by 1 contributors"):
        load_dataset(f"photos:{tmp_path}")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("fashion:here", "'fashion:here' does not name a data set; expected one of: inshop:DIR"),
        ("csv", "'csv' names no place; write csv:FILE_OR_DIR"),
        ("csv:x?colour", "'colour' in 'csv:x.colour' is no option"),
        ("photos:x?size=3", "photos knows no option 'size'"),
        ("stitch:x?designs=few", "designs=few; expected a whole number, 3 or more"),
    ],
)
def test_an_unknown_spec_or_option_is_refused_in_a_sentence(spec, message):
    with pytest.raises(ParameterError, match=message):
        load_dataset(spec)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
@pytest.mark.parametrize("kind", ["csv", "photos"])
def test_a_share_that_is_none_is_refused(folder, kind, share):
    with pytest.raises(ParameterError, match="expected a share between 0 and 1"):
        load_dataset(f"{kind}:{folder}", holdout=share)


def test_several_sets_are_trained_on_together(folder, tmp_path_factory):
    loose = tmp_path_factory.mktemp("loose")
    for number in range(6):
        draw(loose / f"{number}.png", (24, 32), 90 + number)
    found = load_datasets([f"photos:{loose}", f"csv:{folder}"])
    alone = [load_dataset(f"photos:{loose}"), load_dataset(f"csv:{folder}")]
    assert len(found.train) == sum(len(each.train) for each in alone)
    assert len(items(found.train)) == sum(len(items(each.train)) for each in alone)
    assert found.views
    assert found.validation == alone[0].validation
    assert list(found.extra.values()) == [alone[1].validation]


def test_a_single_set_stays_as_it_is(folder):
    assert load_datasets([f"csv:{folder}"]) == load_dataset(f"csv:{folder}")
