"""The service around a real, tiny gallery that changes while it is searched."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from indexer.build import build_gallery
from indexer.gallery import EmbeddedGallery
from indexer.live_engine import open_live
from indexer.live_types import LiveOptions
from model.encoder import Encoder
from model.fit import create_checkpoint
from service.app import create_app
from service.settings import Settings
from tests.indexer.conftest import small
from tests.indexer.fakes import draw_photos
from tests.indexer.live import draw, item

WRITE = "w" * 20
KEY = {"X-API-Key": WRITE}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with twelve photos and what is needed to build their index."""
    folder = tmp_path_factory.mktemp("tiny")
    draw_photos(folder / "photos", 12)
    create_checkpoint(folder / "tiny.safetensors", preset="tiny", init="random", photos=None)
    return folder


@pytest.fixture
def index(built: Path, tmp_path: Path) -> Path:
    """An index of those photos."""
    checkpoint = built / "tiny.safetensors"
    encoder = Encoder.from_checkpoint(checkpoint, "cpu")
    build_gallery(
        built / "photos", tmp_path / "index", encoder, checkpoint=checkpoint, options=small()
    )
    return tmp_path / "index"


@pytest.fixture
def client(index: Path) -> Iterator[TestClient]:
    """A service of that index, once it is ready."""
    with serve(index) as client:
        yield client


@contextmanager
def serve(index: Path, **more: Any) -> Iterator[TestClient]:
    """Serve an index in this process."""
    settings = Settings(
        index_dir=index,
        device="cpu",
        write_keys=SecretStr(WRITE),
        watch_s=3600,
        default_k=5,
        **more,
    )
    app, settled = create_app(settings), threading.Event()
    app.state.slot.when_settled(settled.set)
    with TestClient(app, headers=KEY) as client:
        assert settled.wait(60)
        yield client


def search(client: TestClient, number: int, **fields: Any) -> Any:
    response = client.post("/search", files={"image": draw(number)}, data=fields)
    assert response.status_code == 200, response.text
    return response.json()


def add(client: Any, address: str, *numbers: int) -> Any:
    items = [{"item_id": f"new/{number} 👗"} for number in numbers]
    files = [("image", draw(number)) for number in numbers]
    fields = {"items": json.dumps(items)}
    response = client.post(f"{address}/items", files=files, data=fields, headers=KEY)
    assert response.status_code == 200, response.text
    return response.json()


def ids(answer: Any) -> list[str]:
    return [hit["item_id"] for hit in answer["hits"]]


def test_an_item_that_is_added_is_found_and_one_that_is_removed_is_not(client: TestClient) -> None:
    before = search(client, 60)["gallery"]
    report = add(client, "", 60, 61)
    assert [outcome["status"] for outcome in report["outcomes"]] == ["added", "added"]
    found = search(client, 60)
    assert ids(found)[0] == "new/60 👗"
    assert found["gallery"]["version"] == report["version"] > before["version"]
    assert found["gallery"]["items"] == 14
    removed = client.delete("/items/new%2F60%20%F0%9F%91%97").json()
    assert removed["outcomes"][0]["status"] == "removed"
    after = search(client, 60)
    assert "new/60 👗" not in ids(after)
    assert after["gallery"]["version"] == removed["version"]
    metrics = client.get("/metrics").text
    assert f"selvedge_gallery_version {float(removed['version'])}" in metrics
    assert "selvedge_gallery_items 13.0" in metrics


def test_pages_stay_on_their_version_while_items_are_added(client: TestClient) -> None:
    whole = ids(search(client, 60, k=12))
    answer = search(client, 60, k=5)
    pages, version = ids(answer), answer["gallery"]["version"]
    for number in (60, 62):
        add(client, "", number)
        answer = client.post("/search", data={"cursor": answer["cursor"]}).json()
        assert answer["gallery"]["version"] == version
        pages += ids(answer)
    assert pages == whole
    assert answer["cursor"] is None


def test_a_cursor_of_a_version_that_is_held_no_more_is_410_with_a_sentence(index: Path) -> None:
    with serve(index, keep_versions=2) as client:
        first = search(client, 60, k=5)
        add(client, "", 60)
        assert client.post("/search", data={"cursor": first["cursor"]}).status_code == 200
        add(client, "", 61)
        gone = client.post("/search", data={"cursor": first["cursor"]})
    assert gone.status_code == 410
    error = gone.json()["error"]
    assert error["code"] == "version_gone"
    assert "holds the newest 2 for 600 s at most; search again" in error["message"]


def test_a_query_is_searched_again_with_filter_box_and_explanation(client: TestClient) -> None:
    first = search(client, 3)
    fields = {"query_id": first["query_id"], "filter": "item_id LIKE 'part1/%'", "explain": 2}
    again = client.post("/search", data={**fields, "box": "[0, 0, 1, 0.9]"}).json()
    assert len(again["hits"]) == 5
    assert all(name.startswith("part1/") for name in ids(again))
    assert len(again["hits"][0]["explanation"]["pairs"]) == 2
    params = {"query_id": first["query_id"], "item_id": "part0/0002.jpg"}
    picture = client.get("/explain.png", params=params)
    assert picture.status_code == 200
    assert picture.content.startswith(b"\x89PNG")


def test_an_unknown_column_names_the_columns(client: TestClient) -> None:
    response = client.post("/search", files={"image": draw(1)}, data={"filter": "size = 1"})
    assert response.status_code == 422
    assert "item_id" in response.json()["error"]["message"]


def test_a_batch_equals_its_searches(client: TestClient) -> None:
    files = [("image", draw(number)) for number in range(3)]
    results = client.post("/search/batch", files=files).json()["results"]
    for number, result in enumerate(results):
        assert ids(result) == ids(search(client, number))


def test_a_change_by_another_process_is_taken_over_by_reload(
    client: TestClient, index: Path
) -> None:
    assert client.post("/gallery/reload").json()["changed"] is False
    with open_live(index, device="cpu", options=LiveOptions(background=False)) as other:
        other.add([item("other", 70)])
    answer = client.post("/gallery/reload").json()
    assert answer["changed"] is True
    assert ids(search(client, 70))[0] == "other"
    assert search(client, 70)["gallery"] == answer["gallery"]


def test_what_was_acknowledged_outlives_kill_9(index: Path) -> None:
    command = [sys.executable, "-m", "service", "--index", str(index), "--port", "0"]
    environment = {"SELVEDGE_WRITE_KEYS": WRITE, "SELVEDGE_DEVICE": "cpu"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ) as process:
        try:
            assert process.stdout is not None
            said = iter(process.stdout.readline, "")
            addresses = (re.search(r"listens on (http://\S+)", line) for line in said)
            address = next(found[1] for found in addresses if found)
            next(line for line in said if line.strip())  # it greets when it is ready
            with httpx.Client(trust_env=False, timeout=60) as client:
                report = add(client, address, 80, 81)
                gone = client.delete(f"{address}/items/part0/0002.jpg", headers=KEY)
                assert gone.status_code == 200
        finally:
            process.kill()
    with EmbeddedGallery.open(index) as gallery:
        assert gallery.stamp.version == report["version"] + 1
        assert len(gallery) == 13
        assert gallery.find_row("new/80 👗") != gallery.find_row("new/81 👗")
