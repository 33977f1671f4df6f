"""A service over a Milvus server: writes show at once, and what others publish is followed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from indexer.build import build_gallery
from indexer.checkpoint import GivenEncoder
from indexer.live_types import LiveOptions
from indexer.milvus.address import Address
from indexer.milvus.copying import copy_to_milvus
from indexer.milvus.live import MilvusEngine
from indexer.milvus.server import Server
from indexer.requests import NewItem, SearchRequest
from model.errors import (
    GalleryMismatchError,
    ImageError,
    ItemNotFoundError,
    ParameterError,
    VersionGoneError,
)
from tests.indexer.aligner import Aligner
from tests.indexer.conftest import small
from tests.indexer.contract.conftest import drop, make_address
from tests.indexer.fakes import draw_photo
from tests.indexer.live import draw

QUIET = LiveOptions(background=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: Any) -> Iterator[tuple[Path, Address]]:
    root = tmp_path_factory.mktemp("live")
    address = make_address(root, "live")
    for i in range(4):
        draw_photo(root / "shop" / f"{i}.png", i)
    lines = [f"{i}.png,p{i // 2},{i * 10}" for i in range(4)]
    (root / "shop/gallery.csv").write_text("\n".join(["image,product_id,price", *lines]) + "\n")
    build_gallery(root / "shop", root / "index", Aligner(), options=small())
    copy_to_milvus(root / "index", address)
    yield root / "index", address
    drop(address)


def open_live(address: Address, encoder: Any = None) -> MilvusEngine:
    return MilvusEngine(Server(address), GivenEncoder(encoder or Aligner()), QUIET)


@pytest.fixture
def live(place: tuple[Path, Address]) -> Iterator[MilvusEngine]:
    engine = open_live(place[1])
    yield engine
    engine.close()


def find(live: MilvusEngine, number: int, **request: Any) -> list[str]:
    asked = SearchRequest(k=1, alpha=1.0, **request)
    return [hit.item.item_id for hit in live.engine().search(draw(number), asked).hits]


def test_what_is_added_replaced_and_removed_shows_in_the_next_search(live: MilvusEngine) -> None:
    before = live.engine().info()
    report = live.add([NewItem("new", draw(50), product_id="p9", metadata={"price": 7})])
    assert [each.status for each in report.outcomes] == ["added"]
    assert report.version > before.gallery.version
    assert report.items == before.gallery.items + 1
    assert live.engine().info().products == before.products + 1
    assert find(live, 50) == find(live, 50, filter="price = 7") == ["new"]

    assert live.add([NewItem("new", draw(50))]).outcomes[0].status == "unchanged"
    assert live.replace([NewItem("new", metadata={"price": None})]).outcomes[0].status == "updated"
    assert find(live, 50, filter="price IS NULL") == ["new"]
    assert live.engine().item("new").product_id == "p9"
    live.replace([NewItem("new", draw(60))])
    assert find(live, 60, exclude_products=("p1",)) == ["new"]

    assert live.remove(["new"]).items == before.gallery.items
    assert live.engine().info().products == before.products
    assert "new" not in find(live, 60)
    with pytest.raises(ItemNotFoundError):
        live.engine().item("new")


def test_a_write_of_another_process_is_followed(live: MilvusEngine, place: Any) -> None:
    other = open_live(place[1])
    other.add([NewItem("theirs", draw(70))])
    assert live.reload()
    assert live.engine().info().gallery == other.engine().info().gallery
    assert not live.reload()
    other.remove(["theirs"])
    other.close()
    live.reload()


def test_bad_writes_change_nothing(live: MilvusEngine) -> None:
    before = live.engine().info().gallery
    with pytest.raises(ItemNotFoundError, match=r"of 1 of these ids \(none\)"):
        live.remove(["0.png", "none"])
    with pytest.raises(ItemNotFoundError):
        live.replace([NewItem("none", metadata={"price": 1})])
    with pytest.raises(ParameterError, match="comes without a photo"):
        live.add([NewItem("none")])
    with pytest.raises(ParameterError, match="metadata the gallery does not know: colour"):
        live.add([NewItem("none", draw(1), metadata={"colour": "red"})])
    with pytest.raises(ImageError):
        live.add([NewItem("none", b"no photo")])
    with pytest.raises(ParameterError, match="learn or remove it in the index folder"):
        live.add_attribute("collar", {})
    assert live.engine().info().gallery == before
    assert live.add([]).outcomes == live.remove([]).outcomes == []


def test_one_unusable_photo_of_several_is_reported(live: MilvusEngine) -> None:
    report = live.add([NewItem("good", draw(80)), NewItem("bad", b"x")])
    assert [each.status for each in report.outcomes] == ["added", "failed"]
    live.remove(["good"])


def test_another_checkpoint_is_refused(place: Any) -> None:
    class Other(Aligner):
        def __init__(self) -> None:
            super().__init__()
            self.fingerprint = "f" * 64

    with pytest.raises(GalleryMismatchError, match=r"was built with checkpoint .* ffffffffffff is"):
        open_live(place[1], Other())


def test_a_new_copy_is_swapped_in_and_old_cursors_are_refused(
    live: MilvusEngine, place: Any
) -> None:
    version = live.engine().info().gallery.version
    assert live.engine(version) is live.engine()
    copy_to_milvus(place[0], place[1], overwrite=True)
    assert find(live, 1) == ["1.png"] or find(live, 1)  # the old collection still answers
    assert live.reload()
    assert live.engine().info().gallery.version > version
    with pytest.raises(VersionGoneError, match="it was copied anew"):
        live.engine(version)
