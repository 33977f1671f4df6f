"""Pictures of a query: its photo, and why an item was found."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response, Security

from indexer.drawing import draw_explanation
from indexer.requests import MAX_EXPLAIN, MAX_PHOTOS
from model.errors import ItemNotFoundError, ParameterError
from service.auth import GuardedRoute, require_read
from service.deps import SearchDep, SettingsDep
from service.options import EXPLAIN_DEFAULT, MAX_ATTRIBUTES_TEXT, PageOptions, read_box
from service.queries import to_jpeg
from service.routes import SEARCH_REFUSALS, describe_errors
from service.searches import Searches, SearchJob

router = APIRouter(
    tags=["search"],
    route_class=GuardedRoute,
    dependencies=[Security(require_read)],
    responses=describe_errors(
        _401="a read key is needed, and missing or unknown",
        _422="a parameter out of its range",
        **SEARCH_REFUSALS,
    ),
)

QUERY_EXAMPLE = "q9Zb3vY6J0mTq1c2xw4ZQA"
PRIVATE = {"Cache-Control": "private, max-age=300"}

QueryId = Annotated[
    str, Query(description="`query_id` of an answer.", max_length=200, examples=[QUERY_EXAMPLE])
]
PhotoNumber = Annotated[
    int,
    Query(ge=0, lt=MAX_PHOTOS, description="Which of the query's photos, from 0.", examples=[0]),
]


@router.get(
    "/explain.png",
    summary="A picture of why an item was found",
    response_class=Response,
    responses={
        200: {"content": {"image/png": {"example": "PNG"}}, "description": "both photos"},
        **describe_errors(_404="no such item"),
    },
)
async def explain(
    query_id: QueryId,
    item_id: Annotated[
        str,
        Query(
            description="The item to compare with.",
            min_length=1,
            max_length=1024,
            examples=["images/mh01-black_main.jpg"],
        ),
    ],
    run: SearchDep,
    request: Request,
    settings: SettingsDep,
    pairs: Annotated[
        int, Query(ge=1, le=MAX_EXPLAIN, description="How many matched regions.", examples=[5])
    ] = EXPLAIN_DEFAULT,
    photo: PhotoNumber = 0,
    box: Annotated[
        str | None,
        Query(
            max_length=200,
            description="The box of the search, as in POST /search.",
            examples=["[0.1, 0.2, 0.9, 0.8]"],
        ),
    ] = None,
    attributes: Annotated[
        str | None,
        Query(
            max_length=MAX_ATTRIBUTES_TEXT,
            description="Also tint where these attributes look: a JSON object, as in POST /search.",
            examples=['{"collar": 1}'],
        ),
    ] = None,
) -> Response:
    """Draw both photos side by side, each matched region with its number on both."""
    query = run.searches.queries.get(query_id)
    _require_photo(photo, len(query.photos))
    quoted = item_id.replace("'", "''")
    only = f"item_id = '{quoted}'"
    options = PageOptions(k=1, filter=only, explain=pairs, attributes=attributes)
    job = SearchJob(options.to_request(1), query=query, box=read_box(box))
    [found] = await run.searches.run(request, job)
    if not found.result.hits:
        raise ItemNotFoundError(f"the gallery has no item {item_id!r}; check the id")
    explanation = found.result.hits[0].explanation
    shown = [pair for pair in explanation.pairs if pair.photo == photo] if explanation else []
    version = found.result.gallery.version

    def draw() -> bytes:
        engine = request.app.state.slot.get(version)
        return draw_explanation(
            query.photos[photo],
            engine.thumbnail(item_id),
            shown,
            explanation.attributes if explanation else {},
            photo=photo,
            max_pixels=settings.max_pixels,
        )

    data = await run.searches.compute(draw)
    headers = {**PRIVATE, "X-Gallery-Version": str(version)}
    return Response(data, media_type="image/png", headers=headers)


@router.get(
    "/queries/{query_id}/photo",
    summary="The photo of a query",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}, "description": "an upright JPEG"}},
)
async def get_query_photo(
    query_id: Annotated[
        str, Path(description="`query_id` of an answer.", examples=[QUERY_EXAMPLE])
    ],
    request: Request,
    settings: SettingsDep,
    photo: PhotoNumber = 0,
) -> Response:
    """Return the photo, made anew: 1600 pixels at most, without what the file said of itself."""
    searches: Searches = request.app.state.searches
    query = searches.queries.get(query_id)
    _require_photo(photo, len(query.photos))
    data = await searches.compute(
        lambda: to_jpeg(query.photos[photo], max_pixels=settings.max_pixels)
    )
    return Response(data, media_type="image/jpeg", headers=PRIVATE)


def _require_photo(photo: int, count: int) -> None:
    if photo >= count:
        raise ParameterError(f"photo is {photo}, but the query has {count}; count from 0")
