"""docs/openapi.json is what the code says, and complete: summary, examples, error answers."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from service.__main__ import cli
from service.openapi import render_openapi

FILE = Path(__file__).parents[2] / "docs" / "openapi.json"
SPEC = json.loads(FILE.read_text("utf-8"))


def list_operations() -> list[Any]:
    return [
        pytest.param(operation, id=f"{method} {path}")
        for path, methods in SPEC["paths"].items()
        for method, operation in methods.items()
    ]


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").removeprefix("#/components/schemas/")
    return dict(SPEC["components"]["schemas"][name]) if name else schema


def has_example(content: dict[str, Any]) -> bool:
    places = (content, content.get("schema", {}), resolve(content.get("schema", {})))
    return any("example" in place or "examples" in place for place in places)


def test_the_file_is_what_the_code_says() -> None:
    message = "run `python -m service openapi > docs/openapi.json`"
    assert FILE.read_text("utf-8") == render_openapi(), message


def test_the_command_prints_it() -> None:
    assert CliRunner().invoke(cli, ["openapi"]).stdout == render_openapi()


@pytest.mark.parametrize("operation", list_operations())
def test_an_operation_has_a_summary_and_a_description(operation: Any) -> None:
    assert operation["summary"]
    assert operation["description"].endswith(".")


@pytest.mark.parametrize("operation", list_operations())
def test_every_parameter_and_field_has_a_description_and_an_example(operation: Any) -> None:
    for parameter in operation.get("parameters", []):
        assert has_example(parameter), parameter["name"]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        for name, field in resolve(content["schema"])["properties"].items():
            assert field["description"], name
            assert has_example(field), name


@pytest.mark.parametrize("operation", list_operations())
def test_every_answer_has_a_description_and_an_example(operation: Any) -> None:
    for status, answer in operation["responses"].items():
        assert answer["description"], status
        for kind, content in answer.get("content", {}).items():
            assert kind == "image/jpeg" or has_example(content), status


@pytest.mark.parametrize("operation", list_operations())
def test_refusals_are_documented(operation: Any) -> None:
    statuses = set(operation["responses"])
    if operation.get("security"):
        assert "401" in statuses
    if operation.get("parameters") or operation.get("requestBody"):
        assert "422" in statuses
    if operation.get("requestBody"):
        assert {"408", "413"} <= statuses


def test_both_ways_to_send_a_key_are_documented() -> None:
    schemes = SPEC["components"]["securitySchemes"].values()
    assert {scheme["type"] for scheme in schemes} == {"http", "apiKey"}
