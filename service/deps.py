"""Named dependency types: what a handler may ask for.

All of them are `async`: FastAPI would send a plain function to another thread and back.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from starlette.concurrency import run_in_threadpool

from indexer.results import SearchResult
from service.engine import EngineLike, EngineSlot
from service.metrics import Metrics
from service.schemas import SearchAnswer
from service.searches import Searches, SearchJob
from service.settings import Settings

# More take milliseconds to print, which is too long for the event loop.
FEW_HITS = 50

RunSearch = Callable[[SearchJob], Awaitable[Response]]

DeadlineHeader = Annotated[
    int | None,
    Header(
        alias="X-Deadline-Ms",
        ge=1,
        le=600_000,
        description="Milliseconds after which the search need not begin any more; it only lowers "
        "the service's own deadline.",
        examples=[500],
    ),
]


async def get_settings(request: Request) -> Settings:
    """Return the settings of this app."""
    settings: Settings = request.app.state.settings
    return settings


async def get_engine(request: Request) -> EngineLike:
    """Return the engine, or refuse with 503 while there is none."""
    slot: EngineSlot = request.app.state.slot
    return slot.get()


async def get_metrics(request: Request) -> Metrics:
    """Return the counters of this app."""
    metrics: Metrics = request.app.state.metrics
    return metrics


async def get_search_runner(
    request: Request,
    engine: Annotated[EngineLike, Depends(get_engine)],
    metrics: Annotated[Metrics, Depends(get_metrics)],
    deadline_ms: DeadlineHeader = None,
) -> RunSearch:
    """Return a function that queues one search and answers it, with log line and metrics."""
    searches: Searches = request.app.state.searches

    async def run(job: SearchJob) -> Response:
        result = await searches.run(request, job, deadline_ms)
        metrics.observe_stages(result.timings_ms)
        request.state.timings_ms = result.timings_ms
        if len(result.hits) <= FEW_HITS:
            return _print_answer(result)
        return await run_in_threadpool(_print_answer, result)

    return run


def _print_answer(result: SearchResult) -> Response:
    answer = SearchAnswer.from_result(result)
    return Response(answer.model_dump_json(by_alias=True), media_type="application/json")


SettingsDep = Annotated[Settings, Depends(get_settings)]
EngineDep = Annotated[EngineLike, Depends(get_engine)]
MetricsDep = Annotated[Metrics, Depends(get_metrics)]
SearchDep = Annotated[RunSearch, Depends(get_search_runner)]
