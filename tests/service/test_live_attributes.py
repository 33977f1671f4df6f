"""Attributes over HTTP against a real gallery, whose likenesses a person can work out."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from indexer.checkpoint import GivenEncoder
from indexer.live_engine import LiveEngine
from indexer.live_types import LiveOptions
from model.alignment import TokenSet
from model.explain import Decomposition
from service.app import create_app
from service.settings import Settings
from tests.indexer.aligner import Aligner
from tests.indexer.garments import build_garments, draw_garment
from tests.service.test_http_search import sentence

KEY = {"X-API-Key": "w" * 20}
TOP = json.dumps({"top": 1})


class Explainer(Aligner):
    """Its tokens are colours, and every pair of them has the same share."""

    def explain(self, query: TokenSet, hits: TokenSet) -> Decomposition[Any]:
        """Shares of 0.01 of each of the (K, L, M, M) pairs."""
        share = np.full((*hits.tokens.shape[1:4], hits.tokens.shape[3]), 0.01, np.float32)
        return Decomposition(share, share, np.zeros(len(share), np.float32))


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    """A service of nine garments: `rg` is red above and green below."""
    settings = Settings(index_dir=tmp_path, write_keys=SecretStr(KEY["X-API-Key"]))
    quiet = LiveOptions(background=False)
    with (
        LiveEngine(build_garments(tmp_path), GivenEncoder(Explainer()), quiet) as gallery,
        TestClient(create_app(settings, gallery), headers=KEY) as client,
    ):
        yield client


def search(client: TestClient, look: str, **fields: Any) -> Any:
    files = {"image": draw_garment(look)}
    answer = client.post("/search", files=files, data={"k": 9, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(answer: Any) -> list[str]:
    return [hit["item_id"] for hit in answer["hits"]]


def test_the_same_top_is_found_whatever_is_below_it(client: TestClient) -> None:
    answer = search(client, "rw", attributes=TOP, explain=2)
    assert set(ids(answer)[:3]) == {"rr", "rg", "rb"}
    best = answer["hits"][0]
    assert best["scores"]["attributes"]["top"] == pytest.approx(1, abs=0.01)
    assert best["scores"]["combined"] == pytest.approx(1, abs=0.01)
    assert best["confidence"] is None
    regions = best["explanation"]["attributes"]["top"]
    heights = [region["y"] for side in regions.values() for region in side]
    assert heights == pytest.approx([0.25] * 4, abs=0.01)


def test_a_picture_shows_where_the_attributes_look(client: TestClient) -> None:
    params = {"query_id": search(client, "rw")["query_id"], "item_id": "rg"}
    plain = client.get("/explain.png", params=params)
    tinted = client.get("/explain.png", params={**params, "attributes": TOP})
    assert (plain.status_code, tinted.status_code) == (200, 200)
    assert plain.content != tinted.content
    unknown = client.get("/explain.png", params={**params, "attributes": '{"hem": 1}'})
    assert "known are: top, bottom" in sentence(unknown, 422)


def test_pages_and_queries_keep_to_the_attribute(client: TestClient) -> None:
    whole = ids(search(client, "rw", attributes=TOP))
    page = search(client, "rw", attributes=TOP, k=3)
    found = ids(page)
    while page["cursor"]:
        page = client.post("/search", data={"cursor": page["cursor"]}).json()
        found += ids(page)
    assert found == whole
    query_id = search(client, "gw")["query_id"]
    again = client.post("/search", data={"query_id": query_id, "attributes": TOP}).json()
    assert set(ids(again)[:3]) == {"gr", "gg", "gb"}


def test_marked_items_teach_an_attribute_that_the_next_search_uses(client: TestClient) -> None:
    marks = {"rr": "red", "gr": "red", "br": "red", "rg": "green", "gg": "green", "bg": "green"}
    examples = [{"item_id": item_id, "value": value} for item_id, value in marks.items()]
    taught = client.post("/attributes", json={"name": "skirt", "examples": examples})
    assert taught.status_code == 201, taught.text
    assert taught.json()["learned"] is True
    assert taught.json()["values"] == ["green", "red"]
    listed = client.get("/attributes").json()["attributes"]
    assert [each["name"] for each in listed] == ["top", "bottom", "skirt"]
    answer = search(client, "wr", attributes='{"skirt": 1}')
    assert set(ids(answer)[:3]) == {"rr", "gr", "br"}
    again = client.post("/attributes", json={"name": "skirt", "examples": examples})
    assert "already" in sentence(again, 422)
    left = client.delete("/attributes/skirt").json()["attributes"]
    assert [each["name"] for each in left] == ["top", "bottom"]


def test_what_cannot_be_taught_or_searched_by_is_a_sentence(client: TestClient) -> None:
    def teach(name: str, marks: dict[str, str]) -> Any:
        examples = [{"item_id": item_id, "value": value} for item_id, value in marks.items()]
        return client.post("/attributes", json={"name": name, "examples": examples})

    assert "Pocket Shape" in sentence(teach("Pocket Shape", {"rr": "a", "gg": "b"}), 422)
    sentence(teach("hem", {"rr": "a", "gg": "a", "bb": "a", "rg": "a"}), 422)
    sentence(teach("hem", {"rr": "a", "gg": "b"}), 422)
    marks = {"rr": "a", "gg": "b", "bb": "a", "no/such": "b"}
    assert "no/such" in sentence(teach("hem", marks), 404)
    assert client.delete("/attributes/top").status_code == 422
    unknown = client.get("/items/rr/similar", params={"attributes": '{"hem": 1}'})
    assert "top" in sentence(unknown, 422)
