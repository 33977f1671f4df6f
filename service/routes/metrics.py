"""Counters for Prometheus."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from service.auth import check_key
from service.deps import MetricsDep, SettingsDep
from service.engine import EngineSlot
from service.routes import describe_errors

router = APIRouter(tags=["status"])

EXAMPLE = 'selvedge_requests_total{method="POST",route="/search",status="200"} 42.0'


@router.get(
    "/metrics",
    summary="Counters for Prometheus",
    response_class=Response,
    responses={
        200: {
            "content": {"text/plain": {"schema": {"type": "string"}, "example": EXAMPLE}},
            "description": "the text format of Prometheus",
        },
        **describe_errors(_401="the operator asks for a read key here, and it is missing"),
    },
)
def get_metrics(request: Request, metrics: MetricsDep, settings: SettingsDep) -> Response:
    """Print every counter, also while the gallery loads."""
    if settings.metrics_key:
        check_key(request, "read")
    slot: EngineSlot = request.app.state.slot
    return Response(
        metrics.render(slot.find_stamp(), slot.find_tasks()), media_type=CONTENT_TYPE_LATEST
    )
