"""Small living galleries for tests, and what it means that two galleries are equal."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from indexer.build import build_gallery
from indexer.checkpoint import GivenEncoder
from indexer.gallery import EmbeddedGallery
from indexer.live import LiveGallery
from indexer.live_types import LiveOptions
from indexer.requests import NewItem
from indexer.store import Store
from tests.indexer.conftest import small
from tests.indexer.fakes import FakeEncoder

QUIET = {"background": False, "busy_wait_s": 0.0, "min_delta": 5, "max_files": 4}


def draw(number: int) -> bytes:
    """A PNG of its own colours: no two numbers look alike."""
    image = Image.new("RGB", (32, 32), (255 - number % 200, 250, 240))
    colour = (37 * number % 256, 101 * number % 256, 7 * number % 256)
    ImageDraw.Draw(image).rectangle((6, 6 + number % 7, 24, 24), fill=colour)
    stream = BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def item(name: str, number: int, **more: Any) -> NewItem:
    return NewItem(name, draw(number), **more)


def open_gallery(index: Path, encoder: FakeEncoder | None = None, **options: Any) -> LiveGallery:
    """Open without threads: tests say when to maintain and to reload."""
    plan = GivenEncoder(encoder or FakeEncoder())
    return LiveGallery(index, plan, LiveOptions(**{**QUIET, **options}))


def find(gallery: LiveGallery, number: int) -> str:
    """The id of the best hit for a drawn photo."""
    state = gallery.current()
    prepared = state.encoder.prepare(Image.open(BytesIO(draw(number))).convert("RGB"))
    [found] = state.recall(state.encoder.encode([prepared]).recall, 1)
    return state.read_items(found.rows)[0].item_id


def read_state(gallery: EmbeddedGallery) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Everything a search reads, by item: recall, tokens, metadata."""
    count = len(gallery)
    query = np.array([[0.3, -0.4, 0.5, 0.7]], np.float32)
    [found] = gallery.recall(query, count + 5)
    block = gallery.read_tokens(found.rows)
    items = gallery.read_items(found.rows)
    assert len({entry.item_id for entry in items}) == len(items) == count
    return {
        (entry.item_id, entry.product_id): (
            float(found.scores[i]),
            block.tokens[i].tobytes(),
            block.scales[i].tobytes(),
            block.mass[i].tobytes(),
            gallery.read_thumbnail(entry.item_id),
            tuple(sorted(entry.metadata.items())),
        )
        for i, entry in enumerate(items)
    }


def build_afresh(folder: Path, content: dict[str, int]) -> dict[tuple[str, str], tuple[Any, ...]]:
    """The state of a gallery that is built from these photos at once."""
    for name, number in content.items():
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(draw(number))
    build_gallery(folder / "photos", folder / "index", FakeEncoder(), options=small(batch_size=1))
    with EmbeddedGallery.open(folder / "index") as gallery:
        return read_state(gallery)


def read_dataset(index: Path) -> dict[str, int]:
    """Item ids in the newest version of the dataset, with their rows."""
    store = Store.open(index / "gallery.lance")
    return {
        row["item_id"]: row["_rowid"]
        for batch in store.scan(["item_id"])
        for row in batch.to_pylist()
    }
