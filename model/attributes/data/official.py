"""FashionAI, DARN and DeepFashion (attribute prediction) as the code of ASEN++ lays them out.

DIR/meta.json   DIR/FashionAI/filenames_{train,valid,test}.txt   label_train.txt
                query_{valid,test}.txt   candidate_{valid,test}.txt   image folders

The 0-based line of a file name is the image's id within its split. Rows of `label_train`
are `id attribute value [attribute value ...]`, rows of the others `id attribute value`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from model.attributes.data.assemble import find_untrainable, note_split
from model.attributes.data.meta import OFFICIAL, check_known, count_rows, read_meta
from model.attributes.records import Attribute, AttributeData, AttributeSplit, Labelled
from model.data.deepfashion import check_counts
from model.data.records import Photo
from model.data.spec import Options, require_folder
from model.data.tables import check_files
from model.errors import DataError


class Row(NamedTuple):
    """One row of labels: where it stands, and its numbers."""

    number: int
    image: int
    pairs: tuple[tuple[int, int], ...]


def load_official(path: Path, options: Options, seed: int) -> AttributeData:
    """Read one of the three from DIR or DIR/<data set>; its split is fixed, `seed` unused.

    Options: `counts` (official, or any for a part of the set or another list of attributes).

    A training photo with several values of one attribute keeps them all. In query and
    candidate lists each row counts by itself, as in the authors' code.
    """
    counts = options.take("counts", "official", ("official", "any"))
    options.finish()
    layout = OFFICIAL[options.kind]
    require_folder(path, f"the folder with meta.json and {layout.folder}/")
    root = path / layout.folder if (path / layout.folder).is_dir() else path
    attributes = read_meta(root, layout)
    train = _read_train(root, attributes)
    valid, test = (_read_split(root, name, attributes) for name in ("valid", "test"))
    if counts == "official":
        check_known(root, attributes, layout)
        found = count_rows("valid", valid, attributes) | count_rows("test", test, attributes)
        check_counts(root, found, layout.counts, counts)
    for k in find_untrainable(attributes, train):
        raise DataError(
            f"{root / 'label_train.txt'} has no two values of {attributes[k].name} with two images "
            "each; a triplet needs them: unpack the official file again"
        )
    notes = [f"{len(train):,} training photos, {len(attributes)} attributes."]
    notes += note_split("Validation", valid, attributes) + note_split("Test", test, attributes)
    return AttributeData(f"{options.kind}:{path}", attributes, train, valid, test, tuple(notes))


def _read_train(root: Path, attributes: Sequence[Attribute]) -> tuple[Labelled, ...]:
    photos = _read_photos(root, "train")
    known: dict[int, dict[int, list[int]]] = {}
    for row in _read_rows(root / "label_train.txt", len(photos), attributes):
        values = known.setdefault(row.image, {})
        for attribute, value in row.pairs:
            held = values.setdefault(attribute, [])
            if value not in held:
                held.append(value)
    return tuple(
        Labelled(
            photos[image],
            {k: held[0] for k, held in values.items()},
            {k: tuple(held[1:]) for k, held in values.items() if len(held) > 1},
        )
        for image, values in sorted(known.items())
    )


def _read_split(root: Path, name: str, attributes: Sequence[Attribute]) -> AttributeSplit:
    photos = _read_photos(root, name)
    known = _Rows(photos)
    sides: list[dict[int, list[int]]] = [{}, {}]
    owners: dict[tuple[int, int], str] = {}
    for side, kind in zip(sides, ("query", "candidate"), strict=True):
        table = root / f"{kind}_{name}.txt"
        for row in _read_rows(table, len(photos), attributes, pairs=1):
            ((attribute, value),) = row.pairs
            if owners.setdefault((row.image, attribute), kind) != kind:
                raise DataError(
                    f"line {row.number} of {table} offers image {row.image} for "
                    f"{attributes[attribute].name}, which asks for it too; an image is a query or "
                    "a candidate of an attribute: unpack the official files again"
                )
            side.setdefault(attribute, []).append(known.place(row.image, attribute, value))
    both = sorted(sides[0].keys() & sides[1].keys())
    queries, candidates = ({k: tuple(sorted(side[k])) for k in both} for side in sides)
    return AttributeSplit(known.labelled(), queries, candidates)


class _Rows:
    """Rows of single values, put together by image: a second value of the same attribute
    makes the image stand twice."""

    def __init__(self, photos: Sequence[Photo]) -> None:
        self._photos = photos
        self._images: list[int] = []
        self._values: list[dict[int, int]] = []
        self._places: dict[int, list[int]] = {}

    def place(self, image: int, attribute: int, value: int) -> int:
        """Note a row; return where it stands in `labelled`."""
        for place in self._places.setdefault(image, []):
            if attribute not in self._values[place]:
                self._values[place][attribute] = value
                return place
        self._images.append(image)
        self._values.append({attribute: value})
        self._places[image].append(len(self._values) - 1)
        return len(self._values) - 1

    def labelled(self) -> tuple[Labelled, ...]:
        """All of them."""
        pairs = zip(self._images, self._values, strict=True)
        return tuple(Labelled(self._photos[image], values) for image, values in pairs)


def _read_photos(root: Path, name: str) -> list[Photo]:
    """The photos of a split by their ids; each is its own item."""
    table = root / f"filenames_{name}.txt"
    lines = [line.strip() for line in _read_lines(table)]
    if "" in lines or not lines:
        where = f"line {lines.index('') + 1} of {table} is empty" if lines else f"{table} is empty"
        raise DataError(f"{where}; expected an image's path on every line: its place is its id")
    photos = [Photo(root / line, f"{name}/{line}") for line in lines]
    check_files(photos, table)
    return photos


def _read_rows(
    table: Path, num_images: int, attributes: Sequence[Attribute], pairs: int | None = None
) -> list[Row]:
    """Rows of an id and pairs of attribute and value (exactly `pairs` where given)."""
    form = "id attribute value" + ("" if pairs else " [attribute value ...]")
    found = []
    for number, line in enumerate(_read_lines(table), start=1):
        cells = line.split()
        whole = len(cells) % 2 == 1 and len(cells) >= 3 and len(cells) // 2 == (
            pairs or len(cells) // 2
        )  # fmt: skip
        if not whole or not all(cell.isdecimal() for cell in cells):
            raise DataError(
                f"line {number} of {table} is {line.strip()!r}; expected whole numbers: {form}"
            )
        image, *rest = map(int, cells)
        if image >= num_images:
            raise DataError(
                f"line {number} of {table} has the image id {image}; its file of names has "
                f"{num_images:,} lines, so the ids are 0 to {num_images - 1}"
            )
        couples = tuple(zip(rest[::2], rest[1::2], strict=True))
        for attribute, value in couples:
            _check_pair(table, number, attribute, value, attributes)
        found.append(Row(number, image, couples))
    if not found:
        raise DataError(f"{table} is empty; expected rows of {form}")
    return found


def _check_pair(
    table: Path, number: int, attribute: int, value: int, attributes: Sequence[Attribute]
) -> None:
    if attribute >= len(attributes):
        raise DataError(
            f"line {number} of {table} has the attribute {attribute}; meta.json lists "
            f"{len(attributes)}, so 0 to {len(attributes) - 1} are expected"
        )
    most = len(attributes[attribute].values)
    if value >= most:
        raise DataError(
            f"line {number} of {table} has the value {value} of {attributes[attribute].name}; "
            f"meta.json lists {most}, so 0 to {most - 1} are expected"
        )


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}; unpack the lists that come with "
            "the code of ASEN++ there"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text ({error}); unpack it again") from error
