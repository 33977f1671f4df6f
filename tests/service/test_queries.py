"""Search again by query_id: without an upload, with another box, for a while; and its pictures."""

import io
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from service import queries
from service.app import create_app
from service.errors import Refused
from service.queries import Query, QueryCache, to_jpeg
from service.settings import Settings
from tests.service.fake_engine import STRANGE_ID, FakeEngine
from tests.service.test_http_search import post, sentence


def to_png(photo: Image.Image, **options: Any) -> bytes:
    stream = io.BytesIO()
    photo.save(stream, "PNG", **options)
    return stream.getvalue()


@pytest.fixture
def query_id(client: TestClient, red_photo: bytes) -> str:
    """A query that was answered."""
    return str(post(client, red_photo).json()["query_id"])


def again(client: TestClient, query_id: str, **fields: Any) -> Any:
    return client.post("/search", data={"query_id": query_id, **fields})


def test_a_search_is_repeated_without_encoding_anything(
    client: TestClient, engine: FakeEngine, query_id: str
) -> None:
    answer = again(client, query_id, k=1, alpha=0).json()
    assert answer["query_id"] == query_id
    assert answer["hits"][0]["item_id"] == "red.jpg"
    assert engine.sizes == [1]
    assert engine.calls[-1] == {"k": 1, "alpha": 0.0}


def test_another_box_encodes_the_kept_photo_once(client: TestClient, engine: FakeEngine) -> None:
    photo = Image.new("RGB", (64, 64), (255, 0, 0))
    photo.paste((0, 255, 0), (32, 0, 64, 64))
    query_id = post(client, to_png(photo), box="[0, 0, 0.5, 1]").json()["query_id"]
    for _ in range(2):
        best = again(client, query_id, box="[0.5, 0, 1, 1]").json()["hits"][0]
        assert best["item_id"] == "green.jpg"
    assert engine.sizes == [1, 1]
    assert "holds nothing" in sentence(again(client, query_id, box="[0, 0, 0, 1]"), 422)


def test_another_checkpoint_encodes_again(
    client: TestClient, engine: FakeEngine, query_id: str
) -> None:
    engine.fingerprint = "f00d"
    assert again(client, query_id).json()["hits"][0]["item_id"] == "red.jpg"
    assert engine.sizes == [1, 1]


@pytest.mark.parametrize("address", ["/search", "/explain.png", "/queries/gone/photo"])
def test_a_query_that_is_gone_is_410(client: TestClient, address: str) -> None:
    if address == "/search":
        response = again(client, "gone")
    else:
        response = client.get(address, params={"query_id": "gone", "item_id": "red.jpg"})
    assert "send the photo again" in sentence(response, 410)
    assert response.json()["error"]["code"] == "query_gone"


def test_queries_are_bounded_by_count_bytes_and_time(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = settings.model_copy(update={"max_queries": 2, "query_memory_mb": 1, "query_ttl_s": 100})
    now = [1000.0]
    monkeypatch.setattr(queries.time, "monotonic", lambda: now[0])
    cache = QueryCache(few)
    first, second, third, large = (Query([bytes(size)]) for size in (9, 9, 9, 2**20 - 9))
    for query in (first, second, third):
        cache.keep(query)
    assert (len(cache), cache.num_bytes) == (2, 18)
    with pytest.raises(Refused):
        cache.get(first.id)
    cache.keep(second)  # used again: the third is the oldest now
    cache.keep(large)
    assert cache.get(second.id) is second
    assert (len(cache), cache.num_bytes) == (2, 2**20)
    now[0] += 101
    with pytest.raises(Refused):
        cache.get(large.id)
    assert len(cache) == 1
    assert cache.keep(Query([bytes(2**20 + 1)])) is False
    assert (len(cache), cache.num_bytes) == (0, 0)


def test_a_service_may_keep_no_photos(
    settings: Settings, engine: FakeEngine, red_photo: bytes
) -> None:
    none = settings.model_copy(update={"query_memory_mb": 0})
    with TestClient(create_app(none, engine)) as client:
        answer = post(client, red_photo, k=2).json()
    assert [answer[name] for name in ("query_id", "expires_in_s", "cursor")] == [None] * 3


def test_a_large_file_is_kept_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MAX_FILE_BYTES", 100)
    kept = queries.shrink(to_png(Image.effect_noise((3000, 300), 90).convert("RGB")))
    with Image.open(io.BytesIO(kept)) as photo:
        assert (photo.format, photo.size) == ("JPEG", (2048, 205))


def test_the_photo_comes_back_upright_and_without_what_the_file_says(client: TestClient) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "secret garden"
    upload = to_png(Image.new("RGB", (80, 40), (255, 0, 0)), exif=exif)
    query_id = post(client, upload).json()["query_id"]
    response = client.get(f"/queries/{query_id}/photo")
    assert response.headers["content-type"] == "image/jpeg"
    assert "private" in response.headers["cache-control"]
    with Image.open(io.BytesIO(response.content)) as photo:
        assert photo.size == (40, 80)
        assert not photo.getexif()
    assert b"secret" not in response.content
    assert b"secret" not in to_jpeg(upload)
    assert "count from 0" in sentence(client.get(f"/queries/{query_id}/photo?photo=1"), 422)


@pytest.mark.parametrize("item_id", ["red.jpg", STRANGE_ID])
def test_an_explanation_is_a_picture_of_both_photos(
    client: TestClient, engine: FakeEngine, query_id: str, item_id: str
) -> None:
    response = client.get(
        "/explain.png", params={"query_id": query_id, "item_id": item_id, "pairs": 3}
    )
    assert response.headers["content-type"] == "image/png"
    assert response.headers["x-gallery-version"] == "7"
    with Image.open(io.BytesIO(response.content)) as picture:
        assert picture.height == 480
    assert engine.calls[-1]["explain"] == 3


def test_an_explanation_of_no_item_is_404(client: TestClient, query_id: str) -> None:
    params = {"query_id": query_id, "item_id": "it's none"}
    assert client.get("/explain.png", params=params).status_code == 404
