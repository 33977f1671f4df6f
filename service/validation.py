"""Pydantic's findings about a request, as sentences for the person who sent it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.datastructures import FormData

EXAMPLE = "curl -F image=@photo.jpg"

# Fields that say what to search with; without one of them, another field was meant to.
SOURCES = {"image", "query_id", "item_id", "image_url", "cursor"}

Finding = Mapping[str, Any]


def explain_validation(findings: Sequence[Finding], body: object, content_type: str) -> str:
    """Join one sentence for each finding; say first what is wrong with the form as a whole.

    `body` is the parsed form, if there was one.
    """
    unknown = any(finding["type"] == "extra_forbidden" for finding in findings)
    if unknown and isinstance(body, FormData) and not SOURCES & set(body.keys()):
        return explain_missing_image(body, content_type)
    return " ".join(_explain(finding) for finding in findings)


def explain_missing_image(body: object, content_type: str) -> str:
    """Say what came instead of a form with a photo."""
    if not content_type.startswith("multipart/form-data"):
        found = content_type.split(";")[0] or "no form at all"
        return (
            f"The body is {found}; expected a multipart form with the photo in the file field "
            f"`image`, as in `{EXAMPLE}`."
        )
    names = sorted(set(body.keys())) if isinstance(body, FormData) else []
    found = f"the form has {_join(names)}" if names else "the form is empty"
    return f"There is no file field `image`: {found}; send the photo as in `{EXAMPLE}`."


def _explain(finding: Finding) -> str:
    name, found = _field(finding), _show(finding.get("input"))
    limits = finding.get("ctx") or {}
    sentence = _SENTENCES.get(finding["type"])
    if sentence is None:
        return f"{name} is {found}: {finding['msg']}."
    return sentence(name, found, limits)


def _field(finding: Finding) -> str:
    """Return the field's name: the last named part of its place."""
    return str(next((part for part in reversed(finding["loc"]) if isinstance(part, str)), "?"))


def _show(value: object, limit: int = 60) -> str:
    text = str(value)
    return f'"{text[:limit]}..."' if len(text) > limit else f'"{text}"'


def _join(names: Sequence[str]) -> str:
    return ", ".join(f"`{name[:60]}`" for name in names)


_SENTENCES: dict[str, Callable[[str, str, Mapping[str, Any]], str]] = {
    "missing": lambda name, found, limits: f"{name} is missing; send it.",
    "int_parsing": lambda name, found, limits: f"{name} is {found}; expected a whole number.",
    "int_from_float": lambda name, found, limits: f"{name} is {found}; expected a whole number.",
    "int_parsing_size": lambda name, found, limits: f"{name} is far too large a number.",
    "float_parsing": lambda name, found, limits: f"{name} is {found}; expected a number.",
    "finite_number": lambda name, found, limits: f"{name} is {found}; expected a finite number.",
    "greater_than_equal": lambda name, found, limits: (
        f"{name} is {found}; expected at least {limits['ge']:g}."
    ),
    "less_than_equal": lambda name, found, limits: (
        f"{name} is {found}; expected at most {limits['le']:g}."
    ),
    "literal_error": lambda name, found, limits: (
        f"{name} is {found}; expected {limits['expected']}."
    ),
    "extra_forbidden": lambda name, found, limits: (
        f"The field `{name[:60]}` is not known here; /docs lists the fields of this address."
    ),
    "value_error": lambda name, found, limits: (
        f"`{name}` was sent as text; send a file, as in `{EXAMPLE}`."
    ),
}
