"""DeepFashion Consumer-to-Shop Clothes Retrieval, in its official layout.

Anno/list_bbox_consumer2shop.txt  Anno/list_item(s)_consumer2shop.txt
Eval/list_eval_partition.txt (pairs)  Img/img/ (longer side 300)  Img/img_highres/
"""

from dataclasses import dataclass
from pathlib import Path

from model.data.deepfashion import (
    check_counts,
    find_directory_id,
    find_file,
    find_images,
    read_box,
    read_items,
    read_list,
    strip_folder,
)
from model.data.holdout import check_retrieval, check_training, hold_out, note_singles
from model.data.records import (
    CONSUMER,
    SHOP,
    Box,
    BoxFrame,
    DataSet,
    Photo,
    RetrievalSet,
    group_by_item,
)
from model.data.spec import Options, require_folder
from model.data.tables import check_files
from model.errors import DataError

PARTITION = ("image_pair_name_1", "image_pair_name_2", "item_id", "evaluation_status")
BOXES = ("image_name", "clothes_type", "source_type", "x_1", "y_1", "x_2", "y_2")
COUNTS = {"images": 239_557, "items": 33_881}
PAIRS = 195_540
SOURCES = {"1": SHOP, "2": CONSUMER}
STATUSES = ("train", "val", "test")
# The longer side of Img/img; boxes that stay within it are drawn there.
SIDE = 300
# The high-resolution pack names one folder otherwise.
RENAMED = ("Summer_Wear", "Summer_Suit")


@dataclass(frozen=True)
class _Annotation:
    box: Box
    domain: str


def load_consumer_to_shop(path: Path, options: Options, seed: int, holdout: float) -> DataSet:
    """Read Consumer-to-Shop by the official protocol.

    Queries are the consumer photos of test; the gallery is all shop photos of val and
    test. Validation is held out of the training items; `extra["val"]` is the official one,
    whose gallery is its own shop photos.

    Options: `images` (img or img_highres), `crops` (box; none; or loose, which reads the
    second corner as a width and height, as the converter behind published numbers does),
    `counts` (official, or any for a part of the set).
    """
    folder = options.take("images", "img", ("img", "img_highres"))
    crops = options.take("crops", "box", ("box", "none", "loose"))
    counts = options.take("counts", "official", ("official", "any"))
    options.finish()
    require_folder(path, "the official Consumer-to-Shop folder with Anno/, Eval/ and Img/")
    known = _read_annotations(path)
    items = read_items(
        find_file(path, "Anno/list_item_consumer2shop.txt", "Anno/list_items_consumer2shop.txt")
    )
    check_counts(path, {"images": len(known), "items": len(set(items))}, COUNTS, counts)
    partition = find_file(path, "Eval/list_eval_partition.txt", "list_eval_partition.txt")
    statuses, notes = _read_pairs(partition, known)
    maker = _PhotoMaker(find_images(path, folder), known, crops, folder)
    parts = {
        status: tuple(maker.make(name) for name in names) for status, names in statuses.items()
    }
    check_files((photo for part in parts.values() for photo in part), partition)
    return _assemble(path, parts, [*notes, *maker.notes], seed, holdout)


def _assemble(
    path: Path, parts: dict[str, tuple[Photo, ...]], notes: list[str], seed: int, holdout: float
) -> DataSet:
    check_training(parts["train"], path)
    train, validation = hold_out(parts["train"], holdout, seed)
    # An image in pairs of both val and test stands in the gallery once.
    shops = dict.fromkeys(p for s in ("val", "test") for p in parts[s] if p.domain == SHOP)
    queries = tuple(photo for photo in parts["test"] if photo.domain == CONSUMER)
    test = RetrievalSet("test", queries, tuple(shops))
    official = RetrievalSet(
        "val",
        tuple(photo for photo in parts["val"] if photo.domain == CONSUMER),
        tuple(photo for photo in parts["val"] if photo.domain == SHOP),
    )
    shared = {photo.item for photo in parts["train"]} & {photo.item for photo in queries}
    if shared:
        notes.append(
            f"{len(shared):,} items of the test queries, such as {min(shared)}, are in train too."
        )
    notes += [
        f"{len(part):,} distinct images of {len(group_by_item(part)):,} items in {status}."
        for status, part in parts.items()
    ]
    notes.append(f"Test: {len(queries):,} queries, {len(shops):,} gallery images of val + test.")
    notes += note_singles(train) + check_retrieval(validation, path) + check_retrieval(test, path)
    extra = {"val": official} if official.queries and official.gallery else {}
    return DataSet(f"c2s:{path}", train, validation, test, tuple(notes), extra)


def _read_annotations(root: Path) -> dict[str, _Annotation]:
    path = find_file(root, "Anno/list_bbox_consumer2shop.txt", "list_bbox_consumer2shop.txt")
    found = {}
    for line in read_list(path, BOXES):
        name, _, source = line.cells[:3]
        if source not in SOURCES:
            raise DataError(
                f"line {line.number} of {path} has the source_type {source!r}; "
                "expected 1 (shop) or 2 (consumer)"
            )
        found[name] = _Annotation(read_box(path, line, 3), SOURCES[source])
    return found


def _read_pairs(
    path: Path, known: dict[str, _Annotation]
) -> tuple[dict[str, list[str]], list[str]]:
    """The distinct images of each status: an image stands in as many rows as it has partners."""
    seen: dict[str, dict[str, None]] = {status: {} for status in STATUSES}
    unlike = swapped = pairs = 0
    for line in read_list(path, PARTITION):
        consumer, shop, item, status = line.cells
        if status not in seen:
            raise DataError(
                f"line {line.number} of {path} has the status {status!r}; "
                f"expected one of: {', '.join(STATUSES)}"
            )
        pairs += 1
        for name, domain in ((consumer, CONSUMER), (shop, SHOP)):
            if name not in known:
                raise DataError(
                    f"line {line.number} of {path} names {name}, which has no box in "
                    "list_bbox_consumer2shop.txt; unpack both files again"
                )
            swapped += known[name].domain != domain
            unlike += find_directory_id(name) != item
            seen[status][name] = None
    notes = [f"{pairs:,} pairs ({PAIRS:,} in the whole set)."]
    if unlike:
        notes.append(
            f"{unlike:,} times the item of a pair is not the image's folder; the folder is taken."
        )
    if swapped:
        notes.append(
            f"{swapped:,} times an image's source_type contradicts its place in the pair; "
            "source_type is taken."
        )
    return {status: list(names) for status, names in seen.items()}, notes


class _PhotoMaker:
    """Turns image names into photos, and remembers what was odd."""

    def __init__(
        self, images: Path, known: dict[str, _Annotation], crops: str, folder: str
    ) -> None:
        self._images, self._known, self._crops = images, known, crops
        self.notes = []
        reach = max((max(each.box) for each in known.values()), default=0)
        self._frame = None
        if folder != "img" and crops != "none" and reach <= SIDE:
            self._frame = BoxFrame(SIDE, padded=False)
            self.notes.append(f"Boxes reach {reach} px: they are scaled up to img_highres.")
        elif crops != "none" and reach > SIDE:
            self.notes.append(
                f"Boxes reach {reach} px, beyond the longer side of {SIDE}; they are taken as "
                f"pixels of {folder}."
            )
        if crops == "loose":
            self.notes.append("Crops are loose, for parity with published numbers only.")

    def make(self, name: str) -> Photo:
        item = find_directory_id(name)
        if item is None:
            raise DataError(
                f"{name} lies in no folder id_...; Consumer-to-Shop takes the item from it"
            )
        found = self._known[name]
        box = self._cut(found.box)
        frame = self._frame if box else None
        return Photo(self._find(name), item, found.domain, box, {}, frame)

    def _cut(self, box: Box) -> Box | None:
        if self._crops == "none":
            return None
        if self._crops == "loose":
            return Box(box.x1, box.y1, box.x1 + box.x2, box.y1 + box.y2)
        return box

    def _find(self, name: str) -> Path:
        path = self._images / strip_folder(name)
        wrong, right = RENAMED
        other = self._images / strip_folder(name).replace(f"/{wrong}/", f"/{right}/")
        return other if other != path and not path.exists() and other.exists() else path
