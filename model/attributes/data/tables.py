"""Any CSV with attribute columns: a shop's own, or photos that are for evaluation only."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model.attributes.data.assemble import (
    Named,
    ask_all,
    divide,
    find_untrainable,
    label,
    list_attributes,
    note_split,
    take_share,
)
from model.attributes.records import Attribute, AttributeData, AttributeSplit
from model.data.spec import Options
from model.data.tables import (
    IMAGE_NAMES,
    PRODUCT_NAMES,
    Row,
    check_files,
    find_column,
    find_table,
    make_photo,
    read_rows,
    read_split,
    refuse_twin,
)
from model.errors import DataError, ParameterError

EMPTY = AttributeSplit((), {}, {})
# What a tenth of the products each is held out for, where no column says it.
HELD = ("validation", "test")
TENTH = 0.1
LEAST_PRODUCTS = 10
TRAIN, EVALUATION = "train", "evaluation"


def load_csv_attributes(path: Path, options: Options, seed: int) -> AttributeData:
    """Read a CSV with an image column, a product column and a column for each attribute.

    Options: `attributes` (columns, separated by ;), `image` and `product` (their columns),
    `separator` (between several values in a cell, |), `queries` (the per cent of held-out
    photos that ask, 20; or all: every photo asks, for photos of other products) and `use`
    (train, or evaluation for photos that must never be trained on).

    An empty cell is unknown. A column `split` (train, validation, test) is believed; without
    one a tenth of the products goes to each of validation and test. Products, never photos,
    are divided, also into queries and candidates.
    """
    use = options.take("use", TRAIN, (TRAIN, EVALUATION))
    share = _take_share(options)
    table = find_table(path)
    rows = read_rows(table)
    names = _take_names(table, rows[0], options.take("attributes", ""))
    image = find_column(table, rows[0], options.take("image", ""), IMAGE_NAMES, "image")
    product = find_column(table, rows[0], options.take("product", ""), PRODUCT_NAMES, "product")
    separator = options.take("separator", "|")
    options.finish()
    photos, told = [], []
    seen: dict[tuple[object, ...], int] = {}
    for number, row in enumerate(rows, start=2):
        photo = make_photo(table, number, row, image, product)
        refuse_twin(table, number, photo, seen)
        photos.append(Named(photo, _read_values(row, names, separator), photo.item))
        told.append(read_split(table, number, row))
    check_files((each.photo for each in photos), table)
    attributes = list_attributes(names, photos)
    name = f"attributes-csv:{table}"
    if use == EVALUATION:
        test = _make_split(photos, attributes, share, seed)
        _check_measurable(table, "its photos", test, attributes)
        notes = [f"{len(photos):,} photos, for evaluation only: never trained on."]
        notes += note_split("Test", test, attributes)
        return AttributeData(name, attributes, (), EMPTY, test, tuple(notes), evaluation_only=True)
    parts = _divide_products(table, photos, told if "split" in rows[0] else None, seed)
    return _assemble(name, table, attributes, parts, share, seed)


def _assemble(
    name: str,
    table: Path,
    attributes: tuple[Attribute, ...],
    parts: dict[str, list[Named]],
    share: float | None,
    seed: int,
) -> AttributeData:
    train = label(parts["train"], attributes)
    idle = [attributes[k].name for k in find_untrainable(attributes, train)]
    if idle:
        raise DataError(
            f"the training rows of {table} have no two values of {', '.join(idle)} with two images "
            "each; a triplet needs them: add photos, or leave it out of ?attributes=..."
        )
    valid, test = (
        _make_split(parts[part], attributes, share, seed + k) for k, part in enumerate(HELD)
    )
    for part, split in zip(HELD, (valid, test), strict=True):
        _check_measurable(table, f"its {part} part", split, attributes)
    products = len({photo.group for photo in parts["train"]})
    notes = [f"{len(train):,} training photos of {products:,} products."]
    notes += note_split("Validation", valid, attributes) + note_split("Test", test, attributes)
    return AttributeData(name, attributes, train, valid, test, tuple(notes))


def _take_share(options: Options) -> float | None:
    """None where every photo asks."""
    if options.values.get("queries") != "all":
        return take_share(options)
    options.take("queries", "all")
    return None


def _take_names(table: Path, row: Row, asked: str) -> list[str]:
    names = list(dict.fromkeys(filter(None, (name.strip() for name in asked.split(";")))))
    if not names:
        raise ParameterError(
            f"{table} has the columns {', '.join(row)}; say which are attributes, as in "
            "?attributes=collar;print"
        )
    for name in names:
        if name not in row:
            raise ParameterError(
                f"{table} has no column {name!r} for an attribute; it has {', '.join(row)}"
            )
    return names


def _read_values(row: Row, names: Sequence[str], separator: str) -> dict[str, tuple[str, ...]]:
    cells = {name: row[name].split(separator) for name in names}
    return {
        name: tuple(dict.fromkeys(filter(None, (value.strip() for value in cell))))
        for name, cell in cells.items()
    }


def _divide_products(
    table: Path, photos: Sequence[Named], told: Sequence[str] | None, seed: int
) -> dict[str, list[Named]]:
    if told is not None:
        return _believe(table, photos, told)
    products = sorted({photo.group for photo in photos})
    if len(products) < LEAST_PRODUCTS:
        raise DataError(
            f"{table} has {len(products)} products; at least {LEAST_PRODUCTS} are needed to hold a "
            "tenth out for each of validation and test, or a column split that says which"
        )
    count = max(2, round(TENTH * len(products)))
    order = [products[k] for k in np.random.default_rng([seed, 7_919]).permutation(len(products))]
    parts = {product: HELD[k // count] for k, product in enumerate(order[: 2 * count])}
    found: dict[str, list[Named]] = {"train": [], **{part: [] for part in HELD}}
    for photo in photos:
        found[parts.get(photo.group, "train")].append(photo)
    return found


def _believe(table: Path, photos: Sequence[Named], told: Sequence[str]) -> dict[str, list[Named]]:
    found: dict[str, list[Named]] = {"train": [], **{part: [] for part in HELD}}
    owner: dict[str, str] = {}
    for number, (photo, part) in enumerate(zip(photos, told, strict=True), start=2):
        if part not in found:
            raise DataError(
                f"line {number} of {table} has the split {part!r}; expected one of: "
                f"{', '.join(found)}. Queries are chosen here, with ?queries=20"
            )
        if owner.setdefault(photo.group, part) != part:
            raise DataError(
                f"product {photo.group!r} of {table} is in {owner[photo.group]} and, on line "
                f"{number}, in {part}; each product belongs to one split"
            )
        found[part].append(photo)
    return found


def _make_split(
    photos: Sequence[Named], attributes: Sequence[Attribute], share: float | None, seed: int
) -> AttributeSplit:
    if share is None:
        return ask_all(photos, attributes)
    return divide(photos, attributes, share, np.random.default_rng([seed, 104_729]))


def _check_measurable(
    table: Path, part: str, split: AttributeSplit, attributes: Sequence[Attribute]
) -> None:
    if not split.num_queries or len({photo.photo.item for photo in split.photos}) < 2:
        names = ", ".join(attribute.name for attribute in attributes)
        raise DataError(
            f"{table}: {part} gives no queries and candidates for {names}; at least two products "
            "with these columns filled in are needed"
        )
