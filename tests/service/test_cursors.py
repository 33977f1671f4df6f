"""Pages: each goes on where the one before ended, on the same version of the gallery."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from indexer.requests import NewItem
from service.cursors import Cursor, read_cursor
from service.options import PageOptions
from tests.service.fake_engine import FakeEngine, draw_photo
from tests.service.test_http_search import post, sentence


def turn(client: TestClient, cursor: str, **fields: Any) -> Any:
    return client.post("/search", data={"cursor": cursor, **fields})


def ids(answer: Any) -> list[str]:
    return [hit["item_id"] for hit in answer["hits"]]


def test_pages_follow_each_other_to_the_end(client: TestClient, red_photo: bytes) -> None:
    whole = ids(post(client, red_photo).json())
    answer = post(client, red_photo, k=2, alpha=0.25).json()
    found, ranks = ids(answer), [1, 2]
    while answer["cursor"]:
        answer = turn(client, answer["cursor"]).json()
        found += ids(answer)
        ranks += [hit["rank"] for hit in answer["hits"]]
    assert found == ids(post(client, red_photo, alpha=0.25).json())
    assert sorted(found) == sorted(whole)
    assert ranks == [1, 2, 3, 4, 5]


def test_a_cursor_stays_on_its_version_while_items_come_and_go(
    client: TestClient, engine: FakeEngine, red_photo: bytes
) -> None:
    first = post(client, red_photo, k=2).json()
    engine.add([NewItem("new.jpg", draw_photo((250, 5, 0)))])
    engine.remove(["green.jpg"])
    second = turn(client, first["cursor"]).json()
    third = turn(client, second["cursor"]).json()
    assert [answer["gallery"]["version"] for answer in (first, second, third)] == [7, 7, 7]
    assert "new.jpg" not in ids(second) + ids(third)
    assert "green.jpg" in ids(third)
    assert "new.jpg" in ids(post(client, red_photo).json())


def test_a_vanished_version_is_410(
    client: TestClient, engine: FakeEngine, red_photo: bytes
) -> None:
    cursor = post(client, red_photo, k=2).json()["cursor"]
    engine.version = 8
    response = turn(client, cursor)
    assert "not held any more" in sentence(response, 410)
    assert response.json()["error"]["code"] == "version_gone"


def test_pages_of_an_item_come_from_its_address(client: TestClient) -> None:
    first = client.get("/items/red.jpg/similar", params={"k": 2}).json()
    page = client.get("/items/red.jpg/similar", params={"cursor": first["cursor"]}).json()
    assert page["hits"][0]["rank"] == 3
    other = client.get("/items/green.jpg/similar", params={"cursor": first["cursor"]})
    assert "belongs to another search" in sentence(other, 422)
    more = client.get("/items/red.jpg/similar", params={"cursor": first["cursor"], "k": 3})
    assert "cursor is given with k" in sentence(more, 422)


def test_pages_of_a_page_that_was_not_reranked_are_not_either(
    client: TestClient, engine: FakeEngine, red_photo: bytes
) -> None:
    query_id = post(client, red_photo).json()["query_id"]
    options = PageOptions(k=2, offset=2)
    cursor = Cursor(version=7, query_id=query_id, options=options, is_stage_one=True).write()
    assert turn(client, cursor).json()["reranked"] is False


@pytest.mark.parametrize("cursor", ["x", "....", "AAAA", "é" * 9, "A" * 200_000])
def test_what_is_no_cursor_is_a_sentence(client: TestClient, cursor: str) -> None:
    assert "cursor is" in sentence(turn(client, cursor), 422)


def test_a_cursor_holds_the_whole_search() -> None:
    options = PageOptions(k=3, filter="price < 9", exclude_item=["a", "b"], facet=["price"])
    cursor = Cursor(version=3, query_id="q", box=(0, 0.25, 1, 1), options=options)
    assert read_cursor(cursor.write()) == cursor


def test_a_cursor_that_unpacks_to_too_much_is_refused(client: TestClient) -> None:
    options = PageOptions(filter=" " * 2_000_000)
    cursor = Cursor(version=7, item_id="red.jpg", options=options).write()
    assert turn(client, cursor).status_code == 422
