"""A fake engine whose scores a person can work out.

Every item is one flat colour. Against a photo of mean colour (r, g, b):
global = 1 - |r - item's r| / 255, token = 1 - |g - item's g| / 255, fused as in the engine.
Where it is calibrated, the confidence of a hit is its fused score.
"""

import dataclasses
import io
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from indexer.requests import QueryPhoto, SearchRequest
from indexer.results import (
    EngineInfo,
    GalleryStamp,
    Hit,
    Item,
    Scores,
    SearchResult,
)
from model.errors import GalleryEmptyError, ItemNotFoundError, ParameterError
from model.images import decode_image

Colour = tuple[int, int, int]

PLAIN = SearchRequest()
STRANGE_ID = "winter 2026/rosé & co/👗 dress #1?.jpg"
COLOURS: dict[str, Colour] = {
    "red.jpg": (255, 0, 0),
    "tops/brick.jpg": (204, 51, 0),
    "tops/olive.jpg": (102, 102, 0),
    STRANGE_ID: (51, 204, 0),
    "green.jpg": (0, 255, 0),
}


@dataclass
class Held:
    """A search that waits: `begun` says that it runs, `may_end` lets it go on."""

    begun: threading.Event = field(default_factory=threading.Event)
    may_end: threading.Event = field(default_factory=threading.Event)


class FakeEngine:
    """Ranks flat colours; see the head of this file."""

    def __init__(self, colours: dict[str, Colour] | None = None) -> None:
        self.colours = COLOURS if colours is None else colours
        self.metadata: dict[str, dict[str, Any]] = {}
        self.calls: list[dict[str, Any]] = []
        self.trained = True
        self.calibrated = False
        self.is_closed = False
        self.before_search: Callable[[], object] = lambda: None

    def search(
        self, image: bytes | Sequence[QueryPhoto], request: SearchRequest = PLAIN
    ) -> SearchResult:
        """Rank every item against the mean colour of the photo, or of the first of several."""
        self.calls.append(list_asked(request))
        self.before_search()
        data = image if isinstance(image, bytes) else image[0].image
        pixels = np.asarray(decode_image(data), dtype=float)
        return self._rank(tuple(pixels.mean(axis=(0, 1))), request)

    @contextmanager
    def holding(self) -> Iterator[Held]:
        """Let searches wait for `may_end`."""
        held = Held()

        def hold() -> None:
            held.begun.set()
            assert held.may_end.wait(10)

        self.before_search = hold
        try:
            yield held
        finally:
            held.may_end.set()

    def search_batch(
        self, images: Sequence[bytes], request: SearchRequest = PLAIN
    ) -> list[SearchResult]:
        """Search one by one."""
        return [self.search(image, request) for image in images]

    def search_item(self, item_id: str, request: SearchRequest = PLAIN) -> SearchResult:
        """Rank every other item against this one."""
        self.calls.append({"item_id": item_id, **list_asked(request)})
        self.item(item_id)
        return self._rank(self.colours[item_id], request, leave_out=item_id)

    def item(self, item_id: str) -> Item:
        """Return the item; its product is the last part of its id."""
        if item_id not in self.colours:
            raise ItemNotFoundError(f'the gallery has no item "{item_id}"; check the id')
        product = item_id.rsplit("/", 1)[-1].upper()
        return Item(item_id, product, f"photos/{item_id}", self.metadata.get(item_id, {}))

    def thumbnail(self, item_id: str) -> bytes:
        """Return a JPEG of the item's colour."""
        self.item(item_id)
        return draw_photo(self.colours[item_id], size=(30, 40), kind="JPEG")

    def info(self) -> EngineInfo:
        """Describe a small gallery and a network of round numbers."""
        return EngineInfo(
            gallery=self._stamp(),
            products=len(self.colours),
            metadata_columns={"price": "double"},
            preset="tiny",
            backbone="flat colours",
            weights="drawn by hand",
            trained_for_retrieval=self.trained,
            image_size=64,
            levels=3,
            tokens_per_level=16,
            token_dim=8,
            global_dim=3,
            recall="granular",
            recall_dim=8,
            alpha=0.5,
            calibrated=self.calibrated,
            device="cpu",
        )

    def close(self) -> None:
        """Remember that it was closed."""
        self.is_closed = True

    def _rank(
        self, colour: Sequence[float], request: SearchRequest, leave_out: str | None = None
    ) -> SearchResult:
        if not self.colours:
            raise GalleryEmptyError("the gallery in /srv/secret/index is empty")
        if request.min_confidence is not None and not self.calibrated:
            raise ParameterError("the checkpoint has no calibration; leave min_confidence out")
        alpha = 0.5 if request.alpha is None else request.alpha
        scored = [
            (self._score(colour, other, alpha), item_id)
            for item_id, other in self.colours.items()
            if item_id != leave_out
        ]
        scored.sort(key=lambda pair: -pair[0].fused)
        hits = [
            Hit(rank, self.item(item_id), scores, scores.fused if self.calibrated else None)
            for rank, (scores, item_id) in enumerate(scored[: request.k], start=1)
            if scores.fused >= (request.min_confidence or 0)
        ]
        timings = {"decode": 1.0, "encode": 2.0, "total": 3.0}
        return SearchResult(hits, timings, self._stamp(), no_confident_match=not hits)

    def _score(self, colour: Sequence[float], other: Colour, alpha: float) -> Scores:
        whole, detail = (1 - abs(colour[i] - other[i]) / 255 for i in (0, 1))
        return Scores(float(whole), float(detail), float(alpha * whole + (1 - alpha) * detail))

    def _stamp(self) -> GalleryStamp:
        return GalleryStamp(version=7, items=len(self.colours), fingerprint="c0ffee")


def list_asked(request: SearchRequest) -> dict[str, Any]:
    """What a request says beyond its defaults, and always k."""
    asked = {
        field.name: getattr(request, field.name)
        for field in dataclasses.fields(request)
        if getattr(request, field.name) != field.default
    }
    return {"k": request.k, **asked}


def draw_photo(colour: Colour, *, size: tuple[int, int] = (64, 64), kind: str = "PNG") -> bytes:
    """Encode one flat colour."""
    photo = io.BytesIO()
    Image.new("RGB", size, colour).save(photo, kind)
    return photo.getvalue()
