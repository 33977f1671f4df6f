"""/items: ids of every kind, thumbnails and their caching, search by item."""

from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from tests.service.fake_engine import STRANGE_ID, FakeEngine

IDS = ["red.jpg", "tops/brick.jpg", STRANGE_ID]


@pytest.mark.parametrize("item_id", IDS)
@pytest.mark.parametrize("safe", ["", "/"], ids=["slash encoded", "slash plain"])
def test_an_item_is_found_by_ids_with_slashes_spaces_and_emoji(
    client: TestClient, item_id: str, safe: str
) -> None:
    answer = client.get(f"/items/{quote(item_id, safe=safe)}").json()
    assert answer["item_id"] == item_id
    assert set(answer) == {"item_id", "product_id", "uri", "metadata"}


@pytest.mark.parametrize("suffix", ["", "/thumbnail", "/similar"])
def test_an_unknown_item_is_404_and_named(client: TestClient, suffix: str) -> None:
    response = client.get(f"/items/no/such.jpg{suffix}")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "item_not_found"
    assert '"no/such.jpg"' in response.json()["error"]["message"]


@pytest.mark.parametrize("item_id", IDS)
def test_a_thumbnail_is_a_jpeg_with_an_etag(
    client: TestClient, engine: FakeEngine, item_id: str
) -> None:
    response = client.get(f"/items/{quote(item_id)}/thumbnail")
    assert response.content == engine.thumbnail(item_id)
    assert response.headers["content-type"] == "image/jpeg"
    assert response.headers["etag"].startswith('"')
    assert "max-age" in response.headers["cache-control"]


def test_an_unchanged_thumbnail_is_304_without_a_body(client: TestClient) -> None:
    etag = client.get("/items/red.jpg/thumbnail").headers["etag"]
    response = client.get("/items/red.jpg/thumbnail", headers={"if-none-match": f'"x", W/{etag}'})
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == etag


def test_a_replaced_thumbnail_is_sent_again(client: TestClient, engine: FakeEngine) -> None:
    etag = client.get("/items/red.jpg/thumbnail").headers["etag"]
    engine.colours = {"red.jpg": (200, 0, 0)}
    response = client.get("/items/red.jpg/thumbnail", headers={"if-none-match": etag})
    assert response.status_code == 200
    assert response.headers["etag"] != etag


def test_head_answers_like_get_without_the_body(client: TestClient) -> None:
    head, get = client.head("/items/red.jpg/thumbnail"), client.get("/items/red.jpg/thumbnail")
    assert head.content == b""
    for name in ("etag", "content-type", "content-length", "cache-control"):
        assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize("item_id", IDS)
def test_similar_leaves_the_item_itself_out(client: TestClient, item_id: str) -> None:
    hits = client.get(f"/items/{quote(item_id, safe='')}/similar", params={"k": 50}).json()["hits"]
    assert len(hits) == 4
    assert item_id not in [hit["item_id"] for hit in hits]


def test_similar_passes_its_options_on(client: TestClient, engine: FakeEngine) -> None:
    engine.calibrated = True
    options: dict[str, str | int] = {"k": 2, "candidates": 9, "alpha": 1, "group_by": "product"}
    options["min_confidence"] = 0
    client.get("/items/red.jpg/similar", params=options)
    assert engine.calls == [{"item_id": "red.jpg", **options}]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("k=0", 'k is "0"; expected at least 1.'),
        ("alpha=2", 'alpha is "2"; expected at most 1.'),
        ("top=3", "The field `top` is not known here"),
    ],
)
def test_a_query_out_of_range_is_a_sentence(client: TestClient, query: str, expected: str) -> None:
    response = client.get(f"/items/red.jpg/similar?{query}")
    assert response.status_code == 422
    assert response.json()["error"]["message"].startswith(expected)
