"""The engine as the service sees it: a protocol, and a slot that loads one in the background."""

import io
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from PIL import Image

from indexer.requests import QueryPhoto, SearchRequest
from indexer.results import EngineInfo, GalleryStamp, Hit, Item, SearchResult
from model.errors import GalleryEmptyError, SelvedgeError
from service.errors import Refused

logger = logging.getLogger(__name__)


class EngineLike(Protocol):
    """The two-stage search of one gallery: `indexer.engine.SearchEngine`, or a fake."""

    def search(
        self, image: bytes | Sequence[QueryPhoto], request: SearchRequest = ...
    ) -> SearchResult: ...

    def search_batch(
        self, images: Sequence[bytes], request: SearchRequest = ...
    ) -> list[SearchResult]: ...

    def search_item(self, item_id: str, request: SearchRequest = ...) -> SearchResult: ...

    def item(self, item_id: str) -> Item: ...

    def thumbnail(self, item_id: str) -> bytes: ...

    def info(self) -> EngineInfo: ...

    def close(self) -> None: ...


class EngineSlot:
    """Holds the engine, or the reason why there is none yet.

    `failure` is set when loading failed for good; `first_hit` is a hit of the warm-up search.
    """

    def __init__(self, engine: EngineLike | None = None) -> None:
        self.failure: Exception | None = None
        self.first_hit: Hit | None = None
        self._engine = engine
        self._thread: threading.Thread | None = None
        self._closing = False
        self._listeners: list[Callable[[], None]] = []

    def when_settled(self, listener: Callable[[], None]) -> None:
        """Call `listener` from the loading thread once loading succeeded or failed."""
        self._listeners.append(listener)

    def start_loading(self, open_engine: Callable[[], EngineLike]) -> None:
        """Open an engine in a thread, so that /healthz answers meanwhile."""
        self._thread = threading.Thread(
            target=self._load, args=(open_engine,), name="engine-loader", daemon=True
        )
        self._thread.start()

    def get(self) -> EngineLike:
        """Return the engine, or refuse with 503 and a sentence."""
        if self._engine is None:
            message = (
                "The gallery could not be loaded; the reason is in the service's log."
                if self.failure
                else "The gallery is still loading; try again in a few seconds."
            )
            raise Refused(503, "not_ready", message, {"Retry-After": "2"})
        return self._engine

    def find_stamp(self) -> GalleryStamp | None:
        """Return which gallery is served; None while there is none."""
        return self._engine.info().gallery if self._engine is not None else None

    def close(self, timeout_s: float = 10.0) -> None:
        """Close an engine that was loaded here; one that still loads is closed when it is there."""
        self._closing = True
        if self._thread is None:
            return
        self._thread.join(timeout_s)
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _load(self, open_engine: Callable[[], EngineLike]) -> None:
        try:
            engine = open_engine()
            self.first_hit = _warm_up(engine)
            self._engine = engine
        except SelvedgeError as error:
            self.failure = error
            logger.error("%s", error)
        except Exception as error:
            self.failure = error
            logger.exception("The gallery could not be loaded.")
        if not self._closing:
            for listener in self._listeners:
                listener()


def _warm_up(engine: EngineLike) -> Hit | None:
    """Search once: the first search pays for lazy set-up, and shows that searching works."""
    try:
        hits = engine.search(_blank_photo(), SearchRequest(k=1)).hits
    except GalleryEmptyError:
        return None
    return hits[0] if hits else None


def _blank_photo() -> bytes:
    photo = io.BytesIO()
    Image.new("RGB", (32, 32), "white").save(photo, "PNG")
    return photo.getvalue()
