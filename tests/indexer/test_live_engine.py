"""One engine for each state: searches, pages on an older version, and the real encoder."""

from pathlib import Path
from typing import Any

import pytest

from indexer.build import build_gallery
from indexer.live_engine import LiveEngine, open_live
from indexer.live_types import LiveOptions
from indexer.requests import SearchRequest
from model.encoder import Encoder
from model.errors import GalleryMismatchError, VersionGoneError
from model.fit import create_checkpoint
from tests.indexer.conftest import small
from tests.indexer.fakes import draw_photos
from tests.indexer.live import draw, item

QUIET = LiveOptions(background=False)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """An index of six photos, built with a real, tiny network."""
    checkpoint = tmp_path / "tiny.safetensors"
    photos = draw_photos(tmp_path / "photos", 6)
    create_checkpoint(checkpoint, preset="tiny", init="random", photos=None)
    encoder = Encoder.from_checkpoint(checkpoint, "cpu")
    build_gallery(photos, tmp_path / "index", encoder, checkpoint=checkpoint, options=small())
    return tmp_path / "index"


@pytest.fixture
def live(tiny: Path) -> Any:
    with open_live(tiny, device="cpu", options=QUIET) as engine:
        yield engine


def best(live: LiveEngine, number: int, version: int | None = None) -> str:
    return live.engine(version).search(draw(number), SearchRequest(k=1)).hits[0].item.item_id


def test_a_new_item_is_the_best_hit_of_its_photo(live: LiveEngine) -> None:
    report = live.add([item("new", 60)])
    result = live.engine().search(draw(60), SearchRequest(k=3))
    assert result.hits[0].item.item_id == "new"
    assert result.hits[0].scores.fused == pytest.approx(1, abs=1e-2)
    assert result.gallery.version == report.version
    live.replace([item("new", 61)])
    assert best(live, 61) == "new"
    live.remove(["new"])
    assert best(live, 60) != "new"


def test_a_search_may_stay_on_an_earlier_version(live: LiveEngine) -> None:
    version = live.add([item("new", 60)]).version
    live.remove(["new"])
    live.maintain(force=True)
    assert best(live, 60, version) == "new"
    assert live.engine(version).search(draw(60)).gallery.version == version
    with pytest.raises(VersionGoneError, match=r"version 1 .* is not held any more"):
        live.engine(1)


def test_an_engine_that_is_closed_leaves_the_gallery_open(live: LiveEngine) -> None:
    live.engine().close()
    assert live.engine().thumbnail("part0/0000.jpg")
    assert live.stats().items == 6
    assert not live.reload()


def test_another_checkpoint_is_refused(tiny: Path, tmp_path: Path) -> None:
    create_checkpoint(tmp_path / "o.safetensors", preset="tiny", init="random", photos=None, seed=5)
    with pytest.raises(GalleryMismatchError, match="is loaded; leave --checkpoint out"):
        open_live(tiny, device="cpu", checkpoint=tmp_path / "o.safetensors", options=QUIET)
