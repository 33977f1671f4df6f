"""A shop's own products: a CSV, a folder of folders, or photos that nobody labelled."""

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from model.data.holdout import (
    check_retrieval,
    check_share,
    check_training,
    divide_items,
    hold_out,
    note_singles,
)
from model.data.records import Box, DataSet, Photo, RetrievalSet, group_by_item
from model.data.spec import Options, require_folder
from model.errors import DataError, ParameterError

SUFFIXES = (
    ".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif",
)  # fmt: skip
IMAGE_NAMES = ("image", "image_path", "image_name", "path", "file", "filename", "photo")
PRODUCT_NAMES = ("product_id", "product", "item_id", "item", "sku")
BOX_NAMES = ("x1", "y1", "x2", "y2")
SPLITS = {
    "": "train", "train": "train", "val": "validation", "valid": "validation",
    "validation": "validation", "test": "test", "query": "query", "gallery": "gallery",
}  # fmt: skip
TABLE = "gallery.csv"
Row = dict[str, str]


def load_csv(path: Path, options: Options, seed: int, holdout: float) -> DataSet:
    """Read a CSV with an image and a product column.

    Optional columns: `domain` (shop, consumer), `x1 y1 x2 y2` (a box), and `split`
    (train, val, test; or query and gallery for a test set that is already divided).
    Items of `val` and `test` are divided into queries and gallery.
    """
    table = find_table(path)
    rows = read_rows(table)
    image = find_column(table, rows[0], options.take("image_column", ""), IMAGE_NAMES, "image")
    product = find_column(
        table, rows[0], options.take("product_column", ""), PRODUCT_NAMES, "product"
    )
    options.finish()
    groups: dict[str, list[Photo]] = {name: [] for name in SPLITS.values()}
    seen: dict[tuple[object, ...], int] = {}
    for number, row in enumerate(rows, start=2):
        photo = make_photo(table, number, row, image, product)
        refuse_twin(table, number, photo, seen)
        groups[read_split(table, number, row)].append(photo)
    check_files((photo for group in groups.values() for photo in group), table)
    return _assemble(f"csv:{table}", table, groups, seed, holdout)


def load_folder(path: Path, options: Options, seed: int, holdout: float) -> DataSet:
    """Read a folder in which each subfolder holds the photos of one item."""
    options.finish()
    require_folder(path, "a folder with one subfolder of photos for each item")
    photos = [
        Photo(file, file.parent.relative_to(path).as_posix())
        for file in list_images(path)
        if file.parent != path
    ]
    if not photos:
        raise DataError(
            f"{path} holds no photos in subfolders; put the photos of each item into a folder of "
            f"their own, or use photos:{path} if each photo shows another item"
        )
    groups = {"train": photos, "validation": [], "test": [], "query": [], "gallery": []}
    return _assemble(f"folder:{path}", path, groups, seed, holdout)


def load_photos(path: Path, options: Options, seed: int, holdout: float) -> DataSet:
    """Read photos that nobody labelled: each is its own item, its positives are its views.

    Validation is by whole contributor where gallery.csv has such a column, so that
    nobody's habits and rooms stand on both sides.
    """
    options.finish()
    check_share(holdout)
    table = path / TABLE
    owners = _read_owners(table) if table.is_file() else _list_unowned(path)
    photos = [Photo(file, _name_photo(file, path)) for file in owners]
    check_files(photos, table)
    names = sorted(set(owners.values()))
    if len(photos) < 3 or len(names) < 2:
        raise DataError(
            f"{path} has {len(photos)} photos by {len(names)} contributors; "
            "at least 3 by 2 are needed, to train and to validate"
        )
    chosen = _choose_owners(Counter(owners.values()), holdout, seed)
    kept = tuple(p for p in photos if owners[p.path] not in chosen)
    held = tuple(p for p in photos if owners[p.path] in chosen)
    check_training(kept, path)
    queries = tuple(replace(p, view_seed=seed + k) for k, p in enumerate(held))
    notes = [
        f"{len(photos):,} unlabelled photos, each its own item; {len(held):,} of them, by "
        f"{len(chosen):,} of {len(names):,} contributors, are held out, and their augmented "
        "views are the queries."
    ]
    validation = RetrievalSet("validation", queries, held)
    return DataSet(f"photos:{path}", kept, validation, None, tuple(notes), views=True)


def list_images(folder: Path) -> list[Path]:
    """All image files below a folder, sorted; hidden ones are passed over."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )


def check_files(photos: Iterable[Photo], listed_in: object) -> None:
    """Refuse a list that names photos which are not there."""
    paths = {photo.path for photo in photos}
    absent = sorted(path for path in paths if not path.is_file())
    if absent:
        raise DataError(
            f"{len(absent):,} of {len(paths):,} images listed in {listed_in} are absent, the first "
            f"is {absent[0]}; unpack or copy them there, or take their lines out"
        )


def _assemble(
    name: str, where: Path, groups: dict[str, list[Photo]], seed: int, holdout: float
) -> DataSet:
    """Put the parts of a split together; hold items out where no validation was given."""
    _check_disjoint(where, groups)
    train = tuple(groups["train"])
    check_training(train, where)
    notes = [f"{len(train):,} training photos of {len(group_by_item(train)):,} items."]
    if groups["validation"]:
        rng = np.random.default_rng([seed, 1])
        validation = divide_items(groups["validation"], "validation", rng)
    else:
        train, validation = hold_out(train, holdout, seed)
        notes.append(f"{len(group_by_item(validation.gallery)):,} items held out of them.")
    notes += note_singles(train) + check_retrieval(validation, where)
    test = _make_test(groups, seed)
    if test:
        notes += check_retrieval(test, where)
    return DataSet(name, train, validation, test, tuple(notes))


def _make_test(groups: dict[str, list[Photo]], seed: int) -> RetrievalSet | None:
    if groups["query"] or groups["gallery"]:
        found = tuple(groups["gallery"] + groups["test"])
        return RetrievalSet("test", tuple(groups["query"]), found)
    rng = np.random.default_rng([seed, 2])
    return divide_items(groups["test"], "test", rng) if groups["test"] else None


def _check_disjoint(where: Path, groups: dict[str, list[Photo]]) -> None:
    """Refuse an item that stands in two of train, validation and test."""
    test = groups["query"] + groups["gallery"] + groups["test"]
    parts = {"train": groups["train"], "validation": groups["validation"], "test": test}
    owner: dict[str, str] = {}
    for name, part in parts.items():
        for photo in part:
            if owner.setdefault(photo.item, name) != name:
                raise DataError(
                    f"item {photo.item!r} of {where} is in {owner[photo.item]} and in {name}; each "
                    "item belongs to one split, or the score means nothing"
                )


def find_table(path: Path) -> Path:
    """The CSV that a path names: itself, or gallery.csv in the folder."""
    table = path / TABLE if path.is_dir() else path
    if not table.is_file():
        raise DataError(
            f"{table} does not exist; expected a CSV with an image and a product column"
        )
    return table


def read_rows(table: Path) -> list[Row]:
    """Every row of a CSV in UTF-8 by its columns; rows of another width are refused."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} is not a CSV in UTF-8 ({error}); save it as one") from error
    if not rows:
        raise DataError(f"{table} has no rows; expected a header and a row for each photo")
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise DataError(
                f"line {number} of {table} has more or fewer cells than the header has columns; "
                "correct it"
            )
    return rows


def find_column(table: Path, row: Row, asked: str, guesses: tuple[str, ...], role: str) -> str:
    """The column asked for, or the first of the usual names that is there."""
    for name in (asked,) if asked else guesses:
        if name in row:
            return name
    hint = "" if role == "image" else "; if each photo shows another item, use photos:DIR"
    looked = asked or ", ".join(guesses)
    raise (ParameterError if asked else DataError)(
        f"{table} has the columns {', '.join(row)}, none of which is the {role} ({looked}); "
        f"name it with ?{role}_column=NAME{hint}"
    )


def read_split(table: Path, number: int, row: Row) -> str:
    """The part of a data set that a row is for: one of the values of `SPLITS`."""
    text = row.get("split", "").strip().lower()
    if text not in SPLITS:
        raise DataError(
            f"line {number} of {table} has the split {text!r}; expected one of: "
            f"{', '.join(filter(None, SPLITS))}"
        )
    return SPLITS[text]


def make_photo(table: Path, number: int, row: Row, image: str, product: str) -> Photo:
    """The photo of one row, its path relative to the CSV."""
    for column in (image, product):
        if not row[column].strip():
            raise DataError(f"line {number} of {table} has no {column}; fill it in or remove it")
    used = {image, product, "domain", "split", *BOX_NAMES}
    return Photo(
        path=table.parent / row[image].strip(),
        item=row[product].strip(),
        domain=row.get("domain", "").strip(),
        box=_read_box(table, number, row),
        attributes={name: value for name, value in row.items() if name not in used},
    )


def refuse_twin(
    table: Path, number: int, photo: Photo, seen: dict[tuple[object, ...], int]
) -> None:
    """A photo that stands twice would be found as its own answer."""
    first = seen.setdefault((photo.path, photo.box), number)
    if first != number:
        raise DataError(
            f"lines {first} and {number} of {table} name the same photo, {photo.path.name}; "
            "keep one of them, or give each its own box x1, y1, x2, y2"
        )


def _read_box(table: Path, number: int, row: Row) -> Box | None:
    texts = [row.get(name, "").strip() for name in BOX_NAMES]
    if not any(texts):
        return None
    try:
        box = Box(*(int(text) for text in texts))
    except ValueError:
        box = Box(0, 0, 0, 0)
    if box.x2 <= box.x1 or box.y2 <= box.y1:
        raise DataError(
            f"line {number} of {table} has the box {', '.join(texts)}; expected x1 < x2 and "
            "y1 < y2 in whole pixels, or four empty cells"
        )
    return box


def _read_owners(table: Path) -> dict[Path, str]:
    """Map each photo of gallery.csv to its contributor, or to itself without such a column."""
    rows = read_rows(table)
    image = find_column(table, rows[0], "", IMAGE_NAMES, "image")
    return {table.parent / row[image]: row.get("contributor") or row[image] for row in rows}


def _list_unowned(path: Path) -> dict[Path, str]:
    require_folder(path, "a folder of photos")
    files = list_images(path)
    if not files:
        raise DataError(f"{path} holds no photos; expected files such as .jpg, .png or .webp")
    return {file: file.as_posix() for file in files}


def _name_photo(file: Path, folder: Path) -> str:
    """Its path below the folder; a CSV may name photos elsewhere by their whole path."""
    inside = file.is_relative_to(folder)
    return (file.relative_to(folder) if inside else file).as_posix()


def _choose_owners(counts: Counter[str], share: float, seed: int) -> set[str]:
    """Take contributors in random order until `share` of the photos is reached."""
    names, total = sorted(counts), counts.total()
    chosen: set[str] = set()
    held = 0
    for k in np.random.default_rng([seed, 15_485]).permutation(len(names)):
        name = names[int(k)]
        # One with most of the photos would leave nothing to train on.
        if chosen and held + counts[name] > 1.5 * share * total + 1:
            continue
        chosen.add(name)
        held += counts[name]
        if held >= share * total or len(chosen) == len(names) - 1:
            break
    return chosen
