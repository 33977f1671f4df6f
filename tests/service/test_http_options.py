"""Fields of POST /search beyond the photo: sources, box, filter, facets, explanations, deadline."""

import time
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.service.fake_engine import STRANGE_ID, FakeEngine, draw_photo
from tests.service.test_http_search import post, sentence
from tests.service.test_queries import to_png

PLAIN_SCORES = {"token": None, "fused": None, "attributes": {}, "combined": None}


def test_every_option_reaches_the_engine(
    client: TestClient, engine: FakeEngine, red_photo: bytes
) -> None:
    options = {"filter": "price < 60", "sort": "-price", "facet": ["price", "name"], "offset": 2}
    lists = {"exclude_product": ["A", ""], "exclude_item": [STRANGE_ID, "red.jpg"], "explain": 3}
    assert post(client, red_photo, **options, **lists).status_code == 200
    assert engine.calls == [
        {
            "k": 10,
            "offset": 2,
            "filter": "price < 60",
            "sort": "-price",
            "facets": ("price", "name"),
            "exclude_products": ("A",),
            "exclude_items": (STRANGE_ID, "red.jpg"),
            "explain": 3,
        }
    ]


def test_explain_true_is_five_pairs(
    client: TestClient, engine: FakeEngine, red_photo: bytes
) -> None:
    hit = post(client, red_photo, explain="true").json()["hits"][0]
    assert engine.calls[0]["explain"] == 5
    [pair] = hit["explanation"]["pairs"]
    assert pair["query"] == {"x": 0.5, "y": 0.5, "rx": 0.2, "ry": 0.1, "angle": 30.0}
    assert (pair["photo"], pair["level"], pair["share"]) == (0, 1, 0.25)
    assert hit["explanation"]["remainder"] == 0.75


def test_facets_come_by_their_kind(
    client: TestClient, engine: FakeEngine, red_photo: bytes
) -> None:
    engine.metadata = {"red.jpg": {"name": "Tee", "price": 19.5}, "green.jpg": {"price": 40.0}}
    answer = post(client, red_photo, facet=["name", "price"]).json()
    assert answer["facets"]["name"] == {
        "kind": "values",
        "values": [{"value": "Tee", "count": 1}],
        "more": 0,
        "missing": 4,
    }
    assert answer["facets"]["price"] == {
        "kind": "numbers",
        "min": 19.5,
        "max": 40.0,
        "bins": [{"from": 19.5, "to": 19.5, "count": 1}, {"from": 40.0, "to": 40.0, "count": 1}],
        "missing": 3,
    }
    assert answer["facet_candidates"] == 5


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"filter": "price <"}, "cannot be read at character 8"),
        ({"filter": "colour = 'red'"}, "'colour'"),
        ({"filter": "colour = 'red'"}, "price"),
        ({"sort": "size"}, "price"),
        ({"facet": "size"}, "name"),
        ({"box": "[0.5, 0, 0.5, 1]"}, "holds nothing"),
        ({"box": "[0, 0, 1.5, 1]"}, "from 0 to 1"),
        ({"box": "[0, 0, NaN, 1]"}, "from 0 to 1"),
        ({"box": "[0, 0, 0.01, 0.01]"}, "pixel"),
        ({"box": "0.1"}, "expected [left, top, right, bottom]"),
        ({"box": "{"}, "expected [left, top, right, bottom]"),
        ({"box": '["a", 0, 1, 1]'}, "expected [left, top, right, bottom]"),
        ({"offset": 999, "k": 2}, "1001"),
        ({"explain": 11}, "at most 10"),
        ({"explain": 1, "k": 101}, "up to 100"),
        ({"deadline_ms": 0}, "at least 1"),
        ({"query_id": "x"}, "image and query_id"),
        ({"cursor": "x"}, "cursor is given with image; send it alone"),
    ],
)
def test_what_cannot_be_answered_is_a_sentence(
    client: TestClient, red_photo: bytes, fields: dict[str, Any], expected: str
) -> None:
    assert expected in sentence(post(client, red_photo, **fields), 422)


def test_a_box_decides_what_is_searched_for(client: TestClient) -> None:
    photo = Image.new("RGB", (64, 64), (255, 0, 0))
    photo.paste((0, 255, 0), (32, 0, 64, 64))
    best = post(client, to_png(photo), box="[0.5, 0, 1, 1]", k=1).json()["hits"][0]
    assert best["item_id"] == "green.jpg"


def test_several_photos_are_one_search(client: TestClient, engine: FakeEngine) -> None:
    files = [("image", draw_photo((255, 0, 0))), ("image", draw_photo((0, 255, 0)))]
    assert client.post("/search", files=files).json()["hits"][0]["item_id"] == "red.jpg"
    assert len(engine.calls) == 1
    assert sum(engine.sizes) == 2
    too_many = client.post("/search", files=[("image", draw_photo((9, 9, 9)))] * 9)
    assert too_many.status_code == 422


def test_an_item_is_searched_with_and_left_out(client: TestClient) -> None:
    answer = client.post("/search", data={"item_id": STRANGE_ID}).json()
    assert STRANGE_ID not in [hit["item_id"] for hit in answer["hits"]]
    assert (answer["query_id"], answer["expires_in_s"]) == (None, None)
    assert client.post("/search", data={"item_id": "no/such"}).status_code == 404


def test_a_batch_gives_an_answer_a_photo(client: TestClient, engine: FakeEngine) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (204, 51, 0)]
    files = [("image", draw_photo(colour)) for colour in colours]
    results = client.post("/search/batch", files=files, data={"k": 1}).json()["results"]
    best = [result["hits"][0]["item_id"] for result in results]
    assert best == ["red.jpg", "green.jpg", "tops/brick.jpg"]
    assert engine.sizes == [3]
    assert len({result["query_id"] for result in results}) == 3


def test_a_bad_photo_of_a_batch_is_named(client: TestClient, red_photo: bytes) -> None:
    response = client.post("/search/batch", files=[("image", red_photo), ("image", b"text")])
    assert sentence(response, 422).startswith("Photo 2 of the batch")
    assert "the file field `image`" in sentence(client.post("/search/batch", data={"k": 1}), 422)


def test_past_its_deadline_a_search_keeps_the_order_of_stage_one(
    settings: Settings, engine: FakeEngine, red_photo: bytes
) -> None:
    one = settings.model_copy(update={"max_searches": 1})
    with TestClient(create_app(one, engine)) as client:
        assert post(client, red_photo, deadline_ms=600_000).json()["reranked"] is True
    hurried = settings.model_copy(update={"deadline_ms": 1})
    engine.before_encode = lambda: time.sleep(0.01)
    with TestClient(create_app(hurried, engine)) as client:
        answer = post(client, red_photo, deadline_ms=600_000).json()
    assert answer["reranked"] is False
    assert answer["hits"][0]["scores"] == PLAIN_SCORES | {"global": 1.0}


def test_addresses_are_not_fetched_unless_hosts_are_listed(client: TestClient) -> None:
    response = client.post("/search", data={"image_url": "https://shop.example/a.jpg"})
    assert response.status_code == 403


def test_an_address_on_the_list_is_searched_with(
    settings: Settings, engine: FakeEngine, red_photo: bytes
) -> None:
    app = create_app(settings, engine)

    class Fetcher:
        async def fetch(self, url: str) -> bytes:
            assert url == "https://shop.example/a.jpg"
            return red_photo

    app.state.fetcher = Fetcher()
    with TestClient(app) as client:
        answer = client.post("/search", data={"image_url": "https://shop.example/a.jpg"}).json()
    assert answer["hits"][0]["item_id"] == "red.jpg"
