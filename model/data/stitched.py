"""Drawn garments (`stitch`): train, val and test designs that share nothing, drawn once.

DIR/train, DIR/val, DIR/test are what `python -m stitch draw` writes: shop, back and
detail photos in gallery/, people's photos in queries/.
"""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from model.data.holdout import check_retrieval
from model.data.records import CONSUMER, SHOP, DataSet, Photo, RetrievalSet, group_by_item
from model.data.spec import Options
from model.errors import DataError

CACHE = Path("out") / "stitch"
# Written last, so that a stopped run draws the rest.
MARK = "drawn.json"
# Columns of stitch's CSV that say nothing about the design.
NOT_DESIGN = ("image", "product_id", "title", "view", "price")
SPLITS = ("train", "val", "test")


def load_stitch(path: Path | None, options: Options, seed: int, holdout: float) -> DataSet:
    """Draw what is not there yet, then read it.

    Options: `designs` to train on, `val` and `test` designs (an eighth and a quarter of
    that), `photos` (1 shop, 2 + back, 3 + detail, 4 + second shop) and `persons` of each,
    `families` (hard ones, 2 to 4 designs that differ in one detail) in each split,
    `size` in pixels, `seed`, `workers` (processes; 0 is one a core).

    Test: people's photos look for all shop photos. Extra sets: `families` (queries from
    hard families only), `back` and `detail` (shop photos of the back, close-ups, against
    the front photos).
    """
    designs = options.take_number("designs", 400, 3)
    counts = {
        "train": designs,
        "val": options.take_number("val", max(8, designs // 8), 2),
        "test": options.take_number("test", max(8, designs // 4), 2),
    }
    photos = options.take_number("photos", 3, 1)
    persons = options.take_number("persons", 2, 1)
    families = options.take_number("families", max(2, min(counts.values()) // 12))
    size = options.take_number("size", 224, 32)
    seed = options.take_number("seed", seed)
    workers = options.take_number("workers", 0)
    options.finish()
    root = path or CACHE / f"{designs}-{counts['val']}-{counts['test']}-{size}-{seed}"
    draws = {
        split: {
            "products": count, "photos": photos, "queries": count * persons,
            "families": families, "seed": seed, "size": size,
        }
        for split, count in counts.items()
    }  # fmt: skip
    if not _is_drawn(root, draws):
        for split, settings in draws.items():
            _draw(root / split, split, {**settings, "workers": workers})
        (root / MARK).write_text(json.dumps(draws))
    return read_stitch(root)


def read_stitch(root: Path) -> DataSet:
    """Read three folders that are drawn."""
    train, val, test = (_read_split(root / split, split) for split in SPLITS)
    sets = {name: _make_sets(name, found) for name, found in (("validation", val), ("test", test))}
    main = sets["test"].pop("test")
    notes = [
        f"{len(found):,} photos of {len(group_by_item(found)):,} designs in {split}."
        for split, found in zip(SPLITS, (train, val, test), strict=True)
    ]
    validation = sets["validation"]["validation"]
    for each in (validation, main):
        notes += check_retrieval(each, root)
    return DataSet(f"stitch:{root}", train, validation, main, tuple(notes), sets["test"])


def _make_sets(name: str, photos: Sequence[Photo]) -> dict[str, RetrievalSet]:
    """The main set, and those parts of it that are worth a line of their own."""
    shop = tuple(photo for photo in photos if photo.domain == SHOP)
    asked = tuple(photo for photo in photos if photo.domain == CONSUMER)
    front = tuple(photo for photo in shop if photo.attributes["view"] == "shop")
    found = {
        name: RetrievalSet(name, asked, shop),
        "families": RetrievalSet(
            "families", tuple(p for p in asked if p.attributes["family"]), shop
        ),
    }
    for view in ("back", "detail"):
        queries = tuple(photo for photo in shop if photo.attributes["view"] == view)
        found[view] = RetrievalSet(view, queries, front)
    return {key: each for key, each in found.items() if key == name or each.queries}


def _read_split(folder: Path, split: str) -> tuple[Photo, ...]:
    """All photos of one split; `attributes` hold the design, its view and its hard family."""
    rows = _read_rows(folder / "gallery" / "gallery.csv")
    designs = {
        row["product_id"]: {k: v for k, v in row.items() if k not in NOT_DESIGN} for row in rows
    }
    families = find_families(designs)
    shown = [(folder / "gallery", row, SHOP, row["view"]) for row in rows]
    asked = _read_rows(folder / "queries" / "queries.csv")
    shown += [(folder / "queries", row, CONSUMER, "person") for row in asked]
    return tuple(
        Photo(
            place / row["image"],
            f"{split}/{row['product_id']}",
            domain,
            attributes={
                **designs[row["product_id"]],
                "view": view,
                "family": families.get(row["product_id"], ""),
            },
        )
        for place, row, domain, view in shown
    )


def find_families(designs: dict[str, dict[str, str]]) -> dict[str, str]:
    """Map products to the one attribute in which they differ from another product.

    >>> shirt = {"collar": "point", "cuff": "plain"}
    >>> find_families({"a": shirt, "b": {**shirt, "cuff": "rolled"}, "c": {}})
    {'a': 'cuff', 'b': 'cuff'}
    """
    groups: dict[tuple[object, ...], list[str]] = {}
    for product, design in designs.items():
        for name in design:
            rest = tuple(item for item in design.items() if item[0] != name)
            groups.setdefault((name, rest), []).append(product)
    return {p: str(key[0]) for key, group in groups.items() if len(group) > 1 for p in group}


def _is_drawn(root: Path, draws: dict[str, dict[str, int]]) -> bool:
    """Say whether all three splits stand there; other settings in the same folder are refused."""
    mark = root / MARK
    if not mark.is_file():
        return False
    if json.loads(mark.read_text()) != draws:
        raise DataError(
            f"{root} was drawn with other settings (see {mark}); name another folder, give the "
            "same options, or delete the folder to draw it anew"
        )
    return True


def _draw(folder: Path, split: str, settings: dict[str, int]) -> None:
    """Call stitch as a program: nothing of this package imports it.

    Photos that are there are kept, so a stopped run continues; a folder with other
    settings is refused by stitch. Its progress goes to stderr.
    """
    command = [sys.executable, "-m", "stitch", "draw", str(folder.absolute()), "--split", split]
    command += [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    above = str(Path(__file__).absolute().parents[2])
    paths = os.pathsep.join(filter(None, (above, os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        command, check=False, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": paths}
    )
    if done.returncode:
        raise DataError(
            f"stitch could not draw into {folder} (exit {done.returncode}); its message on stderr "
            "says why. Give another folder, or delete this one if it was drawn otherwise"
        )


def _read_rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))
