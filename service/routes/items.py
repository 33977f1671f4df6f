"""Items of the gallery. Ids may hold slashes, spaces and emoji; percent-encode them in a URL.

The last part of the address decides: `/items/a/thumbnail` is the thumbnail of `a`.
"""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from service.deps import EngineDep, GateDep, SettingsDep
from service.routes import describe_errors
from service.schemas import ItemAnswer, SearchAnswer, SearchOptions

router = APIRouter(
    prefix="/items",
    tags=["items"],
    responses=describe_errors(_422="a parameter out of its range", _503="still loading"),
)

# An item may be replaced under its id, so copies are kept for minutes, then checked by ETag.
CACHE_CONTROL = "public, max-age=300"


@router.get(
    "/{item_id:path}/thumbnail",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {}}, "description": "a small JPEG"},
        304: {"description": "unchanged since the ETag that was sent"},
        **describe_errors(_404="no such item"),
    },
)
def get_thumbnail(
    item_id: str, engine: EngineDep, if_none_match: Annotated[str, Header()] = ""
) -> Response:
    """Return the item's small JPEG."""
    data = engine.thumbnail(item_id)
    etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": CACHE_CONTROL}
    if _matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    return Response(data, media_type="image/jpeg", headers=headers)


@router.get(
    "/{item_id:path}/similar",
    responses=describe_errors(_404="no such item", _429="too many searches at once"),
)
def search_similar(
    item_id: str,
    options: Annotated[SearchOptions, Query()],
    engine: EngineDep,
    gate: GateDep,
    settings: SettingsDep,
) -> SearchAnswer:
    """Return the items most similar to this one, best first, without the item itself."""
    with gate.enter():
        result = engine.search_item(item_id, options.to_request(settings.default_k))
    return SearchAnswer.from_result(result)


@router.get("/{item_id:path}", responses=describe_errors(_404="no such item"))
def get_item(item_id: str, engine: EngineDep) -> ItemAnswer:
    """Return one item with its metadata."""
    return ItemAnswer.from_item(engine.item(item_id))


def _matches(if_none_match: str, etag: str) -> bool:
    """Compare as RFC 9110 wants it for GET: a list, `*`, and weak tags count.

    >>> _matches('"a", W/"b"', '"b"'), _matches("*", '"b"'), _matches("", '"b"')
    (True, True, False)
    """
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag in tags
