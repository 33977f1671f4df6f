"""What the service is, whether it runs, and whether it can search."""

from fastapi import APIRouter, Request, Response, Security

from model.errors import GalleryEmptyError
from service.auth import GuardedRoute, KeyRing, require_read
from service.deps import EngineDep, SettingsDep
from service.routes import describe_errors
from service.schemas import InfoAnswer, LimitsAnswer, StatusAnswer
from service.settings import split_list

router = APIRouter(tags=["status"], route_class=GuardedRoute)
ALIVE = StatusAnswer(status="ok").model_dump_json()


@router.get("/healthz", summary="Is the process alive?", response_model=StatusAnswer)
async def get_health() -> Response:
    """Answer as long as the process runs, also while the gallery loads."""
    # On the event loop on purpose: it answers when every worker thread is busy. Written
    # beforehand: while searches keep every core busy, each step more is waited for.
    return Response(ALIVE, media_type="application/json")


@router.get(
    "/readyz",
    summary="Would a search succeed?",
    responses=describe_errors(_503="loading, failed, or an empty gallery"),
)
def get_readiness(engine: EngineDep) -> StatusAnswer:
    """Answer 200 once a search would succeed, 503 and the reason before."""
    if engine.info().gallery.items == 0:
        raise GalleryEmptyError("the gallery is empty")
    return StatusAnswer(status="ready")


@router.get(
    "/info",
    summary="The gallery, the network and the limits",
    dependencies=[Security(require_read)],
    responses=describe_errors(
        _401="a read key is needed, and missing or unknown", _503="still loading"
    ),
)
def get_info(request: Request, engine: EngineDep, settings: SettingsDep) -> InfoAnswer:
    """Describe the gallery, the network behind it, and the limits of a query."""
    limits = LimitsAnswer(
        max_upload_mb=settings.max_upload_mb,
        max_items_upload_mb=settings.max_items_upload_mb,
        max_pixels=settings.max_pixels,
        default_k=settings.default_k,
        query_ttl_s=settings.query_ttl_s,
        fetches_urls=bool(split_list(settings.fetch_hosts)),
    )
    keys: KeyRing = request.app.state.keys
    return InfoAnswer.from_info(engine.info(), limits, keys.is_writing_on)
