"""DeepFashion In-Shop Clothes Retrieval, in its official layout.

Anno/list_bbox_inshop.txt  Anno/list_item_inshop.txt  Eval/list_eval_partition.txt
Img/img/ (256 x 256, padded)  Img/img_highres/
"""

from collections.abc import Sequence
from pathlib import Path

from model.data.deepfashion import (
    check_counts,
    find_directory_id,
    find_file,
    find_images,
    read_box,
    read_list,
    strip_folder,
)
from model.data.holdout import check_retrieval, check_training, hold_out, note_singles
from model.data.records import Box, BoxFrame, DataSet, Photo, RetrievalSet, group_by_item
from model.data.spec import Options, require_folder
from model.data.tables import check_files
from model.errors import DataError

PARTITION = ("image_name", "item_id", "evaluation_status")
BOXES = ("image_name", "clothes_type", "pose_type", "x_1", "y_1", "x_2", "y_2")
COUNTS = {
    "images": 52_712, "items": 7_982,
    "train images": 25_882, "train items": 3_997,
    "query images": 14_218, "query items": 3_985,
    "gallery images": 12_612, "gallery items": 3_985,
}  # fmt: skip
# Boxes are drawn in the padded low-resolution square, also for img_highres.
SIDE = 256
POSES = {"1": "front", "2": "side", "3": "back", "4": "zoom-out", "5": "zoom-in", "6": "alone"}
CLOTHES = {"1": "upper", "2": "lower", "3": "full"}


def load_inshop(path: Path, options: Options, seed: int, holdout: float) -> DataSet:
    """Read In-Shop; validation is held out of the training items, as there is no official one.

    Options: `images` (img, the default, or img_highres), `crops` (none, the default and
    what peers do, or box), `counts` (official, or any for a part of the set).
    """
    folder = options.take("images", "img", ("img", "img_highres"))
    crops = options.take("crops", "none", ("none", "box"))
    counts = options.take("counts", "official", ("official", "any"))
    options.finish()
    require_folder(path, "the official In-Shop folder with Anno/, Eval/ and Img/")
    partition = find_file(path, "Eval/list_eval_partition.txt", "list_eval_partition.txt")
    boxes = _read_boxes(path) if crops == "box" else {}
    parts, notes = _read_partition(partition, find_images(path, folder), boxes, folder)
    check_counts(path, _count(parts), COUNTS, counts)
    check_files((photo for part in parts.values() for photo in part), partition)
    return _assemble(path, parts, notes, seed, holdout)


def _assemble(
    path: Path, parts: dict[str, list[Photo]], notes: list[str], seed: int, holdout: float
) -> DataSet:
    check_training(parts["train"], path)
    train, validation = hold_out(parts["train"], holdout, seed)
    test = RetrievalSet("test", tuple(parts["query"]), tuple(parts["gallery"]))
    shared = {p.item for p in parts["train"]} & {p.item for p in (*test.queries, *test.gallery)}
    if shared:
        raise DataError(
            f"{len(shared):,} items of {path}, such as {min(shared)}, are in train and in query or "
            "gallery; the official partition has none: unpack it again"
        )
    found = ", ".join(f"{value:,} {name}" for name, value in _count(parts).items())
    notes = [f"Found {found}.", *notes]
    notes.append(f"{len(group_by_item(validation.gallery)):,} training items held out.")
    notes += note_singles(train) + check_retrieval(validation, path) + check_retrieval(test, path)
    return DataSet(f"inshop:{path}", train, validation, test, tuple(notes))


def _read_partition(
    path: Path, images: Path, boxes: dict[str, tuple[Box, str, str]], folder: str
) -> tuple[dict[str, list[Photo]], list[str]]:
    parts: dict[str, list[Photo]] = {"train": [], "query": [], "gallery": []}
    unlike = 0
    frame = BoxFrame(SIDE, padded=True) if folder != "img" else None
    for line in read_list(path, PARTITION):
        name, item, status = line.cells
        if status not in parts:
            raise DataError(
                f"line {line.number} of {path} has the status {status!r}; "
                f"expected one of: {', '.join(parts)}"
            )
        unlike += find_directory_id(name) != item
        box, clothes, pose = _find_box(name, boxes)
        attributes = {"clothes": clothes, "pose": pose} if boxes else {}
        where = images / strip_folder(name)
        parts[status].append(
            Photo(where, item, "", box, attributes, frame if box is not None else None)
        )
    said = f"{unlike:,} images lie in the folder of another item than the partition says; it is "
    return parts, [f"{said}believed."] if unlike else []


def _find_box(name: str, boxes: dict[str, tuple[Box, str, str]]) -> tuple[Box | None, str, str]:
    if not boxes:
        return None, "", ""
    if name not in boxes:
        raise DataError(
            f"{name} is in the partition but has no box in list_bbox_inshop.txt; unpack that file "
            "again or use crops=none"
        )
    return boxes[name]


def _read_boxes(root: Path) -> dict[str, tuple[Box, str, str]]:
    path = find_file(root, "Anno/list_bbox_inshop.txt", "list_bbox_inshop.txt")
    found = {}
    for line in read_list(path, BOXES):
        box = read_box(path, line, 3)
        if min(box) < 0 or max(box) > SIDE:
            raise DataError(
                f"line {line.number} of {path} has the box {tuple(box)}, outside the image of "
                f"{SIDE} x {SIDE} that these boxes belong to; correct it, or use crops=none"
            )
        name, clothes, pose = line.cells[:3]
        found[name] = box, CLOTHES.get(clothes, clothes), POSES.get(pose, pose)
    return found


def _count(parts: dict[str, list[Photo]]) -> dict[str, int]:
    every: Sequence[Photo] = [photo for part in parts.values() for photo in part]
    found = {"images": len({p.path for p in every}), "items": len({p.item for p in every})}
    for name, part in parts.items():
        found[f"{name} images"] = len(part)
        found[f"{name} items"] = len({photo.item for photo in part})
    return found
