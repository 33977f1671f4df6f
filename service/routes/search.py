"""Search by photo, and again by what an answer gave."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response, Security

from service.answers import BatchAnswer, SearchAnswer
from service.auth import require_read
from service.deps import SearchDep
from service.forms import SearchRoute
from service.options import BatchForm, SearchForm
from service.routes import SEARCH_REFUSALS, UPLOAD_REFUSALS, describe_errors
from service.searches import SearchJob
from service.sources import continue_search, read_files, read_job, refuse_form, require_alone

router = APIRouter(tags=["search"], route_class=SearchRoute, dependencies=[Security(require_read)])

REFUSALS = describe_errors(
    _401="a read key is needed, and missing or unknown",
    _422="not a readable photo, or a field out of its range",
    **UPLOAD_REFUSALS,
    **SEARCH_REFUSALS,
)


@router.post(
    "/search",
    summary="Search by photo",
    response_model=SearchAnswer,
    responses={
        **REFUSALS,
        **describe_errors(_403="photos are not fetched from there", _404="no such item"),
    },
)
async def search(
    request: Request,
    form: Annotated[SearchForm, Form(media_type="multipart/form-data")],
    run: SearchDep,
) -> Response:
    """Return the k gallery images most similar to the garment, best first.

    Send one of `image` (several photos of one garment are searched together), `query_id`,
    `item_id`, `image_url` and `cursor`.
    """
    if form.cursor:
        require_alone(form)
        return await continue_search(run, form)
    return await run.answer(await read_job(request, form, run), form)


@router.post(
    "/search/batch",
    summary="Search by many photos",
    response_model=BatchAnswer,
    responses=REFUSALS,
)
async def search_batch(
    request: Request,
    form: Annotated[BatchForm, Form(media_type="multipart/form-data")],
    run: SearchDep,
) -> Response:
    """Return the answer of POST /search for each photo, in order."""
    if not form.image:
        raise await refuse_form(request)
    job = SearchJob(run.to_request(form), batch=await read_files(form.image))
    return await run.answer_batch(job, form)
