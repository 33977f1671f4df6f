"""Metadata of any type leaves as JSON; the OpenAPI description is complete."""

import datetime as dt
import json
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from service.json_safe import to_json_safe
from tests.service.fake_engine import FakeEngine

UTC = dt.UTC


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**60, 2**60),
        ("naïve 👗", "naïve 👗"),
        (float("nan"), None),
        (float("-inf"), None),
        (Decimal("19.90"), 19.9),
        (Decimal("NaN"), None),
        (dt.date(2026, 3, 1), "2026-03-01"),
        (dt.datetime(2026, 3, 1, 12, tzinfo=UTC), "2026-03-01T12:00:00+00:00"),
        (dt.time(8, 30), "08:30:00"),
        (dt.timedelta(minutes=2), 120.0),
        (b"\x00\xff", "AP8="),
        ({"a": {1: float("nan")}}, {"a": {"1": None}}),
        (("x", [float("inf")]), ["x", [None]]),
        (np.float32("nan"), None),
        (np.int64(3), 3),
        (np.array([1.0, np.nan]), [1.0, None]),
        (pa.scalar(dt.date(2026, 3, 1)), "2026-03-01"),
        (uuid.UUID(int=0), "00000000-0000-0000-0000-000000000000"),
        (Path("a/b"), "a/b"),
    ],
    ids=repr,
)
def test_metadata_becomes_json(value: object, expected: object) -> None:
    safe = to_json_safe(value)
    assert safe == expected
    json.dumps(safe, allow_nan=False)


def test_metadata_of_hits_and_items_is_json_safe(
    client: TestClient, engine: FakeEngine, red_photo: bytes
) -> None:
    engine.metadata["red.jpg"] = {"price": np.float64("nan"), "since": dt.date(2026, 3, 1)}
    expected = {"price": None, "since": "2026-03-01"}
    hit = client.post("/search", files={"image": red_photo}, data={"k": 1}).json()["hits"][0]
    assert hit["metadata"] == expected
    assert client.get("/items/red.jpg").json()["metadata"] == expected


@pytest.fixture
def spec(client: TestClient) -> Any:
    """The OpenAPI description."""
    return client.get("/openapi.json").json()


def test_openapi_lists_every_endpoint(spec: Any) -> None:
    assert set(spec["paths"]) == {
        "/search",
        "/search/batch",
        "/explain.png",
        "/attributes",
        "/attributes/{name}",
        "/queries/{query_id}/photo",
        "/gallery/reload",
        "/items",
        "/items/{item_id}",
        "/items/{item_id}/thumbnail",
        "/items/{item_id}/similar",
        "/info",
        "/healthz",
        "/readyz",
        "/metrics",
    }


def test_openapi_knows_only_the_one_shape_of_errors(spec: Any) -> None:
    assert "HTTPValidationError" not in spec["components"]["schemas"]
    for methods in spec["paths"].values():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema["$ref"].endswith("/ErrorAnswer")


def test_openapi_describes_the_form_with_its_limits(spec: Any) -> None:
    form = spec["components"]["schemas"]["SearchForm"]
    assert "required" not in form  # one of several fields
    assert form["properties"]["image"]["maxItems"] == 8
    assert form["properties"]["k"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 1000}
    fields = {"k", "candidates", "alpha", "group_by", "min_confidence", "filter", "sort", "facet"}
    fields |= {"exclude_product", "exclude_item", "explain", "offset", "deadline_ms"}
    fields |= {"attributes", "overall", "aligned"}
    sources = {"image", "query_id", "item_id", "image_url", "box", "cursor"}
    assert set(form["properties"]) == fields | sources


def test_examples_in_openapi_have_the_fields_of_real_answers(
    client: TestClient, spec: Any, red_photo: bytes
) -> None:
    real = client.post("/search", files={"image": red_photo}).json()
    example = spec["components"]["schemas"]["SearchAnswer"]["example"]
    assert set(example) == set(real)
    assert set(example["hits"][0]) == set(real["hits"][0])
    assert set(example["gallery"]) == set(real["gallery"])


def test_no_field_takes_pydantics_own_prefix(spec: Any) -> None:
    for schema in spec["components"]["schemas"].values():
        assert not [name for name in schema.get("properties", {}) if name.startswith("model_")]
