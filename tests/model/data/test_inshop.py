"""DeepFashion In-Shop from a miniature in the official layout."""

import pytest

from model.data import inshop as reader
from model.data import load_dataset, read_photo
from model.data.records import Box, BoxFrame
from model.errors import DataError, ParameterError
from tests.model.data.conftest import PARTITION, replace_line, write_list


def load(root, options="counts=any", **more):
    return load_dataset(f"inshop:{root}?{options}", **more)


def test_query_and_gallery_are_those_of_the_partition(inshop):
    test = load(inshop).test
    assert {photo.item for photo in test.queries} == {photo.item for photo in test.gallery}
    assert [len(test.queries), len(test.gallery)] == [6, 3]
    assert all(photo.path.name.startswith("03") for photo in test.gallery)


def test_validation_is_held_out_of_training_items_and_touches_no_test_item(inshop):
    found = load(inshop, holdout=0.4)
    held = {p.item for p in (*found.validation.queries, *found.validation.gallery)}
    trained = {photo.item for photo in found.train}
    tested = {photo.item for photo in found.test.queries}
    assert len(held) == 2
    assert len(held | trained) == 6
    assert not held & trained
    assert not (held | trained) & tested


def test_the_seed_chooses_the_held_out_items_and_nothing_else_does(inshop):
    sets = [load(inshop, seed=seed).validation for seed in (0, 0, 1, 2, 3)]
    assert sets[0] == sets[1]
    assert any(each != sets[0] for each in sets[2:])


def test_an_item_with_one_photo_is_trained_on_never_held_out_and_noted(inshop):
    for seed in range(5):
        found = load(inshop, holdout=0.6, seed=seed)
        assert any(photo.item == "id_00000001" for photo in found.train)
    assert any("1 of 2 training items have a single photo" in note for note in found.notes)


def test_the_miniature_is_refused_as_the_full_benchmark_with_all_counts(inshop):
    with pytest.raises(DataError, match=r"found 25 images, expected 52,712; 9 items") as caught:
        load_dataset(f"inshop:{inshop}")
    assert "train items, expected 3,997" in str(caught.value)
    assert "gallery items, expected 3,985" in str(caught.value)


def list_full_benchmark():
    """As many images and items in each part as the data set's page says."""
    for status, images, first, items in (("train", 25_882, 1, 3_997),
                                         ("query", 14_218, 3_998, 3_985),
                                         ("gallery", 12_612, 3_998, 3_985)):  # fmt: skip
        for k in range(images):
            item = f"id_{first + k % items:08}"
            yield f"img/WOMEN/Dresses/{item}/{k:05}_{status}.jpg", item, status


def test_the_full_benchmark_passes_and_fails_with_one_image_less(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "check_files", lambda *_: None)
    rows = list(list_full_benchmark())
    (tmp_path / "Img/img").mkdir(parents=True)
    write_list(tmp_path / "Eval/list_eval_partition.txt", PARTITION, rows)
    found = load_dataset(f"inshop:{tmp_path}")
    assert len({photo.item for photo in found.validation.gallery}) == 400
    write_list(tmp_path / "Eval/list_eval_partition.txt", PARTITION, rows[1:])
    with pytest.raises(DataError, match="found 52,711 images, expected 52,712; 25,881 train im"):
        load_dataset(f"inshop:{tmp_path}")


def test_boxes_are_off_by_default_as_peers_do(inshop):
    assert {photo.box for photo in load(inshop).train} == {None}


def test_a_box_on_high_resolution_undoes_the_padding(inshop):
    photo = load(inshop, "counts=any&crops=box&images=img_highres").train[0]
    assert photo.box == Box(64, 16, 192, 240)
    assert photo.box_frame == BoxFrame(256, padded=True)
    # 300 x 600 was scaled by 256/600 and padded by 64 left and right.
    assert read_photo(photo).size == (300, round(240 * 600 / 256) - round(16 * 600 / 256))


def test_a_box_on_the_small_image_is_taken_as_it_stands(inshop):
    assert read_photo(load(inshop, "counts=any&crops=box").train[0]).size == (128, 224)


def test_pose_and_kind_come_with_the_boxes(inshop):
    photo = load(inshop, "counts=any&crops=box").train[0]
    assert photo.attributes == {"clothes": "full", "pose": "front"}


def test_a_missing_partition_file_is_named(inshop):
    (inshop / "Eval/list_eval_partition.txt").unlink()
    with pytest.raises(DataError, match=r"list_eval_partition.txt does not exist"):
        load(inshop)


def test_a_short_partition_file_is_told_by_its_first_line(inshop):
    path = inshop / "Eval/list_eval_partition.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-4]) + "\n")
    with pytest.raises(DataError, match=r"has 21 rows, but its first line says 25"):
        load(inshop)


@pytest.mark.parametrize(
    ("number", "text", "message"),
    [
        (1, "many", "line 1 .* is 'many'; expected the number of rows"),
        (2, "image item status", "names the columns image item status; expected image_name"),
        (3, "img/a/id_1/x.jpg  id_1  practice", "line 3 .* the status 'practice'"),
        (3, "img/a/id_1/x.jpg  train", "line 3 .* has 2 columns; expected 3"),
    ],
)
def test_a_damaged_partition_line_is_named(inshop, number, text, message):
    replace_line(inshop / "Eval/list_eval_partition.txt", number, text)
    with pytest.raises(DataError, match=message):
        load(inshop)


def test_an_image_that_is_listed_but_absent_is_named(inshop):
    gone = inshop / "Img/img/WOMEN/Dresses/id_00000002/01_1_front.jpg"
    gone.unlink()
    with pytest.raises(DataError, match=r"1 of 25 images .* absent, the first is .*id_00000002/01"):
        load(inshop)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ("10 10 300 200", "outside the image of 256 x 256"),
        ("90 10 90 200", "empty box 90 10 90 200"),
        ("a 10 90 200", "expected four whole numbers"),
    ],
)
def test_a_box_that_cannot_be_is_named_with_its_line(inshop, box, message):
    name = "img/WOMEN/Dresses/id_00000001/01_1_front.jpg"
    replace_line(inshop / "Anno/list_bbox_inshop.txt", 3, f"{name} 3 1 {box}")
    with pytest.raises(DataError, match=rf"line 3 .*{message}"):
        load(inshop, "counts=any&crops=box")


def test_an_image_without_a_box_is_named_when_boxes_are_asked_for(inshop):
    replace_line(inshop / "Anno/list_bbox_inshop.txt", 3, "img/other.jpg 3 1 0 0 9 9")
    with pytest.raises(DataError, match=r"id_00000001/01_1_front.jpg is in the partition but has"):
        load(inshop, "counts=any&crops=box")


def test_an_item_in_train_and_test_is_refused(inshop):
    name = "img/WOMEN/Dresses/id_00000001/01_1_front.jpg"
    replace_line(inshop / "Eval/list_eval_partition.txt", 3, f"{name}  id_00000007  train")
    with pytest.raises(DataError, match=r"1 items .* such as id_00000007, are in train and in"):
        load(inshop)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere does not exist; expected the official In-Shop"):
        load(tmp_path / "nowhere")


def test_missing_images_are_told_before_any_is_looked_up(inshop):
    (inshop / "Img").rename(inshop / "Pictures")
    with pytest.raises(DataError, match=r"unpack img\.zip there"):
        load(inshop)


def test_crops_have_a_closed_list_of_values(inshop):
    with pytest.raises(ParameterError, match="no crops=tight; expected one of: none, box"):
        load(inshop, "crops=tight")
