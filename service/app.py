"""The application: settings and an engine in, an ASGI app out."""

import gc
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version

from anyio import CapacityLimiter
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware

from service.auth import KeyRing
from service.engine import EngineSlot, GalleryLike
from service.errors import install_error_handlers
from service.fetching import PhotoFetcher
from service.metrics import Metrics
from service.middleware import HeadAsGet, KnownHosts, RequestContext, UploadLimit
from service.routes import attributes, explain, items, metrics, pages, search, status, writes
from service.searches import Searches
from service.settings import Settings, split_list

logger = logging.getLogger(__name__)


def create_app(settings: Settings, gallery: GalleryLike | None = None) -> FastAPI:
    """Build the app around `gallery`; left out, that of the settings is opened at start.

    One handed in stays the caller's to close.
    """
    keys, settings = KeyRing.from_settings(settings), settings.without_keys()
    slot, counters = EngineSlot(gallery), Metrics()
    searches = Searches(slot, settings, counters)
    counters.watch_queue(searches)
    app = FastAPI(
        title="Selvedge",
        summary="Visual search for fashion: find that very garment.",
        version=_find_version(),
        lifespan=_make_lifespan(
            slot, searches, None if gallery is not None else partial(_open_gallery, settings)
        ),
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.keys = keys
    app.state.slot = slot
    app.state.metrics = counters
    app.state.searches = searches
    app.state.learning = CapacityLimiter(1)
    app.state.fetcher = PhotoFetcher(settings)
    install_error_handlers(app)
    _add_middleware(app, settings, counters)
    for module in (search, explain, attributes, items, writes, status, metrics, pages):
        app.include_router(module.router)
    app.mount("/static", pages.static_files)
    return app


def _add_middleware(app: FastAPI, settings: Settings, counters: Metrics) -> None:
    """The last one added is the outermost."""
    app.add_middleware(
        UploadLimit,
        max_bytes=settings.max_upload_bytes,
        timeout_s=settings.upload_timeout_s,
        larger={"/items": settings.max_items_upload_bytes},
    )
    app.add_middleware(HeadAsGet)
    if origins := split_list(settings.cors_origins):
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "X-API-Key", "X-Request-ID", "X-Deadline-Ms"],
            expose_headers=["X-Request-ID", "X-Gallery-Version", "Retry-After"],
        )
    if hosts := split_list(settings.allowed_hosts):
        app.add_middleware(KnownHosts, hosts=hosts)
    app.add_middleware(RequestContext, metrics=counters)


def _make_lifespan(
    slot: EngineSlot, searches: Searches, open_gallery: Callable[[], GalleryLike] | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if open_gallery:
            slot.start_loading(open_gallery)
        yield
        await run_in_threadpool(searches.close)
        await run_in_threadpool(slot.close)
        gc.unfreeze()  # Libraries look at exit whether everything is gone.

    return lifespan


def _open_gallery(settings: Settings) -> GalleryLike:
    # Imported here, in the loading thread: it pulls in the network, which takes seconds.
    from indexer.live_engine import open_live
    from indexer.live_types import LiveOptions

    # The network's libraries are half a million objects that stay: a full collection that walks
    # them stops every request for 0.1 s. The gallery, which may be replaced, is not among them.
    gc.collect()
    gc.freeze()
    options = LiveOptions(
        token_budget_mb=settings.token_budget_mb,
        attribute_budget_mb=settings.attribute_budget_mb,
        max_pixels=settings.max_pixels,
        # As long as queries are kept, their pages can be.
        keep_s=settings.query_ttl_s,
        keep_versions=settings.keep_versions,
        watch_s=settings.watch_s,
    )
    return open_live(
        settings.index_dir,
        device=settings.device,
        runtime=settings.runtime,
        checkpoint=settings.checkpoint,
        options=options,
    )


def _find_version() -> str:
    try:
        return version("selvedge")
    except PackageNotFoundError:
        return "unknown"
