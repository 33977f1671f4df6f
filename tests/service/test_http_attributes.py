"""Attributes over HTTP: searched by, taught, removed, and every way to get that wrong."""

import json
import threading
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from model.errors import GalleryMismatchError
from service.app import create_app
from service.settings import Settings
from tests.service.fake_engine import FakeEngine, draw_photo
from tests.service.test_http_search import post, sentence

WRITE, READ = "w" * 20, "r" * 20
COLLAR = json.dumps({"collar": 1})
MARKED = [{"item_id": "red.jpg", "value": "flap"}, {"item_id": "green.jpg", "value": "patch"}]


@pytest.fixture
def blues() -> FakeEngine:
    """Alike in red and green in one order, in blue in the other."""
    return FakeEngine({"far.jpg": (55, 0, 255), "mid.jpg": (155, 0, 155), "near.jpg": (255, 0, 55)})


@pytest.fixture
def writer(settings: Settings, engine: FakeEngine) -> Any:
    """A client with a write key."""
    keys = {"write_keys": SecretStr(WRITE), "read_keys": SecretStr(READ)}
    app = create_app(settings.model_copy(update=keys), engine)
    with TestClient(app, headers={"X-API-Key": WRITE}) as client:
        yield client


def teach(client: TestClient, name: str = "pocket_shape", examples: Any = None) -> Any:
    body = {"name": name, "examples": MARKED if examples is None else examples}
    return client.post("/attributes", json=body)


def names(client: TestClient) -> list[str]:
    return [each["name"] for each in client.get("/attributes").json()["attributes"]]


def test_attributes_are_listed_with_values_and_quality(client: TestClient) -> None:
    answer = client.get("/attributes").json()
    assert answer["note"] is None
    assert answer["attributes"][0] == {
        "name": "collar",
        "values": ["crew", "shirt", "v-neck"],
        "quality": 0.82,
        "num_examples": 1200,
        "source": "drawn garments",
        "learned": False,
    }


def test_a_gallery_without_attributes_says_so(client: TestClient, engine: FakeEngine) -> None:
    engine.known = ()
    answer = client.get("/attributes").json()
    assert answer["attributes"] == []
    assert "has no attributes" in answer["note"]


def test_hits_are_ordered_by_the_attributes_and_say_how_alike_they_are(
    settings: Settings, blues: FakeEngine
) -> None:
    photo = draw_photo((255, 0, 255))
    with TestClient(create_app(settings, blues)) as client:
        plain = post(client, photo).json()["hits"]
        hits = post(client, photo, attributes=COLLAR).json()["hits"]
        mixed = post(client, photo, attributes=COLLAR, overall=0.5).json()["hits"]
    assert [hit["item_id"] for hit in plain] == ["near.jpg", "mid.jpg", "far.jpg"]
    assert [hit["item_id"] for hit in hits] == ["far.jpg", "mid.jpg", "near.jpg"]
    assert hits[0]["scores"]["attributes"] == {"collar": 1.0}
    assert hits[0]["scores"]["combined"] == 1.0
    fused = mixed[0]["scores"]["fused"]
    assert mixed[0]["scores"]["combined"] == pytest.approx((0.5 * fused + 1) / 1.5)


def test_attributes_reach_the_engine_from_every_address(
    client: TestClient, engine: FakeEngine, red_photo: bytes
) -> None:
    fields = {"attributes": '{"collar": 1, "sleeve_length": 0.5}', "overall": 0.25}
    query_id = post(client, red_photo, **fields).json()["query_id"]
    client.post("/search", data={"query_id": query_id, **fields})
    client.post("/search", data={"item_id": "red.jpg", **fields})
    client.get("/items/red.jpg/similar", params=fields)
    client.post("/search/batch", files=[("image", red_photo)], data=fields)
    assert len(engine.calls) == 5
    for call in engine.calls:
        assert call["attributes"] == {"collar": 1, "sleeve_length": 0.5}
        assert call["overall"] == 0.25


def test_the_next_page_asks_for_the_same_attributes(
    client: TestClient, engine: FakeEngine, red_photo: bytes
) -> None:
    first = post(client, red_photo, k=2, attributes=COLLAR, overall=0.5).json()
    second = client.post("/search", data={"cursor": first["cursor"]}).json()
    assert second["hits"][0]["rank"] == 3
    assert engine.calls[1]["attributes"] == {"collar": 1}
    assert engine.calls[1]["overall"] == 0.5
    alone = client.post("/search", data={"cursor": first["cursor"], "attributes": COLLAR})
    assert "cursor is given with attributes" in sentence(alone, 422)


def test_an_explanation_shows_where_attributes_look(client: TestClient, red_photo: bytes) -> None:
    hit = post(client, red_photo, attributes=COLLAR, explain=2).json()["hits"][0]
    regions = hit["explanation"]["attributes"]["collar"]
    assert regions["query"][0] == {
        "x": 0.5,
        "y": 0.1,
        "rx": 0.2,
        "ry": 0.1,
        "angle": 0.0,
        "share": 0.75,
        "photo": 0,
    }
    assert regions["item"][0]["angle"] == 15.0


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"attributes": "collar"}, "expected a JSON object"),
        ({"attributes": '["collar"]'}, "expected a JSON object"),
        ({"attributes": "[" * 4000}, "expected a JSON object"),
        ({"attributes": '{"collar": 0}'}, "weight of attribute 'collar' is 0"),
        ({"attributes": '{"collar": 1.5}'}, "above 0, up to 1"),
        ({"attributes": '{"collar": NaN}'}, "above 0, up to 1"),
        ({"attributes": '{"collar": true}'}, "above 0, up to 1"),
        ({"attributes": '{"collar": "much"}'}, "above 0, up to 1"),
        ({"attributes": '{"hem": 1}'}, "no attribute 'hem'; it has collar, sleeve_length"),
        ({"attributes": '{"\\ud800": 1}'}, "it has collar, sleeve_length"),
        ({"attributes": json.dumps({f"a{i}": 1 for i in range(17)})}, "at most 16"),
        ({"attributes": "x" * 5000}, "4096"),
        ({"overall": 0.5}, "overall is given without attributes"),
        ({"attributes": COLLAR, "overall": 2}, "overall"),
        ({"attributes": COLLAR, "min_confidence": 0.5}, "together with attributes"),
    ],
)
def test_what_cannot_be_searched_by_is_a_sentence(
    client: TestClient, red_photo: bytes, fields: dict[str, Any], expected: str
) -> None:
    assert expected in sentence(post(client, red_photo, **fields), 422)
    assert expected in sentence(client.get("/items/red.jpg/similar", params=fields), 422)


def test_a_taught_attribute_can_be_searched_by_until_it_is_removed(writer: TestClient) -> None:
    taught = teach(writer)
    assert taught.status_code == 201
    assert taught.json() == {
        "name": "pocket_shape",
        "values": ["flap", "patch"],
        "quality": None,
        "num_examples": 2,
        "source": "marked items",
        "learned": True,
    }
    assert names(writer) == ["collar", "sleeve_length", "pocket_shape"]
    fields = {"attributes": '{"pocket_shape": 1}'}
    assert writer.get("/items/red.jpg/similar", params=fields).status_code == 200
    left = writer.delete("/attributes/pocket_shape").json()
    assert [each["name"] for each in left["attributes"]] == ["collar", "sleeve_length"]
    assert writer.get("/items/red.jpg/similar", params=fields).status_code == 422


@pytest.mark.parametrize(
    ("examples", "expected"),
    [
        ([], "examples"),
        ([{"item_id": "red.jpg"}], "value is missing"),
        ([{"item_id": "red.jpg", "value": ""}], "value"),
        ([{"item_id": "red.jpg", "value": "flap"}], "All examples have the value 'flap'"),
        ([*MARKED, {"item_id": "red.jpg", "value": "patch"}], "'flap' and 'patch'; give it one"),
        ([{**MARKED[0], "colour": "red"}], "`colour`"),
    ],
)
def test_examples_that_teach_nothing_are_a_sentence(
    writer: TestClient, examples: Any, expected: str
) -> None:
    assert expected in sentence(teach(writer, examples=examples), 422)


def test_names_and_items_are_checked(writer: TestClient) -> None:
    assert "exists" in sentence(teach(writer, "collar"), 422)
    unknown = [*MARKED, {"item_id": "no/such", "value": "flap"}]
    assert "no/such" in sentence(teach(writer, examples=unknown), 404)
    gone = sentence(writer.delete("/attributes/hem"), 404)
    assert "no attribute 'hem'; it has collar, sleeve_length" in gone
    assert "came with the checkpoint" in sentence(writer.delete("/attributes/collar"), 422)


def test_a_gallery_without_attributes_cannot_learn(writer: TestClient, engine: FakeEngine) -> None:
    def fail() -> None:
        raise GalleryMismatchError("/srv/secret/index has no attributes of its checkpoint")

    engine.before_learning = fail
    response = teach(writer)
    assert response.json()["error"]["code"] == "attributes_missing"
    assert "secret" not in sentence(response, 409)


@pytest.mark.parametrize("body", [b"", b"[", b"[]", b'"x"', b'{"name": "\\ud800"}', b"[" * 9999])
def test_a_body_that_is_none_is_a_sentence(writer: TestClient, body: bytes) -> None:
    response = writer.post(
        "/attributes", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code in (400, 422)
    assert response.json()["error"]["message"].endswith(".")


def test_teaching_and_removing_need_a_write_key(writer: TestClient, client: TestClient) -> None:
    reader = {"X-API-Key": READ}
    assert writer.get("/attributes", headers=reader).status_code == 200
    assert writer.post("/attributes", json={}, headers=reader).status_code == 403
    assert writer.delete("/attributes/collar", headers=reader).status_code == 403
    assert writer.get("/attributes", headers={"X-API-Key": "none"}).status_code == 401
    assert teach(client).status_code in (401, 403)


def test_searches_go_on_while_an_attribute_is_learned_and_the_next_one_waits(
    writer: TestClient, engine: FakeEngine, red_photo: bytes
) -> None:
    begun, may_end, running, most = threading.Event(), threading.Event(), [0], [0]

    def learn() -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        begun.set()
        assert may_end.wait(10)
        running[0] -= 1

    engine.before_learning = learn
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda name=name: answers.append(teach(writer, name).status_code))
        for name in ("pocket", "hem")
    ]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    assert post(writer, red_photo).status_code == 200
    may_end.set()
    for thread in threads:
        thread.join()
    assert answers == [201, 201]
    assert most == [1]
    assert set(names(writer)) == {"collar", "sleeve_length", "pocket", "hem"}


def test_searches_by_attributes_and_lessons_are_counted(
    writer: TestClient, red_photo: bytes
) -> None:
    teach(writer)
    post(writer, red_photo, attributes=COLLAR)
    text = writer.get("/metrics").text
    assert "selvedge_attribute_searches_total 1.0" in text
    assert "selvedge_attribute_learning_seconds_count 1.0" in text
