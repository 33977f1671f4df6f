"""DeepFashion Consumer-to-Shop from a miniature in the official layout."""

import pytest
from PIL import Image

from model.data import load_dataset, read_photo
from model.data.records import Box
from model.errors import DataError
from tests.model.data.conftest import draw, replace_line


def load(root, options="counts=any", **more):
    return load_dataset(f"c2s:{root}?{options}", **more)


def test_pairs_are_counted_once_an_image(c2s):
    found = load(c2s)
    photos = [*found.train, *found.validation.queries, *found.validation.gallery]
    assert len(photos) == len({photo.path for photo in photos}) == 5 * 4


def test_the_gallery_is_every_shop_image_of_val_and_test(c2s):
    test = load(c2s).test
    assert {photo.domain for photo in test.gallery} == {"shop"}
    assert {photo.item[-2:] for photo in test.gallery} == {"06", "07", "08", "09", "10"}
    assert len(test.gallery) == 10


def test_the_queries_are_the_consumer_images_of_test(c2s):
    test = load(c2s).test
    assert {photo.domain for photo in test.queries} == {"consumer"}
    assert {photo.item[-2:] for photo in test.queries} == {"08", "09", "10"}
    assert len(test.queries) == 6


def test_held_out_items_are_asked_for_across_domains(c2s):
    held = load(c2s, holdout=0.4).validation
    assert {photo.domain for photo in held.queries} == {"consumer"}
    assert {photo.domain for photo in held.gallery} == {"shop"}
    assert {photo.item for photo in held.queries} == {photo.item for photo in held.gallery}


def test_the_official_val_stands_beside_and_not_in_place_of_the_held_out_items(c2s):
    found = load(c2s)
    assert {photo.item[-2:] for photo in found.extra["val"].queries} == {"06", "07"}
    assert not {p.item for p in found.extra["val"].queries} & {
        p.item for p in found.validation.queries
    }


@pytest.mark.parametrize(
    ("crops", "size"),
    [("box", (80, 90)), ("loose", (100, 120)), ("none", (225, 300))],
)
def test_crops_are_correct_by_default_and_loose_for_parity(c2s, crops, size):
    assert read_photo(load(c2s, f"counts=any&crops={crops}").train[0]).size == size


def test_loose_crops_end_at_the_border_of_the_image(c2s):
    name = "img/DRESSES/Skirt/id_00000001/comsumer_01.jpg"
    replace_line(c2s / "Anno/list_bbox_consumer2shop.txt", 3, f"{name} 2 2 100 100 200 280")
    found = load(c2s, "counts=any&crops=loose", seed=1)
    photo = next(p for p in found.train if p.path.as_posix().endswith(name))
    assert photo.box == Box(100, 100, 300, 380)
    assert read_photo(photo).size == (125, 200)
    assert any("loose" in note for note in found.notes)


def test_boxes_of_the_small_images_are_scaled_to_high_resolution(c2s):
    (c2s / "Img/img").rename(c2s / "Img/img_highres")
    for path in (c2s / "Img/img_highres").rglob("*.jpg"):
        draw(path, (450, 600))
    found = load(c2s, "counts=any&images=img_highres")
    assert read_photo(found.train[0]).size == (160, 180)
    assert any("scaled up to img_highres" in note for note in found.notes)


def test_the_folder_that_the_high_resolution_pack_misnames_is_found(c2s):
    text = (c2s / "Eval/list_eval_partition.txt").read_text()
    boxes = (c2s / "Anno/list_bbox_consumer2shop.txt").read_text()
    for path, old in (("Eval/list_eval_partition.txt", text),
                      ("Anno/list_bbox_consumer2shop.txt", boxes)):  # fmt: skip
        (c2s / path).write_text(old.replace("/Skirt/", "/Summer_Wear/"))
    (c2s / "Img/img/DRESSES/Skirt").rename(c2s / "Img/img/DRESSES/Summer_Suit")
    assert all("Summer_Suit" in photo.path.parts for photo in load(c2s).train)


def test_either_name_of_the_item_list_is_read(c2s):
    (c2s / "Anno/list_item_consumer2shop.txt").rename(c2s / "Anno/list_items_consumer2shop.txt")
    assert load(c2s).test is not None


def test_the_folder_names_the_item_and_disagreements_are_counted(c2s):
    path = c2s / "Eval/list_eval_partition.txt"
    first = path.read_text().splitlines()[2].split()
    replace_line(path, 3, "  ".join([*first[:2], "id_00000099", first[3]]))
    found = load(c2s)
    assert "id_00000099" not in {photo.item for photo in found.train}
    assert any(note.startswith("2 times the item of a pair is not") for note in found.notes)


def test_source_type_outweighs_the_place_in_the_pair(c2s):
    name = "img/DRESSES/Skirt/id_00000008/comsumer_01.jpg"
    path = c2s / "Anno/list_bbox_consumer2shop.txt"
    number = next(k for k, line in enumerate(path.read_text().splitlines(), 1) if name in line)
    replace_line(path, number, f"{name}  2  1  20 30 100 120")
    found = load(c2s)
    assert any(photo.path.as_posix().endswith(name) for photo in found.test.gallery)
    assert any(note.startswith("2 times an image's source_type") for note in found.notes)


def test_the_miniature_is_refused_as_the_full_benchmark(c2s):
    with pytest.raises(DataError, match=r"found 40 images, expected 239,557; 10 items, expected"):
        load_dataset(f"c2s:{c2s}")


def test_split_sizes_and_pairs_are_noted(c2s):
    notes = " ".join(load(c2s).notes)
    assert "40 pairs (195,540 in the whole set)" in notes
    assert "Test: 6 queries, 10 gallery images of val + test." in notes


@pytest.mark.parametrize(
    ("file", "number", "text", "message"),
    [
        ("Anno/list_bbox_consumer2shop.txt", 3, "img/a.jpg 2 3 0 0 9 9", "source_type '3'"),
        ("Anno/list_bbox_consumer2shop.txt", 3, "img/a.jpg 2 2 0 0 9 9", "names .* has no box"),
        ("Eval/list_eval_partition.txt", 3, "a b id_1 exam", "the status 'exam'"),
        ("Anno/list_item_consumer2shop.txt", 1, "11", "has 10 rows, but its first line says 11"),
    ],
)
def test_a_damaged_list_is_named(c2s, file, number, text, message):
    replace_line(c2s / file, number, text)
    with pytest.raises(DataError, match=message):
        load(c2s)


def test_a_box_outside_its_image_is_named_when_it_is_read(c2s):
    photo = load(c2s).train[0]
    Image.new("RGB", (18, 18)).save(photo.path)
    with pytest.raises(DataError, match=r"\(20, 30, 100, 120\) of .* outside the image of 18 x 18"):
        read_photo(photo)
