"""Changing the gallery: items added, replaced and removed, while others search.

What is acknowledged is on disk. All of it needs a write key.
"""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Security

from indexer.results import WriteReport
from service.auth import GuardedRoute, require_write
from service.deps import GalleryDep, SettingsDep
from service.routes import UPLOAD_REFUSALS, describe_errors
from service.routes.items import ItemId
from service.schemas import GalleryAnswer, ReloadAnswer, WriteAnswer
from service.searches import Searches
from service.uploads import ItemChange, ItemsUpload, ItemUpload, read_change, read_new_items

router = APIRouter(
    tags=["write"],
    route_class=GuardedRoute,
    dependencies=[Security(require_write)],
    responses=describe_errors(
        _401="a write key is needed, and missing or unknown",
        _403="the key may only read, writing is off here, or a path that is not allowed",
        _503="loading, another process is writing, or the disk is full",
    ),
)

Atomic = Annotated[
    bool | None,
    Query(
        description="`true`: when one photo cannot be used, nothing is changed. Left out: it is "
        "reported as failed and the others are added, but a single one is an error.",
        examples=[True],
    ),
]


def _describe_body(form: dict[str, Any], json_schema: dict[str, Any]) -> dict[str, Any]:
    """Both bodies for OpenAPI: the handlers read them themselves."""
    image = {
        "type": "array",
        "items": {"type": "string", "contentMediaType": "application/octet-stream"},
        "description": "Photos, in the order of the items.",
        "examples": [["photo.jpg"]],
    }
    schema = {"type": "object", "properties": {"image": image, **form}}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": schema},
                "application/json": {"schema": json_schema},
            },
        }
    }


def _describe_field(description: str, example: str) -> dict[str, Any]:
    return {"type": "string", "description": description, "examples": [example]}


def _describe_list() -> dict[str, Any]:
    """The JSON body of POST /items, without references: its parts are nowhere else."""
    schema = ItemsUpload.model_json_schema()
    del schema["$defs"]
    schema["properties"]["items"]["items"] = ItemUpload.model_json_schema()
    return schema


@router.post(
    "/items",
    summary="Add items",
    responses=describe_errors(
        _422="an unusable photo, an id that is there twice, or metadata that does not fit",
        **UPLOAD_REFUSALS,
    ),
    openapi_extra=_describe_body(
        {
            "items": _describe_field(
                "JSON: a list with an object for each file, as in the JSON body, without `path`.",
                '[{"item_id": "autumn/mh01.jpg", "metadata": {"price": 52}}]',
            )
        },
        _describe_list(),
    ),
)
async def add_items(
    request: Request, gallery: GalleryDep, settings: SettingsDep, atomic: Atomic = None
) -> WriteAnswer:
    """Add one item or many; one whose id exists is replaced. The next search finds them.

    Send a form with a file `image` for each item and the field `items`, or JSON with paths.
    """
    items = await read_new_items(request, settings)
    return await _write(request, lambda: gallery.add(items, atomic=atomic))


@router.put(
    "/items/{item_id:path}",
    summary="Change an item",
    responses=describe_errors(
        _404="no such item",
        _422="an unusable photo, or metadata that does not fit",
        **UPLOAD_REFUSALS,
    ),
    openapi_extra=_describe_body(
        {
            "item": _describe_field(
                "JSON: what is to change, as in the JSON body, without `path`.",
                '{"metadata": {"price": 49.5}}',
            )
        },
        ItemChange.model_json_schema(),
    ),
)
async def change_item(
    item_id: ItemId, request: Request, gallery: GalleryDep, settings: SettingsDep
) -> WriteAnswer:
    """Replace the photo of an item, its product, its metadata, or several of them."""
    item = await read_change(item_id, request, settings)
    return await _write(request, lambda: gallery.replace([item]))


@router.delete(
    "/items/{item_id:path}",
    summary="Remove an item",
    responses=describe_errors(_404="no such item", _422="an unusable id"),
)
async def remove_item(item_id: ItemId, request: Request, gallery: GalleryDep) -> WriteAnswer:
    """Remove an item; no later search finds it."""
    return await _write(request, lambda: gallery.remove([item_id]))


@router.post("/gallery/reload", summary="Look for changes by others")
async def reload_gallery(request: Request, gallery: GalleryDep) -> ReloadAnswer:
    """Take over what other processes added or built anew; searches go on meanwhile."""

    def reload() -> ReloadAnswer:
        changed = gallery.reload()
        stamp = gallery.engine().info().gallery
        return ReloadAnswer(changed=changed, gallery=GalleryAnswer.from_stamp(stamp))

    searches: Searches = request.app.state.searches
    return await searches.compute(reload)


async def _write(request: Request, write: Callable[[], WriteReport]) -> WriteAnswer:
    searches: Searches = request.app.state.searches
    return WriteAnswer.from_report(await searches.compute(write))
