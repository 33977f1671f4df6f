"""The queries and galleries that codecs are measured on: product photos, and drawn garments.

Q queries, G gallery items.
"""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.codecs.features import Features, Say, load_or_encode
from model.data import load_dataset
from model.data.records import Photo
from model.encoder import Encoder
from model.errors import ParameterError

Found = NDArray[np.bool_]


class Asked(NamedTuple):
    """Queries over a gallery: what is right (Q, G), each query's product, and kinds of queries."""

    queries: Features
    gallery: Features
    relevant: Found
    products: list[str]
    kinds: list[str]


def ask_photos(encoder: Encoder, folder: Path, cache: Path, say: Say) -> Asked:
    with (folder / "gallery.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["view"] in ("main", "back", "alt")]
    main = [row for row in rows if row["view"] == "main"]
    asking = [row for row in rows if row["view"] != "main"]
    gallery, queries = (
        load_or_encode(
            cache / f"photos-{name}.npz", encoder,
            [Photo(folder / row["image"], _sku(row)) for row in part],
            queries=name == "queries", say=say,
        )
        for name, part in (("gallery", main), ("queries", asking))
    )  # fmt: skip
    return Asked(
        queries,
        gallery,
        np.array([_sku(row) for row in asking])[:, None] == np.array([_sku(row) for row in main]),
        [row["product_id"] for row in asking],
        [row["view"] for row in asking],
    )


def ask_drawn(encoder: Encoder, spec: str, cache: Path, say: Say) -> Asked:
    test = load_dataset(spec).test
    if test is None:
        raise ParameterError(f"{spec} has no test set; expected a data set of drawn garments")
    gallery, queries = (
        load_or_encode(
            cache / f"drawn-{name}.npz", encoder, part, queries=name == "queries", say=say
        )
        for name, part in (("gallery", test.gallery), ("queries", test.queries))
    )
    asked = [photo.item for photo in test.queries]
    relevant = np.array(asked)[:, None] == np.array([photo.item for photo in test.gallery])
    return Asked(queries, gallery, relevant, asked, ["people"] * len(asked))


def _sku(row: dict[str, str]) -> str:
    return f"{row['product_id']} {row['color']}"
