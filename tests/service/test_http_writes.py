"""POST, PUT and DELETE of items: keys, forms, paths, and every way to get them wrong."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.service.fake_engine import STRANGE_ID, FakeEngine, draw_photo
from tests.service.test_http_search import sentence

WRITE, READ = "w" * 20, "r" * 20
BLUE = (0, 0, 255)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with photos, and one outside."""
    (tmp_path / "photos" / "autumn").mkdir(parents=True)
    for place in ("photos/autumn/blue.png", "secret.png"):
        (tmp_path / place).write_bytes(draw_photo(BLUE))
    (tmp_path / "photos" / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "photos" / "out").symlink_to(tmp_path)
    return tmp_path / "photos"


@pytest.fixture
def writer(settings: Settings, engine: FakeEngine, root: Path) -> Any:
    """A client with a write key."""
    keys = {"write_keys": SecretStr(WRITE), "read_keys": SecretStr(READ), "items_root": root}
    app = create_app(settings.model_copy(update=keys), engine)
    with TestClient(app, headers={"X-API-Key": WRITE}) as client:
        yield client


def add(client: TestClient, items: Any, count: int = 1, **fields: Any) -> Any:
    files = [("image", draw_photo(BLUE))] * count
    return client.post("/items", files=files, data={"items": json.dumps(items)}, **fields)


def test_an_item_that_is_added_is_found_by_the_next_search(writer: TestClient) -> None:
    item_id = "naïve/👗 a?b#c%.jpg"
    answer = add(writer, [{"item_id": item_id}]).json()
    assert answer == {
        "version": 8,
        "items": 6,
        "outcomes": [{"item_id": item_id, "status": "added", "reason": None}],
    }
    found = writer.post("/search", files={"image": draw_photo((0, 0, 200))}).json()
    assert found["gallery"]["version"] == 8
    assert item_id in [hit["item_id"] for hit in found["hits"]]
    item = writer.get(f"/items/{quote(item_id, safe='')}")
    assert item.json()["item_id"] == item_id
    assert item.headers["x-gallery-version"] == "8"


@pytest.mark.parametrize("item_id", ["red.jpg", STRANGE_ID])
def test_an_item_that_is_removed_is_gone(writer: TestClient, item_id: str) -> None:
    address = f"/items/{quote(item_id, safe='')}"
    assert writer.delete(address).json()["outcomes"][0]["status"] == "removed"
    assert writer.get(address).status_code == 404
    assert writer.delete(address).status_code == 404


def test_photo_and_metadata_are_replaced_together_or_apart(
    writer: TestClient, engine: FakeEngine
) -> None:
    changed = writer.put("/items/red.jpg", json={"metadata": {"price": 9.5}})
    assert changed.json()["outcomes"][0]["status"] == "updated"
    assert writer.get("/items/red.jpg").json()["metadata"] == {"price": 9.5}
    assert engine.colours["red.jpg"] == (255, 0, 0)
    fields = {"item": json.dumps({"metadata": {"price": 8}})}
    writer.put("/items/red.jpg", files={"image": draw_photo(BLUE)}, data=fields)
    assert engine.colours["red.jpg"] == BLUE
    assert writer.get("/items/red.jpg").json()["metadata"] == {"price": 8}
    assert writer.put("/items/none.jpg", json={}).status_code == 404


def test_a_photo_may_be_named_by_its_path(writer: TestClient, engine: FakeEngine) -> None:
    body = {"items": [{"item_id": "b", "path": "autumn/blue.png"}]}
    assert writer.post("/items", json=body).json()["items"] == 6
    assert engine.colours["b"] == BLUE


@pytest.mark.parametrize(
    "path",
    ["../secret.png", "link.png", "out/secret.png", "/etc/passwd", "autumn/../../secret.png"],
)
def test_a_path_out_of_the_folder_is_refused(writer: TestClient, path: str) -> None:
    body = {"items": [{"item_id": "b", "path": path}]}
    response = writer.post("/items", json=body)
    assert "leads out of the folder" in sentence(response, 403)
    assert response.json()["error"]["code"] == "path_not_allowed"
    assert writer.put("/items/red.jpg", json={"path": path}).status_code == 403


@pytest.mark.parametrize("path", ["autumn/none.png", "autumn", "a\0b", "x" * 4000])
def test_a_path_without_a_photo_is_a_sentence(writer: TestClient, path: str) -> None:
    response = writer.post("/items", json={"items": [{"item_id": "b", "path": path}]})
    assert "there is no photo at the path" in sentence(response, 422).lower()


def test_paths_are_off_without_a_folder(settings: Settings, engine: FakeEngine) -> None:
    app = create_app(settings.model_copy(update={"write_keys": SecretStr(WRITE)}), engine)
    body = {"items": [{"item_id": "b", "path": "a.jpg"}]}
    response = TestClient(app, headers={"X-API-Key": WRITE}).post("/items", json=body)
    assert response.json()["error"]["code"] == "paths_off"


@pytest.mark.parametrize(
    ("items", "count", "expected"),
    [
        ([{"item_id": "a"}, {"item_id": "a"}], 2, "given twice in one request (a)"),
        ([{"item_id": "a"}], 2, "2 files `image`, but 1 items"),
        ([{"item_id": ""}], 1, "item_id"),
        ([{"item_id": "a", "colour": "red"}], 1, "colour"),
        ([], 1, "items"),
        ("a", 1, "items"),
        ([{"item_id": "a", "path": "autumn/blue.png"}], 1, "has a path"),
    ],
)
def test_items_that_do_not_fit_are_a_sentence(
    writer: TestClient, items: Any, count: int, expected: str
) -> None:
    assert expected in sentence(add(writer, items, count), 422)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"files": {"image": b"x"}}, "items is missing"),
        ({"files": {"image": b"x"}, "data": {"items": "[{"}}, "is not JSON"),
        ({"files": {"image": b"x"}, "data": {"items": "[NaN]"}}, "is not JSON"),
        ({"files": {"photo": b"x"}}, "'photo', which is not known here"),
        ({"files": {"image": (None, "x")}, "data": {"items": '[{"item_id":"a"}]'}}, "send a file"),
        ({"content": b"x", "headers": {"content-type": "image/jpeg"}}, "The body is image/jpeg"),
        ({"content": b"[" * 90_000, "headers": {"content-type": "application/json"}}, "not JSON"),
        ({"json": {"items": [{"item_id": "a"}]}}, "has no path"),
        ({"json": [1]}, "dictionary"),
    ],
)
def test_a_body_that_cannot_be_read_is_a_sentence(
    writer: TestClient, how: dict[str, Any], expected: str
) -> None:
    assert expected in sentence(writer.post("/items", **how), 422)


def test_an_unusable_photo_is_refused(writer: TestClient, engine: FakeEngine) -> None:
    fields = {"items": json.dumps([{"item_id": "a"}])}
    sentence(writer.post("/items", files={"image": b"<svg/>"}, data=fields), 422)
    assert engine.version == 7


WRITES = [
    ("POST", "/items"),
    ("PUT", "/items/red.jpg"),
    ("DELETE", "/items/red.jpg"),
    ("POST", "/gallery/reload"),
]


@pytest.mark.parametrize(("method", "address"), WRITES)
def test_writing_needs_a_write_key(
    writer: TestClient, client: TestClient, engine: FakeEngine, method: str, address: str
) -> None:
    codes = [
        writer.request(method, address, headers={"X-API-Key": key}).json()["error"]["code"]
        for key in ("", READ, "x" * 20)
    ]
    assert codes == ["key_missing", "key_read_only", "key_unknown"]
    assert client.request(method, address).json()["error"]["code"] == "writing_off"
    assert engine.version == 7


def test_info_says_whether_writing_is_on(writer: TestClient, client: TestClient) -> None:
    assert writer.get("/info").json()["writable"] is True
    assert client.get("/info").json()["writable"] is False


def test_writes_may_be_larger_than_searches(writer: TestClient) -> None:
    files = {"image": bytes(2 * 1024 * 1024)}
    assert writer.post("/search", files=files).status_code == 413
    fields = {"items": json.dumps([{"item_id": "a"}])}
    assert writer.post("/items", files=files, data=fields).status_code == 422
    assert writer.put("/items/red.jpg", files=files).status_code == 422
    assert writer.post("/itemsx", files=files).status_code == 413
    over = {"image": bytes(101 * 1024 * 1024)}
    assert writer.post("/items", files=over, data=fields).status_code == 413


def test_reload_says_what_is_served(writer: TestClient) -> None:
    answer = writer.post("/gallery/reload").json()
    assert answer["changed"] is False
    assert answer["gallery"]["version"] == 7
