"""Every error class has a status; every error has one shape."""

import pytest
from starlette.testclient import TestClient

from model import errors as tree
from model.errors import SelvedgeError
from service.errors import FAULTS, find_fault
from tests.service.fake_engine import FakeEngine


def walk(cls: type[SelvedgeError]) -> list[type[SelvedgeError]]:
    """List every class below `cls`."""
    below = [sub for sub in cls.__subclasses__() if sub.__module__ == tree.__name__]
    return below + [leaf for sub in below for leaf in walk(sub)]


@pytest.mark.parametrize("cls", walk(SelvedgeError), ids=lambda cls: cls.__name__)
def test_every_class_of_the_tree_has_a_status(cls: type[SelvedgeError]) -> None:
    assert cls in FAULTS, f"add {cls.__name__} to FAULTS in service/errors.py"


def test_every_code_is_used_once() -> None:
    codes = [fault.code for fault in FAULTS.values()]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize(("cls", "fault"), FAULTS.items(), ids=lambda value: str(value)[:40])
def test_faults_of_the_server_never_show_their_own_text(
    cls: type[SelvedgeError], fault: object
) -> None:
    found = find_fault(cls("at /srv/index"))
    assert found == fault
    assert (found.sentence is not None) == (found.status >= 500 or found.status == 409)


@pytest.mark.parametrize("cls", FAULTS, ids=lambda cls: cls.__name__)
def test_every_fault_leaves_with_its_status_and_code(
    client: TestClient, engine: FakeEngine, red_photo: bytes, cls: type[SelvedgeError]
) -> None:
    def fail() -> None:
        raise cls("the disk at /srv/index is full")

    engine.before_search = fail
    response = client.post("/search", files={"image": red_photo})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == FAULTS[cls][:2]
    assert error["message"] == (FAULTS[cls].sentence or "The disk at /srv/index is full.")


def test_a_class_without_a_row_takes_that_of_its_parent() -> None:
    class BlurryError(tree.ImageError):
        pass

    assert find_fault(BlurryError()).code == "image_unreadable"
    assert find_fault(SelvedgeError()).status == 500


def test_an_unknown_address_is_404_in_the_same_shape(client: TestClient) -> None:
    response = client.get("/serach")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "route_not_found"
    assert "/serach" in response.json()["error"]["message"]


def test_a_wrong_method_is_405_and_names_the_right_one(client: TestClient) -> None:
    response = client.get("/search")
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert response.json()["error"]["message"] == "/search does not answer GET; use POST."


def test_a_clients_request_id_is_kept(client: TestClient) -> None:
    response = client.get("/nowhere", headers={"x-request-id": "shop-42.a"})
    assert response.headers["x-request-id"] == "shop-42.a"
    assert response.json()["error"]["request_id"] == "shop-42.a"


@pytest.mark.parametrize("forged", ["two words", "x" * 65, "a;b"])
def test_a_request_id_that_could_forge_log_lines_is_replaced(
    client: TestClient, forged: str
) -> None:
    given = client.get("/healthz", headers={"x-request-id": forged}).headers["x-request-id"]
    assert given != forged
    assert given.isalnum()


@pytest.mark.parametrize("path", ["/", "/docs", "/healthz", "/nowhere", "/static/app.js"])
def test_every_answer_carries_the_security_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "script-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
