"""The gallery that is soaked: photos that no other resembles, and what lies on the disk of it."""

import csv
import hashlib
import io
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks.soak.journal import Value
from indexer.build import BuildOptions, build_gallery
from indexer.checkpoint import StoredCheckpoint
from indexer.manifest import Manifest
from indexer.store import Store
from indexer.tokens import to_matrix
from model.fit import create_checkpoint

NUM_ITEMS = 300
MARK = "mark"
# Photos that centres are fitted on: random ones would make all photos look alike.
_FITTED = 100
# What a search compares.
_VECTORS = ("global", "recall", "tokens", "token_scales", "geometry")


class Photos:
    """Draws photos by number; the same number is the same photo."""

    def __init__(self, first: int = 0) -> None:
        """`first`: number of the first photo; a gallery built by another `Photos` has the first."""
        self._next = first
        self._numbers: dict[str, int] = {}
        self._lock = threading.Lock()

    def draw_next(self) -> tuple[str, bytes]:
        """Draw a photo that was not drawn before: its hex SHA-256 and its bytes."""
        with self._lock:
            number, self._next = self._next, self._next + 1
            photo = draw(number)
            digest = hashlib.sha256(photo).hexdigest()
            self._numbers[digest] = number
        return digest, photo

    def find(self, digest: str) -> bytes | None:
        """Draw the photo of this digest again; None when it was not drawn here."""
        number = self._numbers.get(digest)
        return None if number is None else draw(number)


def draw(number: int) -> bytes:
    """A PNG of 36 squares in random colours."""
    squares = np.random.default_rng(number).integers(0, 256, (6, 6, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(squares).resize((64, 64), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


def build_tiny(folder: Path, photos: Photos, count: int = NUM_ITEMS) -> Path:
    """Build a gallery with the preset `tiny` (random weights); returns its index folder.

    The photos are removed afterwards: that items change is no finding of `indexer verify`.
    """
    source, checkpoint, index = folder / "photos", folder / "tiny.safetensors", folder / "index"
    source.mkdir()
    with (source / "items.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["item_id", "image", "product_id", MARK])
        for number in range(count):
            name = f"{number}.png"
            (source / name).write_bytes(photos.draw_next()[1])
            table.writerow([f"shop/{number}", name, f"product-{number}", number])
    create_checkpoint(
        checkpoint, preset="tiny", init="random", photos=sorted(source.glob("*.png"))[:_FITTED]
    )
    encoder = StoredCheckpoint(checkpoint, "cpu").load(checkpoint)
    options = BuildOptions(id_column="item_id")
    build_gallery(source / "items.csv", index, encoder, checkpoint=checkpoint, options=options)
    shutil.rmtree(source)
    return index


class Row(NamedTuple):
    """One item as it lies on the disk; `encoded` is a digest of its vectors, tokens, thumbnail."""

    value: Value
    encoded: str


def read_rows(index: Path) -> dict[str, Row]:
    """Read the newest version of the dataset, without the service."""
    return dict(_scan(Store.open(Manifest.load(index).files(index).dataset)))


def has_mark(index: Path) -> bool:
    """Say whether the gallery has the column that the soak writes to."""
    return Manifest.load(index).source.metadata.get(MARK) == "int"


def _scan(store: Store) -> Iterator[tuple[str, Row]]:
    names = store.schema.names
    vectors = [name for name in _VECTORS if name in names]
    facts = ["item_id", "product_id", "content_hash", "thumbnail"] + [MARK] * (MARK in names)
    for batch in store.scan([*facts, *vectors]):
        matrices = [to_matrix(batch[name], batch[name].type.list_size) for name in vectors]
        for i, row in enumerate(batch.select(facts).to_pylist()):
            digest = hashlib.sha256(row["thumbnail"])
            for matrix in matrices:
                digest.update(matrix[i].tobytes())
            value = Value(row["content_hash"], row["product_id"], row.get(MARK))
            yield row["item_id"], Row(value, digest.hexdigest())
