"""Items of the gallery. Ids may hold slashes, spaces and emoji; percent-encode them in a URL.

The last part of the address decides: `/items/a/thumbnail` is the thumbnail of `a`.
"""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response, Security

from service.answers import SearchAnswer
from service.auth import GuardedRoute, KeyRing, require_read
from service.deps import EngineDep, SearchDep
from service.options import SearchOptions
from service.routes import SEARCH_REFUSALS, describe_errors
from service.schemas import ItemAnswer
from service.searches import SearchJob
from service.sources import continue_search, require_alone

router = APIRouter(
    prefix="/items",
    tags=["items"],
    route_class=GuardedRoute,
    dependencies=[Security(require_read)],
    responses=describe_errors(
        _401="a read key is needed, and missing or unknown",
        _422="a parameter out of its range",
        _503="still loading",
    ),
)

ItemId = Annotated[
    str,
    Path(description="Id of an item, percent-encoded.", examples=["images/mh01-black_main.jpg"]),
]

# An item may be replaced under its id, so copies are kept for minutes, then checked by ETag.
CACHE_CONTROL = "max-age=300"
# Which state answered, where the body does not say it.
VERSION_HEADER = "X-Gallery-Version"


@router.get(
    "/{item_id:path}/thumbnail",
    summary="The thumbnail of an item",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {}}, "description": "a small JPEG"},
        304: {"description": "unchanged since the ETag that was sent"},
        **describe_errors(_404="no such item"),
    },
)
def get_thumbnail(
    request: Request,
    item_id: ItemId,
    engine: EngineDep,
    if_none_match: Annotated[str, Header(examples=['"c0ffee"'])] = "",
) -> Response:
    """Return the item's small JPEG."""
    data = engine.thumbnail(item_id)
    etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    # A cache that others share must not hand out what takes a key.
    ring: KeyRing = request.app.state.keys
    audience = "public" if ring.is_reading_open else "private"
    headers = {"ETag": etag, "Cache-Control": f"{audience}, {CACHE_CONTROL}"}
    headers[VERSION_HEADER] = str(engine.info().gallery.version)
    if _matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    return Response(data, media_type="image/jpeg", headers=headers)


@router.get(
    "/{item_id:path}/similar",
    summary="Search by item",
    response_model=SearchAnswer,
    responses=describe_errors(_404="no such item", **SEARCH_REFUSALS),
)
async def search_similar(
    item_id: ItemId,
    options: Annotated[SearchOptions, Query()],
    run: SearchDep,
) -> Response:
    """Return the items most similar to this one, best first, without the item itself."""
    if options.cursor:
        require_alone(options)
        return await continue_search(run, options, item_id)
    return await run.answer(SearchJob(run.to_request(options), item_id=item_id), options)


@router.get("/{item_id:path}", summary="One item", responses=describe_errors(_404="no such item"))
def get_item(item_id: ItemId, engine: EngineDep, response: Response) -> ItemAnswer:
    """Return one item with its metadata."""
    response.headers[VERSION_HEADER] = str(engine.info().gallery.version)
    return ItemAnswer.from_item(engine.item(item_id))


def _matches(if_none_match: str, etag: str) -> bool:
    """Compare as RFC 9110 wants it for GET: a list, `*`, and weak tags count.

    >>> _matches('"a", W/"b"', '"b"'), _matches("*", '"b"'), _matches("", '"b"')
    (True, True, False)
    """
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag in tags
