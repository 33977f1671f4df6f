"""POST /search: the answer, the fields, and every way to get them wrong."""

import io
import struct
import threading
import zlib
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.service.fake_engine import FakeEngine, draw_photo


def post(client: TestClient, photo: bytes, **fields: Any) -> Any:
    return client.post("/search", files={"image": ("photo", photo)}, data=fields)


def sentence(response: Any, status: int) -> str:
    """Check the shape of an error and return its sentence."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert error["request_id"] == response.headers["x-request-id"]
    assert error["message"].endswith(".")
    return str(error["message"])


def bomb_header() -> bytes:
    """A PNG whose header promises 20,000 x 20,000 pixels."""
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    crc = struct.pack(">I", zlib.crc32(chunk))
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + chunk + crc
    return start + struct.pack(">I", 9) + b"IDAT"


def test_an_answer_holds_hits_scores_timings_and_the_gallery(
    client: TestClient, red_photo: bytes
) -> None:
    answer = post(client, red_photo, k=1).json()
    timings = answer.pop("timings_ms")
    assert {"decode", "encode", "total"} <= set(timings)
    assert sum(timings.values()) == pytest.approx(2 * timings["total"], abs=0.01)
    assert isinstance(answer.pop("query_id"), str)
    assert isinstance(answer.pop("cursor"), str)
    assert answer == {
        "expires_in_s": 600,
        "hits": [
            {
                "rank": 1,
                "item_id": "red.jpg",
                "product_id": "RED.JPG",
                "uri": "photos/red.jpg",
                "metadata": {},
                "scores": {
                    "global": 1.0,
                    "token": 1.0,
                    "fused": 1.0,
                    "attributes": {},
                    "combined": None,
                },
                "confidence": None,
                "explanation": None,
            }
        ],
        "reranked": True,
        "no_confident_match": False,
        "facets": {},
        "facet_candidates": 0,
        "gallery": {"version": 7, "items": 5, "fingerprint": "c0ffee"},
    }


def test_hits_come_best_first_with_the_engines_scores(client: TestClient) -> None:
    hits = post(client, draw_photo((204, 51, 0)), k=3, alpha=0.25).json()["hits"]
    assert [hit["item_id"] for hit in hits] == ["tops/brick.jpg", "red.jpg", "tops/olive.jpg"]
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    # olive differs by 102 in red and by 51 in green.
    scores = [hits[2]["scores"][name] for name in ("global", "token", "fused")]
    assert scores == pytest.approx([0.6, 0.8, 0.75])


def test_form_fields_reach_the_engine(
    client: TestClient, engine: FakeEngine, red_photo: bytes
) -> None:
    engine.calibrated = True
    expected = {"k": 3, "candidates": 40, "aligned": 20, "alpha": 0.0, "group_by": "product"}
    post(client, red_photo, **expected, min_confidence=0.5)
    assert engine.calls == [{**expected, "min_confidence": 0.5}]


def test_hits_below_min_confidence_are_left_out(
    client: TestClient, engine: FakeEngine, red_photo: bytes
) -> None:
    engine.calibrated = True
    answer = post(client, red_photo, min_confidence=0.7).json()
    assert [hit["confidence"] for hit in answer["hits"]] == pytest.approx([1.0, 0.8])
    assert answer["no_confident_match"] is False


def test_no_confident_match_is_said(client: TestClient, engine: FakeEngine) -> None:
    engine.calibrated = True
    response = post(client, draw_photo((128, 0, 0)), min_confidence=1)
    assert response.status_code == 200
    assert (response.json()["hits"], response.json()["no_confident_match"]) == ([], True)


def test_min_confidence_without_a_calibration_is_a_sentence(
    client: TestClient, red_photo: bytes
) -> None:
    assert "has no calibration" in sentence(post(client, red_photo, min_confidence=0.5), 422)


def test_fields_left_out_or_empty_take_the_defaults(
    client: TestClient, engine: FakeEngine, red_photo: bytes
) -> None:
    post(client, red_photo)
    post(client, red_photo, k="", alpha="", min_confidence="")
    assert engine.calls == [{"k": 10}] * 2


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("k", "0", 'k is "0"; expected at least 1.'),
        ("k", "10000", 'k is "10000"; expected at most 1000.'),
        ("k", "ten", 'k is "ten"; expected a whole number.'),
        ("k", "2.5", 'k is "2.5"; expected a whole number.'),
        ("k", "9" * 5000, "k is far too large a number."),
        ("candidates", "-1", 'candidates is "-1"; expected at least 1.'),
        ("alpha", "2", 'alpha is "2"; expected at most 1.'),
        ("alpha", "-0.1", 'alpha is "-0.1"; expected at least 0.'),
        ("alpha", "nan", 'alpha is "nan"; expected a finite number.'),
        ("alpha", "high", 'alpha is "high"; expected a number.'),
        ("min_confidence", "1.1", 'min_confidence is "1.1"; expected at most 1.'),
        ("group_by", "colour", "group_by is \"colour\"; expected 'item' or 'product'."),
        (
            "topk",
            "3",
            "The field `topk` is not known here; /docs lists the fields of this address.",
        ),
    ],
)
def test_a_field_out_of_range_is_named_with_what_was_expected(
    client: TestClient, red_photo: bytes, field: str, value: str, expected: str
) -> None:
    assert sentence(post(client, red_photo, **{field: value}), 422) == expected


def test_two_wrong_fields_are_both_named(client: TestClient, red_photo: bytes) -> None:
    message = sentence(post(client, red_photo, k=0, alpha=2), 422)
    assert message == 'k is "0"; expected at least 1. alpha is "2"; expected at most 1.'


def test_a_wrong_field_name_lists_the_fields_that_were_found(
    client: TestClient, red_photo: bytes
) -> None:
    response = client.post("/search", files={"photo": red_photo}, data={"k": 3})
    message = sentence(response, 422)
    assert "the form has `k`, `photo`" in message
    assert "-F image=@photo.jpg" in message


def test_an_image_sent_as_text_is_told_to_come_as_a_file(client: TestClient) -> None:
    response = client.post("/search", files={"image": (None, "photo.jpg")})
    assert "sent as text; send a file" in sentence(response, 422)


@pytest.mark.parametrize("kind", ["image/jpeg", "application/json"])
def test_a_body_that_is_no_form_is_named(client: TestClient, kind: str) -> None:
    response = client.post("/search", content=b"{}", headers={"content-type": kind})
    assert f"The body is {kind}; expected a multipart form" in sentence(response, 422)


def test_a_request_without_a_body_is_told_about_the_form(client: TestClient) -> None:
    assert "The body is no form at all" in sentence(client.post("/search"), 422)


def test_a_form_without_a_boundary_is_unreadable(client: TestClient) -> None:
    headers = {"content-type": "multipart/form-data"}
    response = client.post("/search", content=b"x", headers=headers)
    assert "could not be read: Missing boundary" in sentence(response, 400)


def test_a_photo_of_zero_bytes_is_refused(client: TestClient) -> None:
    assert "empty" in sentence(post(client, b""), 422)


def test_a_text_file_is_refused(client: TestClient) -> None:
    response = post(client, b"Dear shop, where is my parcel?")
    sentence(response, 422)
    assert response.json()["error"]["code"] == "image_unreadable"


def test_a_truncated_photo_is_refused(client: TestClient) -> None:
    noise = Image.effect_noise((128, 128), 80)
    photo = io.BytesIO()
    noise.save(photo, "JPEG")
    assert "truncated" in sentence(post(client, photo.getvalue()[:1500]), 422)


def test_a_photo_of_one_pixel_is_refused(client: TestClient) -> None:
    assert "1 x 1" in sentence(post(client, draw_photo((0, 0, 0), size=(1, 1))), 422)


def test_a_decompression_bomb_is_refused_by_its_header(client: TestClient) -> None:
    response = post(client, bomb_header())
    assert "pixels" in sentence(response, 413)
    assert response.json()["error"]["code"] == "image_too_large"


def test_an_empty_gallery_is_503_and_keeps_its_path_to_itself(
    client: TestClient, engine: FakeEngine, red_photo: bytes
) -> None:
    engine.colours = {}
    response = post(client, red_photo)
    assert "gallery is empty" in sentence(response, 503)
    assert "/srv/secret" not in response.text
    assert response.headers["retry-after"] == "5"


def test_a_bug_is_500_with_an_id_and_without_its_text(
    client: TestClient, engine: FakeEngine, red_photo: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("password is hunter2")

    engine.before_search = fail
    response = post(client, red_photo)
    assert "request id" in sentence(response, 500)
    assert "hunter2" not in response.text
    assert "hunter2" in caplog.text
    assert response.headers["x-content-type-options"] == "nosniff"


def test_a_search_too_many_is_answered_429_at_once(
    settings: Settings, engine: FakeEngine, red_photo: bytes
) -> None:
    one = settings.model_copy(update={"max_searches": 1, "max_waiting": 0})
    with TestClient(create_app(one, engine)) as client, engine.holding() as held:
        first = threading.Thread(target=post, args=(client, red_photo))
        first.start()
        assert held.begun.wait(10)
        response = post(client, red_photo)
        held.may_end.set()
        first.join()
    assert "Too many searches" in sentence(response, 429)
    assert response.headers["retry-after"] == "1"


def test_a_search_past_its_deadline_is_not_begun(
    settings: Settings, engine: FakeEngine, red_photo: bytes
) -> None:
    one = settings.model_copy(update={"max_searches": 1})
    answers: list[Any] = []
    with TestClient(create_app(one, engine)) as client, engine.holding() as held:
        first = threading.Thread(target=post, args=(client, red_photo))
        first.start()
        assert held.begun.wait(10)

        def ask() -> None:
            headers = {"x-deadline-ms": "1"}
            answers.append(client.post("/search", files={"image": red_photo}, headers=headers))

        second = threading.Thread(target=ask)
        second.start()
        wait_for_metric(client, "selvedge_searches_waiting 1.0")
        held.may_end.set()
        first.join()
        second.join()
    assert "deadline" in sentence(answers[0], 503)
    assert len(engine.calls) == 1


def wait_for_metric(client: TestClient, line: str) -> None:
    """Return once /metrics prints this line."""
    for _ in range(10_000):
        if line in client.get("/metrics").text.splitlines():
            return
    raise AssertionError(f"/metrics never said {line}")


def test_a_deadline_of_zero_is_refused(client: TestClient, red_photo: bytes) -> None:
    headers = {"x-deadline-ms": "0"}
    response = client.post("/search", files={"image": red_photo}, headers=headers)
    assert sentence(response, 422) == 'X-Deadline-Ms is "0"; expected at least 1.'
