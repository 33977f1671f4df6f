"""Filters and exclusions in a gallery that has changed equal those of one built afresh."""

from pathlib import Path

import numpy as np
import pytest

from indexer.gallery import EmbeddedGallery
from indexer.live import LiveGallery
from indexer.protocols import Selection
from indexer.requests import SearchRequest
from indexer.selection import Selector
from tests.indexer.live import build_afresh, item, open_gallery

QUERY = np.array([[0.3, -0.4, 0.5, 0.7]], np.float32)
REQUESTS = [
    SearchRequest(filter="item_id LIKE 'a%'"),
    SearchRequest(filter="item_id IN ('a0.png', 'b1.png', 'new.png')"),
    SearchRequest(filter="item_id = 'gone.png'"),
    SearchRequest(exclude_items=("a1.png", "new.png", "gone.png")),
    SearchRequest(filter="NOT item_id LIKE '%1.png'", exclude_items=("a0.png",)),
]


@pytest.fixture
def changed(tmp_path: Path) -> LiveGallery:
    """Items replaced (in the index and beside it), added and removed."""
    content = {f"a{number}.png": number for number in range(12)}
    build_afresh(tmp_path / "one", content)
    gallery = open_gallery(tmp_path / "one" / "index", min_delta=500)
    gallery.add([item("b1.png", 31), item("gone.png", 32), item("new.png", 33)])
    gallery.replace([item("a3.png", 43), item("new.png", 44)])
    gallery.remove(["gone.png", "a7.png", "a8.png"])
    return gallery


def find(gallery: EmbeddedGallery, selection: Selection | None, count: int) -> list[object]:
    [found] = gallery.recall(QUERY, count, selection)
    ids = [entry.item_id for entry in gallery.read_items(found.rows)]
    # Rows break ties, and a fresh build has others.
    return sorted(zip(found.scores.tolist(), ids, strict=True))


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: str(request.filter))
def test_a_selection_finds_what_a_fresh_build_finds(
    tmp_path: Path, changed: LiveGallery, request_: SearchRequest
) -> None:
    current = changed.current()
    assert changed.stats().delta
    assert changed.stats().tombstones
    content = {f"a{number}.png": number for number in range(12) if number not in (7, 8)}
    content |= {"a3.png": 43, "b1.png": 31, "new.png": 44}
    build_afresh(tmp_path / "two", content)
    with EmbeddedGallery.open(tmp_path / "two" / "index") as fresh:
        for count in (1, 3, 50):
            now = find(current, Selector(current).select(request_), count)
            assert now == find(fresh, Selector(fresh).select(request_), count)
