"""What is known of the official data sets, and `meta.json`, which names their values."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from model.attributes.records import Attribute, AttributeSplit
from model.errors import DataError


class Layout(NamedTuple):
    """One data set: its folder, its attributes with their number of values, its counts."""

    folder: str
    sizes: Mapping[str, int]
    counts: Mapping[str, int]


_QUERIES = (422, 623, 535, 422, 341, 289, 703, 265)
_CANDIDATES = (1703, 2383, 2088, 1722, 1401, 1269, 2734, 1100)
_FASHIONAI = {
    "skirt_length": 6, "sleeve_length": 9, "coat_length": 8, "pant_length": 6,
    "collar_design": 5, "lapel_design": 5, "neckline_design": 10, "neck_design": 5,
}  # fmt: skip

OFFICIAL = {
    "fashionai": Layout(
        "FashionAI",
        _FASHIONAI,
        {
            "valid queries": 3_600, "valid candidates": 14_400,
            "test queries": 3_600, "test candidates": 14_400,
            **{f"test queries of {n}": q for n, q in zip(_FASHIONAI, _QUERIES, strict=True)},
            **{f"test candidates of {n}": c for n, c in zip(_FASHIONAI, _CANDIDATES, strict=True)},
        },
    ),
    "darn": Layout(
        "DARN",
        {
            "clothes category": 20, "button": 13, "color": 55, "length": 7, "pattern": 28,
            "shape": 11, "collar shape": 26, "sleeve length": 8, "sleeve shape": 17,
        },
        {},
    ),
    "deepfashion-attributes": Layout(
        "DeepFashion", {"texture": 156, "fabric": 218, "shape": 180, "part": 216, "style": 230}, {}
    ),
}  # fmt: skip


def read_meta(root: Path, layout: Layout) -> tuple[Attribute, ...]:
    """The attributes of a data set, from `meta.json` in its folder or the one above."""
    path = next((p for p in (root / "meta.json", root.parent / "meta.json") if p.is_file()), None)
    if path is None:
        raise DataError(
            f"{root.parent / 'meta.json'} does not exist; it comes with the lists of ASEN++ and "
            "names the attributes and their values: unpack it there"
        )
    try:
        meta = json.loads(path.read_text(encoding="utf-8-sig"))
        found = meta.get(layout.folder, meta)
        names, sizes, values = (found[f"ATTRIBUTES{end}"] for end in ("", "_NUM", "_VALUES"))
        # Both are known to be by name in one release; a list in the order of names reads alike.
        told = [_pick(sizes, name, k) for k, name in enumerate(names)]
        listed = [tuple(map(str, _pick(values, name, k))) for k, name in enumerate(names)]
    except (ValueError, OSError, AttributeError, KeyError, IndexError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read ({type(error).__name__}: {error}); expected {layout.folder} "
            "with ATTRIBUTES, ATTRIBUTES_NUM and ATTRIBUTES_VALUES: unpack it again"
        ) from error
    for name, size, each in zip(names, told, listed, strict=True):
        if size != len(each):
            raise DataError(
                f"{path} says that {name} has {size} values, and lists {len(each)}; unpack it again"
            )
    return tuple(Attribute(str(name), each) for name, each in zip(names, listed, strict=True))


def check_known(root: Path, attributes: Sequence[Attribute], layout: Layout) -> None:
    """Refuse attributes other than the published ones, or in another order."""
    found = {attribute.name: len(attribute.values) for attribute in attributes}
    if list(found.items()) != list(layout.sizes.items()):
        said, expected = (
            ", ".join(f"{name} ({size})" for name, size in each.items())
            for each in (found, layout.sizes)
        )
        raise DataError(
            f"meta.json of {root} names the attributes {said}; expected {expected}. Unpack the "
            "official file again, or say counts=any to read it as it is"
        )


def count_rows(name: str, split: AttributeSplit, attributes: Sequence[Attribute]) -> dict[str, int]:
    """Queries and candidates of a split, in all and by attribute."""
    found = {}
    for side, places in (("queries", split.queries), ("candidates", split.candidates)):
        found[f"{name} {side}"] = sum(map(len, places.values()))
        for k, attribute in enumerate(attributes):
            found[f"{name} {side} of {attribute.name}"] = len(places.get(k, ()))
    return found


def _pick(found: Any, name: str, place: int) -> Any:
    return found[name] if isinstance(found, Mapping) else found[place]
