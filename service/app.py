"""The application: settings and an engine in, an ASGI app out."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from service.engine import EngineLike, EngineSlot
from service.errors import install_error_handlers
from service.gate import SearchGate
from service.middleware import HeadAsGet, RequestContext, UploadLimit
from service.routes import items, pages, search, status
from service.settings import Settings

logger = logging.getLogger(__name__)


def create_app(settings: Settings, engine: EngineLike | None = None) -> FastAPI:
    """Build the app around `engine`; left out, the gallery of the settings is opened at start.

    An engine handed in stays the caller's to close.
    """
    slot = EngineSlot(engine)
    app = FastAPI(
        title="Selvedge",
        summary="Visual search for fashion: find that very garment.",
        version=_find_version(),
        lifespan=_make_lifespan(
            slot, None if engine is not None else partial(_open_engine, settings)
        ),
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.slot = slot
    app.state.gate = SearchGate(settings.max_searches, settings.max_waiting)
    install_error_handlers(app)
    # The last one added is the outermost.
    app.add_middleware(UploadLimit, max_bytes=settings.max_upload_bytes)
    app.add_middleware(HeadAsGet)
    app.add_middleware(RequestContext)
    for module in (search, items, status, pages):
        app.include_router(module.router)
    app.mount("/static", pages.static_files)
    return app


def _make_lifespan(
    slot: EngineSlot, open_engine: Callable[[], EngineLike] | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if open_engine:
            slot.start_loading(open_engine)
        yield
        await run_in_threadpool(slot.close)

    return lifespan


def _open_engine(settings: Settings) -> EngineLike:
    # Imported here, in the loading thread: it pulls in the network, which takes seconds.
    from indexer.engine import open_engine

    return open_engine(
        settings.index_dir,
        device=settings.device,
        checkpoint=settings.checkpoint,
        token_budget_mb=settings.token_budget_mb,
        max_pixels=settings.max_pixels,
    )


def _find_version() -> str:
    try:
        return version("selvedge")
    except PackageNotFoundError:
        return "unknown"
