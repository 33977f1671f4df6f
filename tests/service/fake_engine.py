"""A fake engine whose scores a person can work out.

Every item is one flat colour. Against a photo of mean colour (r, g, b):
global = 1 - |r - item's r| / 255, token = 1 - |g - item's g| / 255, fused as in the engine.
Where it is calibrated, the confidence of a hit is its fused score. Attributes: `fake_attributes`.
"""

import copy
import dataclasses
import io
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from indexer.facets import check_columns, count_facet
from indexer.filters import to_sql
from indexer.incoming import require_ids
from indexer.requests import NewItem, QueryPhoto, SearchRequest
from indexer.results import (
    Ellipse,
    EngineInfo,
    Explanation,
    GalleryStamp,
    Hit,
    Item,
    Outcome,
    RegionPair,
    Scores,
    SearchResult,
    Status,
    TaskStats,
    WriteReport,
)
from model.errors import (
    GalleryEmptyError,
    ItemNotFoundError,
    ParameterError,
    VersionGoneError,
)
from model.images import crop_image, decode_image
from tests.service.fake_attributes import Colour, FakeAttributes, explain, main_score

PLAIN = SearchRequest()
COLUMNS = {"price": "float", "name": "string"}
EXPLANATION = Explanation(
    (
        RegionPair(
            photo=0,
            level=1,
            query=Ellipse(0.5, 0.5, 0.2, 0.1, 30.0),
            item=Ellipse(0.4, 0.6, 0.2, 0.1, -30.0),
            similarity=0.9,
            share=0.25,
        ),
    ),
    remainder=0.75,
    constant=0.0,
)
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


class FakeEngine(FakeAttributes):
    """Ranks flat colours; see the head of this file. A gallery and its engine in one.

    `before_encode` and `before_search` are called before the colours are taken and before they
    are ranked.
    """

    fingerprint = "c0ffee"

    def __init__(self, colours: dict[str, Colour] | None = None) -> None:
        super().__init__()
        self.colours = COLOURS if colours is None else colours
        self.metadata: dict[str, dict[str, Any]] = {}
        self.calls: list[dict[str, Any]] = []
        self.sizes: list[int] = []
        self.version = 7
        self.past: dict[int, FakeEngine] = {}
        self.trained = True
        self.calibrated = False
        self.is_closed = False
        self.background: dict[str, TaskStats] = {}
        self.before_encode: Callable[[], object] = lambda: None
        self.before_search: Callable[[], object] = lambda: None

    def engine(self, version: int | None = None) -> "FakeEngine":
        """This state, or an earlier one."""
        if version in (None, self.version):
            return self
        if version not in self.past:
            raise VersionGoneError(f"version {version} of the gallery is not held any more")
        return self.past[version]

    def add(self, items: Sequence[NewItem], *, atomic: bool | None = None) -> WriteReport:
        """Add the mean colours of photos."""
        require_ids([item.item_id for item in items])
        photos = {item.item_id: find_colour(read_bytes(item)) for item in items}
        return self._write({**self.colours, **photos}, [*photos], "added")

    def replace(self, items: Sequence[NewItem], *, atomic: bool | None = None) -> WriteReport:
        """Change colours and metadata."""
        colours = dict(self.colours)
        for item in items:
            self.item(item.item_id)
            if item.image is not None:
                colours[item.item_id] = find_colour(read_bytes(item))
            self.metadata[item.item_id] = dict(item.metadata)
        return self._write(colours, [item.item_id for item in items], "updated")

    def remove(self, item_ids: Sequence[str]) -> WriteReport:
        """Forget colours."""
        for item_id in item_ids:
            self.item(item_id)
        left = {key: colour for key, colour in self.colours.items() if key not in item_ids}
        return self._write(left, item_ids, "removed")

    def reload(self) -> bool:
        """Find nothing new."""
        return False

    def tasks(self) -> dict[str, TaskStats]:
        """As a test says."""
        return self.background

    def _write(
        self, colours: dict[str, Colour], item_ids: Sequence[str], status: Status
    ) -> WriteReport:
        self.past[self.version] = copy.copy(self)
        self.version, self.colours = self.version + 1, colours
        outcomes = [Outcome(item_id, status) for item_id in item_ids]
        return WriteReport(self.version, len(colours), outcomes)

    def check(self, request: SearchRequest) -> None:
        """Refuse what the real engine refuses."""
        check_columns(request.sort, request.facets, COLUMNS)
        if request.filter is not None:
            to_sql(request.filter, {**COLUMNS, "item_id": "string", "product_id": "string"})
        self.check_attributes(request)
        if request.min_confidence is not None and not self.calibrated:
            raise ParameterError("the checkpoint has no calibration; leave min_confidence out")
        if not self.colours:
            raise GalleryEmptyError("the gallery in /srv/secret/index is empty")

    def prepare(self, photo: QueryPhoto) -> Image.Image:
        """Decode and cut."""
        return crop_image(decode_image(photo.image), photo.box)[0]

    def encode_prepared(self, photos: Sequence[Image.Image]) -> list[Any]:
        """Take mean colours."""
        self.sizes.append(len(photos))
        self.before_encode()
        return [(np.asarray(photo, dtype=float).mean(axis=(0, 1)),) for photo in photos]

    def search_encoded(self, photos: Sequence[Any], request: SearchRequest = PLAIN) -> SearchResult:
        """Rank every item against the mean colour of the first photo."""
        self.calls.append(list_asked(request))
        self.before_search()
        return self._rank(tuple(photos[0][0]), request)

    @contextmanager
    def holding(self, stage: str = "search") -> Iterator[Held]:
        """Let searches (or encodings) wait for `may_end`."""
        held = Held()

        def hold() -> None:
            held.begun.set()
            assert held.may_end.wait(10)

        setattr(self, f"before_{stage}", hold)
        try:
            yield held
        finally:
            held.may_end.set()

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
            metadata_columns=dict(COLUMNS),
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
        alpha = 0.5 if request.alpha is None else request.alpha
        only = re.fullmatch("item_id = '(.*)'", request.filter or "item_id = ''", re.DOTALL)
        wanted = only[1].replace("''", "'") if only else ""
        scored = [
            (self.combine(self._score(colour, other, alpha), colour, item_id, request), item_id)
            for item_id, other in self.colours.items()
            if item_id not in (leave_out, *request.exclude_items) and wanted in ("", item_id)
        ]
        scored.sort(key=lambda pair: -main_score(pair[0]))
        in_time = request.deadline is None or time.monotonic() < request.deadline
        page = scored[request.offset : request.offset + request.k]
        hits = [
            Hit(
                rank,
                self.item(item_id),
                scores if in_time else Scores(scores.global_score, None, None),
                scores.fused if self.calibrated and not request.attributes else None,
                explain(EXPLANATION, request),
            )
            for rank, (scores, item_id) in enumerate(page, start=request.offset + 1)
            if (scores.fused or 0) >= (request.min_confidence or 0)
        ]
        items = [self.item(item_id) for _, item_id in scored]
        return SearchResult(
            hits,
            {"decode": 0.0, "encode": 0.0, "recall": 3.0, "total": 3.0},
            self._stamp(),
            no_confident_match=not hits,
            reranked=in_time,
            facets={name: count_facet(items, name, COLUMNS[name]) for name in request.facets},
            facet_candidates=len(items) if request.facets else 0,
        )

    def _score(self, colour: Sequence[float], other: Colour, alpha: float) -> Scores:
        whole, detail = (1 - abs(colour[i] - other[i]) / 255 for i in (0, 1))
        return Scores(float(whole), float(detail), float(alpha * whole + (1 - alpha) * detail))

    def _stamp(self) -> GalleryStamp:
        return GalleryStamp(version=self.version, items=len(self.colours), fingerprint="c0ffee")


def read_bytes(item: NewItem) -> bytes:
    """The photo of a new item."""
    assert item.image is not None
    return item.image if isinstance(item.image, bytes) else item.image.read_bytes()


def find_colour(photo: bytes) -> Colour:
    """The mean colour of a photo."""
    red, green, blue = np.asarray(decode_image(photo), dtype=float).mean(axis=(0, 1))
    return int(red), int(green), int(blue)


def list_asked(request: SearchRequest) -> dict[str, Any]:
    """What a request says beyond its defaults, and always k."""
    asked = {
        field.name: getattr(request, field.name)
        for field in dataclasses.fields(request)
        if field.name != "deadline" and getattr(request, field.name) not in (field.default, {})
    }
    return {"k": request.k, **asked}


def draw_photo(colour: Colour, *, size: tuple[int, int] = (64, 64), kind: str = "PNG") -> bytes:
    """Encode one flat colour."""
    photo = io.BytesIO()
    Image.new("RGB", size, colour).save(photo, kind)
    return photo.getvalue()
