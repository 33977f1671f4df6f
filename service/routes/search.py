"""Search by photo."""

from typing import Annotated

from fastapi import APIRouter, Form

from service.deps import EngineDep, GateDep, SettingsDep
from service.routes import describe_errors
from service.schemas import SearchAnswer, SearchForm

router = APIRouter(tags=["search"])


@router.post(
    "/search",
    responses=describe_errors(
        _413="too many bytes or pixels",
        _422="not a readable photo, or a field out of its range",
        _429="too many searches at once",
        _503="still loading, or nothing to search",
    ),
)
def search(
    form: Annotated[SearchForm, Form(media_type="multipart/form-data")],
    engine: EngineDep,
    gate: GateDep,
    settings: SettingsDep,
) -> SearchAnswer:
    """Return the k gallery images most similar to the photo, best first."""
    data = form.image.file.read()
    with gate.enter():
        result = engine.search(data, form.to_request(settings.default_k))
    return SearchAnswer.from_result(result)
