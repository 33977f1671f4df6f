"""Search by photo."""

from typing import Annotated

from fastapi import APIRouter, Form, Response, Security

from service.auth import GuardedRoute, require_read
from service.deps import SearchDep, SettingsDep
from service.routes import SEARCH_REFUSALS, describe_errors
from service.schemas import SearchAnswer, SearchForm
from service.searches import SearchJob

router = APIRouter(tags=["search"], route_class=GuardedRoute, dependencies=[Security(require_read)])


@router.post(
    "/search",
    summary="Search by photo",
    response_model=SearchAnswer,
    responses=describe_errors(
        _400="a form that cannot be parsed",
        _401="a read key is needed, and missing or unknown",
        _408="the upload did not arrive in time",
        _413="too many bytes or pixels",
        _422="not a readable photo, or a field out of its range",
        **SEARCH_REFUSALS,
    ),
)
async def search(
    form: Annotated[SearchForm, Form(media_type="multipart/form-data")],
    run: SearchDep,
    settings: SettingsDep,
) -> Response:
    """Return the k gallery images most similar to the photo, best first."""
    request = form.to_request(settings.default_k)
    return await run(SearchJob(request, image=await form.image.read()))
