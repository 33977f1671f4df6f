"""Items to add or to change as they come in: a form with files, or JSON with paths here."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import FormData, UploadFile

from indexer.requests import NewItem
from model.errors import ImageError, ParameterError
from service.errors import Refused
from service.settings import PREFIX, Settings
from service.validation import explain_validation

MAX_ITEMS = 1000
# The text of `items`.
MAX_PART = 16 * 1024 * 1024
Model = TypeVar("Model", bound=BaseModel)


class ItemChange(BaseModel):
    """What is known of an item; left out, the values of the stored item are kept."""

    model_config = ConfigDict(extra="forbid")

    product_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        description="Its product; a new item that says none is a product of its own.",
        examples=["MH01"],
    )
    uri: str | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        description="Where the photo lies, for those who read answers.",
        examples=["https://shop.example/mh01.jpg"],
    )
    metadata: dict[str, Any] = Field(
        default={},
        description="Values of the gallery's own columns.",
        examples=[{"name": "Chaz Kangeroo Hoodie", "price": 52}],
    )
    path: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="Instead of a file: a photo under the operator's SELVEDGE_ITEMS_ROOT.",
        examples=["autumn/mh01.jpg"],
    )


class ItemUpload(ItemChange):
    """One item to add, or to replace where its id exists."""

    item_id: str = Field(
        min_length=1, max_length=1024, description="Any text.", examples=["autumn/mh01.jpg"]
    )


class ItemsUpload(BaseModel):
    """The JSON body of POST /items."""

    model_config = ConfigDict(extra="forbid")

    items: list[ItemUpload] = Field(
        min_length=1,
        max_length=MAX_ITEMS,
        description="The items.",
        examples=[[{"item_id": "autumn/mh01.jpg", "path": "autumn/mh01.jpg"}]],
    )


async def read_new_items(request: Request, settings: Settings) -> list[NewItem]:
    """Read the body of POST /items.

    Raises:
        Refused: neither form nor JSON, or not of the form that is asked for.
        ParameterError: files and items do not fit together, or a path that is not allowed.
    """
    async with _read_form(request, {"image", "items"}) as form:
        if form is None:
            body = await _read_json(request)
            return [_from_path(item, settings) for item in _parse(ItemsUpload, body).items]
        return await _read_uploads(form)


async def _read_uploads(form: FormData) -> list[NewItem]:
    listed = _parse(ItemsUpload, {"items": _load_json(_text(form, "items"), "items")}).items
    files = _files(form)
    if any(item.path for item in listed):
        raise ParameterError("an item of the form has a path; send files, or JSON with paths")
    if len(files) != len(listed):
        raise ParameterError(
            f"the form has {len(files)} files `image`, but {len(listed)} items; send one file an "
            "item, in the same order"
        )
    return [
        _to_item(item.item_id, item, await file.read())
        for item, file in zip(listed, files, strict=True)
    ]


async def read_change(item_id: str, request: Request, settings: Settings) -> NewItem:
    """Read the body of PUT /items/{item_id}; raises as `read_new_items` does."""
    async with _read_form(request, {"image", "item"}) as form:
        if form is None:
            change = _parse(ItemChange, await _read_json(request))
            return _to_item(item_id, change, _find_path(change.path, settings))
        text, files = _text(form, "item"), _files(form)
        change = _parse(ItemChange, _load_json(text, "item") if text else {})
        if len(files) > 1 or change.path:
            raise ParameterError("an item has one photo; send one file `image`, and no path")
        return _to_item(item_id, change, await files[0].read() if files else None)


def _to_item(item_id: str, change: ItemChange, image: bytes | Path | None) -> NewItem:
    return NewItem(item_id, image, change.product_id, change.uri, change.metadata)


def _from_path(item: ItemUpload, settings: Settings) -> NewItem:
    if item.path is None:
        raise ParameterError(
            f"item {item.item_id!r} has no path; JSON adds photos that lie on the server, so send "
            "a form with files `image` and the field `items` to upload some"
        )
    return _to_item(item.item_id, item, _find_path(item.path, settings))


def _find_path(text: str | None, settings: Settings) -> Path | None:
    """Find a photo under the folder that is allowed; links are followed before the check."""
    if text is None:
        return None
    if settings.items_root is None:
        raise Refused(
            403,
            "paths_off",
            "Photos are not read from paths on the server here; upload them, or ask the operator "
            f"to set {PREFIX}ITEMS_ROOT.",
        )
    try:
        root = settings.items_root.resolve(strict=True)
        path = (root / text).resolve()
    except (OSError, ValueError, RuntimeError):
        raise _path_error(text) from None
    if not path.is_relative_to(root):
        raise Refused(
            403, "path_not_allowed", "The path leads out of the folder that is allowed for photos."
        )
    if not os.path.isfile(path):  # Path.is_file raises for a name that is too long
        raise _path_error(text)
    return path


def _path_error(text: str) -> ImageError:
    return ImageError(f"there is no photo at the path {text[:200]!r}; check it")


@asynccontextmanager
async def _read_form(request: Request, fields: set[str]) -> AsyncIterator[FormData | None]:
    """Read a form and close its files afterwards; None where the body is JSON."""
    kind = request.headers.get("content-type", "")
    if kind.startswith("application/json"):
        yield None
        return
    if not kind.startswith("multipart/form-data"):
        raise Refused(
            422,
            "request_invalid",
            f"The body is {kind.split(';')[0][:60] or 'no form at all'}; expected a multipart form "
            "with files `image`, or JSON.",
        )
    limits = {"max_files": MAX_ITEMS, "max_fields": 10, "max_part_size": MAX_PART}
    async with request.form(**limits) as form:
        for name in sorted(set(form) - fields):
            raise ParameterError(
                f"the form has {name[:60]!r}, which is not known here; send "
                f"{' and '.join(sorted(fields))}"
            )
        yield form


async def _read_json(request: Request) -> Any:
    return _load_json((await request.body()).decode("utf-8", "replace"), "the body")


def _load_json(text: str | None, what: str) -> Any:
    if text is None:
        raise ParameterError(f"{what} is missing; send a JSON list with an object for each file")
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ParameterError(f"{what} is not JSON ({str(error)[:100]})") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not in JSON")


def _text(form: FormData, name: str) -> str | None:
    value = form.get(name)
    if isinstance(value, UploadFile):
        raise ParameterError(f"{name} was sent as a file; send it as text")
    return value


def _files(form: FormData) -> list[UploadFile]:
    files = [value for value in form.getlist("image") if isinstance(value, UploadFile)]
    if len(files) != len(form.getlist("image")):
        raise ParameterError("image was sent as text; send a file, as in -F image=@photo.jpg")
    return files


def _parse(kind: type[Model], content: Any) -> Model:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        sentences = explain_validation([dict(found) for found in error.errors()[:5]], None, "")
        raise Refused(422, "request_invalid", sentences) from None
