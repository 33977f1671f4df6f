"""Named dependency types: what a handler may ask for.

All of them are `async`: FastAPI would send a plain function to another thread and back.
"""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from indexer.requests import SearchRequest
from service.answers import BatchAnswer, SearchAnswer
from service.cursors import make_cursor
from service.engine import EngineLike, EngineSlot, GalleryLike
from service.fetching import PhotoFetcher
from service.metrics import Metrics
from service.options import PageOptions, TimedOptions
from service.searches import Found, Searches, SearchJob
from service.settings import Settings

# More take milliseconds to print, which is too long for the event loop.
FEW_HITS = 50

DEADLINE_HEADER = "X-Deadline-Ms"
DeadlineHeader = Annotated[
    int | None,
    Header(
        alias=DEADLINE_HEADER,
        ge=1,
        le=600_000,
        description="Milliseconds after which the search need not begin any more; then it "
        "is answered 503. One that has begun is answered; `deadline_ms` bounds that.",
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


async def get_gallery(request: Request) -> GalleryLike:
    """Return the gallery to write to, or refuse with 503 while there is none."""
    slot: EngineSlot = request.app.state.slot
    return slot.gallery()


class SearchRunner:
    """Queues searches of one request and answers them, with log line and metrics."""

    def __init__(
        self, request: Request, settings: Settings, metrics: Metrics, begin_within_ms: int | None
    ) -> None:
        self.searches: Searches = request.app.state.searches
        self.fetcher: PhotoFetcher = request.app.state.fetcher
        self._request = request
        self._settings = settings
        self._metrics = metrics
        self._begin_within_ms = begin_within_ms

    def to_request(self, options: TimedOptions) -> SearchRequest:
        """Translate options to what the engine takes, with the deadline that holds for them."""
        deadline = self.searches.find_deadline(options.deadline_ms)
        return options.to_request(self._settings.default_k, deadline)

    async def answer(self, job: SearchJob, options: PageOptions) -> Response:
        """Answer with one SearchAnswer."""
        [found] = await self._run(job)
        return await self._print(job, lambda: self._describe(found, job, options))

    async def answer_batch(self, job: SearchJob, options: PageOptions) -> Response:
        """Answer with a SearchAnswer a photo."""
        every = await self._run(job)
        return await self._print(
            job,
            lambda: BatchAnswer(results=[self._describe(found, job, options) for found in every]),
        )

    async def _run(self, job: SearchJob) -> list[Found]:
        every = await self.searches.run(self._request, job, self._begin_within_ms)
        for found in every:
            self._metrics.observe_stages(found.result.timings_ms)
            if job.request.attributes:
                self._metrics.observe_attribute_search()
        self._request.state.timings_ms = every[0].result.timings_ms
        return every

    def _describe(self, found: Found, job: SearchJob, options: PageOptions) -> SearchAnswer:
        query_id = found.query.id if found.query else None
        cursor = make_cursor(
            found.result,
            job.request,
            options,
            query_id=query_id,
            box=job.box,
            item_id=job.item_id or None,
        )
        expires = self._settings.query_ttl_s if query_id else None
        return SearchAnswer.from_result(found.result, query_id, expires, cursor)

    async def _print(self, job: SearchJob, describe: Callable[[], BaseModel]) -> Response:
        size = job.request.k * (1 + job.request.explain) * max(1, len(job.batch))
        if size <= FEW_HITS:
            return _to_json(describe())
        return await run_in_threadpool(lambda: _to_json(describe()))


async def get_search_runner(
    request: Request, begin_within_ms: DeadlineHeader = None
) -> SearchRunner:
    """Return what runs the searches of this request; refuses while there is no engine."""
    # Asked for here and not as dependencies: FastAPI spends 0.1 ms on three more of them.
    state = request.app.state
    state.slot.get()
    return SearchRunner(request, state.settings, state.metrics, begin_within_ms)


def _to_json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(by_alias=True), media_type="application/json")


SettingsDep = Annotated[Settings, Depends(get_settings)]
EngineDep = Annotated[EngineLike, Depends(get_engine)]
MetricsDep = Annotated[Metrics, Depends(get_metrics)]
GalleryDep = Annotated[GalleryLike, Depends(get_gallery)]
SearchDep = Annotated[SearchRunner, Depends(get_search_runner)]
