"""One shop as a folder and on a Milvus server: the suite asks both the same.

The server is milvus-lite, in a process of its own over a file; SELVEDGE_TEST_MILVUS names a real
one instead (`make milvus`), where collections `contract_...` are made and deleted.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from indexer.build import build_gallery
from indexer.engine import SearchEngine
from indexer.gallery import EmbeddedGallery
from indexer.milvus.address import Address, parse_address
from tests.indexer.aligner import Aligner
from tests.indexer.conftest import small
from tests.indexer.fakes import draw_photo
from tests.indexer.test_engine import Granular

COUNT = 45
CATEGORIES = ("coat", "dress", "a \"b\" \\ 'c' é👗")
SERVER = os.environ.get("SELVEDGE_TEST_MILVUS", "")


class Shop(NamedTuple):
    """The same gallery twice, and the encoder that made it."""

    photos: Path
    folder: Path
    address: Address
    encoder: Any
    engines: dict[str, SearchEngine]

    @property
    def galleries(self) -> dict[str, Any]:
        return {name: engine._gallery for name, engine in self.engines.items()}


def require_milvus() -> None:
    pytest.importorskip("pymilvus", reason="the extra `milvus` is not installed")
    if not SERVER:
        pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")


def make_address(folder: Path, name: str) -> Address:
    """An address of a gallery that is not there yet."""
    require_milvus()
    address = parse_address(
        f"{SERVER}/contract_{name}" if SERVER else f"milvus-lite:{folder}/milvus.db/{name}"
    )
    drop(address)
    return address


def drop(address: Address) -> None:
    from indexer.milvus.server import FACTS, Server

    server = Server(address)
    if server.find_alias() is not None:
        server.client.drop_alias(address.collection)
    for name in server.list_collections():
        if name.removesuffix(FACTS).split("__")[0] == address.collection:
            server.client.drop_collection(name)
    server.close()


def draw_shop(folder: Path) -> Path:
    """Photos of fifteen products with columns of every kind; some values are missing."""
    lines = ["image,product_id,category,price,rating,since,seen,sale,dress size"]
    for i in range(COUNT):
        draw_photo(folder / f"{i:02}.png", i)
        category = CATEGORIES[i % 3].replace('"', '""')
        row = [
            f'"{category}"' if i % 7 else "",
            str(10 + i) if i % 10 != 9 else "",
            str(i / 8) if i % 4 else "",
            f"{1969 + i % 3}-01-{1 + i % 28:02}",
            f"2026-01-01 10:00:{i:02}.123456" if i % 5 else "",
            str(i % 2 == 0).lower() if i % 6 else "",
            ("m", "l", "")[i % 3],
        ]
        lines.append(f"{i:02}.png,p{i // 3}," + ",".join(row))
    (folder / "gallery.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module", params=["global", "granular"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Shop]:
    from indexer.milvus.copying import copy_to_milvus
    from indexer.milvus.opening import open_gallery
    from indexer.milvus.server import Server

    root = tmp_path_factory.mktemp("contract")
    address = make_address(root, f"shop_{request.param}")
    encoder = Aligner() if request.param == "global" else Granular()
    photos = draw_shop(root / "shop")
    build_gallery(photos, root / "index", encoder, options=small(chunk_size=64))
    copy_to_milvus(root / "index", address)
    server = Server(address)
    engines = {
        "embedded": SearchEngine(EmbeddedGallery.open(root / "index"), encoder),  # type: ignore[arg-type]
        "milvus": SearchEngine(open_gallery(server), encoder),  # type: ignore[arg-type]
    }
    yield Shop(photos, root / "index", address, encoder, engines)
    engines["embedded"].close()
    server.close()
    drop(address)


@pytest.fixture(params=["embedded", "milvus"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def gallery(shop: Shop, kind: str) -> Any:
    return shop.galleries[kind]


@pytest.fixture
def engine(shop: Shop, kind: str) -> SearchEngine:
    return shop.engines[kind]
