"""Garments of two colours, and attributes that read one half each: scores by hand.

A garment `rg` is red above and green below. The fake encoder's tokens are the colours of the
quarters, so that `top` sees the upper half only, `bottom` the lower one.
"""

from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from indexer.build import build_gallery
from indexer.engine import SearchEngine
from indexer.gallery import EmbeddedGallery
from indexer.requests import NewItem
from model.attributes.heads import AttributeHeads, AttributeInfo, save_heads
from model.attributes.slot_heads import Scaling
from tests.indexer.aligner import Aligner
from tests.indexer.conftest import small
from tests.indexer.fakes import LEVELS, TOKENS, WIDTH, FakeEncoder

COLOURS = {"r": (255, 0, 0), "g": (0, 255, 0), "b": (0, 0, 255), "w": (255, 255, 255)}
HALVES = {"top": (0, 1), "bottom": (2, 3)}
FEATURES = WIDTH + 6
# Two colours of one channel each are this alike: tokens are (1.1, 0.1, 0.1) over its length.
OTHER = (2 * 0.11 + 0.01) / (1.1**2 + 2 * 0.1**2)


def draw_garment(name: str) -> bytes:
    """A PNG with the first colour above the second."""
    image = Image.new("RGB", (32, 32), COLOURS[name[0]])
    image.paste(COLOURS[name[1]], (0, 16, 32, 32))
    stream = BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def garment(item_id: str, look: str | None = None, **more: Any) -> NewItem:
    return NewItem(item_id, draw_garment(look or item_id), **more)


def make_heads(*names: str, encoder: FakeEncoder | None = None) -> AttributeHeads:
    """Attributes of the checkpoint: an embedding is the mean colour of the half, unit length."""
    maps = {}
    for name in names or tuple(HALVES):
        matrix = np.zeros((3, LEVELS, TOKENS, FEATURES), np.float32)
        for channel in range(3):
            matrix[channel, 0, list(HALVES.get(name, (0,))), channel] = 1
        maps[name] = matrix
    infos = [AttributeInfo(name, ("blue", "green", "red"), 0.5, 9, "drawings") for name in maps]
    scaling = Scaling(
        np.zeros((LEVELS, TOKENS, FEATURES), np.float32), np.ones(FEATURES, np.float32)
    )
    return AttributeHeads((encoder or Aligner()).fingerprint, infos, scaling, maps)


def build_garments(folder: Path, names: list[str] | None = None, **options: Any) -> Path:
    """An index of all nine garments of three colours, with the attributes top and bottom."""
    photos = folder / "garments"
    photos.mkdir()
    lines = ["image,item_id,product_id,price"]
    for number, name in enumerate(names or list(map("".join, product("rgb", repeat=2)))):
        (photos / f"{name}.png").write_bytes(draw_garment(name[:2]))
        lines.append(f"{name}.png,{name},{name[0]}-{name[1]},{10 * number}")
    (photos / "gallery.csv").write_text("\n".join(lines) + "\n")
    save_heads(make_heads(), folder / "heads.safetensors")
    chosen = small(id_column="item_id", **{"attributes": folder / "heads.safetensors", **options})
    build_gallery(photos, folder / "index", Aligner(), options=chosen)
    return folder / "index"


def open_garments(index: Path, **options: Any) -> SearchEngine:
    gallery = EmbeddedGallery.open(index, **options)
    return SearchEngine(gallery, Aligner())  # type: ignore[arg-type]
