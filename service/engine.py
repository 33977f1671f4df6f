"""The gallery as the service sees it: protocols, and a slot that loads one in the background."""

import io
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from PIL import Image

from indexer.requests import NewItem, QueryPhoto, SearchRequest
from indexer.results import (
    AttributeDescription,
    EngineInfo,
    GalleryStamp,
    Hit,
    Item,
    SearchResult,
    TaskStats,
    WriteReport,
)
from model.errors import GalleryEmptyError, SelvedgeError
from service.errors import Refused

logger = logging.getLogger(__name__)


class EngineLike(Protocol):
    """The two-stage search of one state of a gallery: `indexer.engine.SearchEngine`, or a fake.

    What `prepare` and `encode_prepared` return is only handed on, and belongs to `fingerprint`.
    """

    @property
    def fingerprint(self) -> str: ...

    def check(self, request: SearchRequest) -> None: ...

    def prepare(self, photo: QueryPhoto) -> Any: ...

    def encode_prepared(self, photos: Sequence[Any]) -> list[Any]: ...

    def search_encoded(
        self, photos: Sequence[Any], request: SearchRequest = ...
    ) -> SearchResult: ...

    def search_item(self, item_id: str, request: SearchRequest = ...) -> SearchResult: ...

    def item(self, item_id: str) -> Item: ...

    def thumbnail(self, item_id: str) -> bytes: ...

    def attributes(self) -> tuple[AttributeDescription, ...]: ...

    def info(self) -> EngineInfo: ...


class GalleryLike(Protocol):
    """A gallery that changes: `indexer.live_engine.LiveEngine`, or a fake."""

    def engine(self, version: int | None = None) -> EngineLike: ...

    def add(self, items: Sequence[NewItem], *, atomic: bool | None = None) -> WriteReport: ...

    def replace(self, items: Sequence[NewItem], *, atomic: bool | None = None) -> WriteReport: ...

    def remove(self, item_ids: Sequence[str]) -> WriteReport: ...

    def add_attribute(self, name: str, examples: Mapping[str, str]) -> AttributeDescription: ...

    def remove_attribute(self, name: str) -> None: ...

    def reload(self) -> bool: ...

    def tasks(self) -> Mapping[str, TaskStats]: ...

    def close(self) -> None: ...


class EngineSlot:
    """Holds the gallery, or the reason why there is none yet.

    `failure` is set when loading failed for good; `first_hit` is a hit of the warm-up search.
    """

    def __init__(self, gallery: GalleryLike | None = None) -> None:
        self.failure: Exception | None = None
        self.first_hit: Hit | None = None
        self._gallery = gallery
        self._thread: threading.Thread | None = None
        self._closing = False
        self._listeners: list[Callable[[], None]] = []

    def when_settled(self, listener: Callable[[], None]) -> None:
        """Call `listener` from the loading thread once loading succeeded or failed."""
        self._listeners.append(listener)

    def start_loading(self, open_gallery: Callable[[], GalleryLike]) -> None:
        """Open a gallery in a thread, so that /healthz answers meanwhile."""
        self._thread = threading.Thread(
            target=self._load, args=(open_gallery,), name="gallery-loader", daemon=True
        )
        self._thread.start()

    def gallery(self) -> GalleryLike:
        """Return the gallery, or refuse with 503 and a sentence."""
        if self._gallery is None:
            message = (
                "The gallery could not be loaded; the reason is in the service's log."
                if self.failure
                else "The gallery is still loading; try again in a few seconds."
            )
            raise Refused(503, "not_ready", message, {"Retry-After": "2"})
        return self._gallery

    def get(self, version: int | None = None) -> EngineLike:
        """Return the engine of the newest state, or of an earlier one (VersionGoneError)."""
        return self.gallery().engine(version)

    def find_stamp(self) -> GalleryStamp | None:
        """Return which state is served; None while there is none."""
        return self.get().info().gallery if self._gallery is not None else None

    def find_tasks(self) -> Mapping[str, TaskStats]:
        """Return how the gallery's work in the background fares; nothing while there is none."""
        return self._gallery.tasks() if self._gallery is not None else {}

    def close(self, timeout_s: float = 10.0) -> None:
        """Close a gallery that was loaded here; one that still loads is closed when it is there."""
        self._closing = True
        if self._thread is None:
            return
        self._thread.join(timeout_s)
        if self._gallery is not None:
            self._gallery.close()
            self._gallery = None

    def _load(self, open_gallery: Callable[[], GalleryLike]) -> None:
        try:
            gallery = open_gallery()
            self.first_hit = _warm_up(gallery.engine())
            self._gallery = gallery
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
        encoded = engine.encode_prepared([engine.prepare(QueryPhoto(_blank_photo()))])
        hits = engine.search_encoded(encoded, SearchRequest(k=1)).hits
    except GalleryEmptyError:
        return None
    return hits[0] if hits else None


def _blank_photo() -> bytes:
    photo = io.BytesIO()
    Image.new("RGB", (32, 32), "white").save(photo, "PNG")
    return photo.getvalue()
