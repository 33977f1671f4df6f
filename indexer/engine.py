"""The two-stage search: recall by the recall vector, re-rank by the fused score.

Nothing here knows of HTTP or of a command line. Searching changes no shared state.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from indexer.attribute_explain import explain_attributes
from indexer.attribute_query import AttributeQuery
from indexer.candidates import Candidates
from indexer.cropping import EncodedCrop
from indexer.explain import explain_hits
from indexer.facets import check_columns, count_facet
from indexer.gallery import DEFAULT_TOKEN_BUDGET_MB, EmbeddedGallery, require_fingerprint
from indexer.milvus.address import is_address
from indexer.paging import Page, Pager
from indexer.protocols import Gallery
from indexer.ranking import Ranking, Timer
from indexer.requests import MAX_PHOTOS, QueryPhoto, SearchRequest
from indexer.results import (
    AttributeDescription,
    EngineInfo,
    Explanation,
    Facet,
    Hit,
    Item,
    Scores,
    SearchResult,
)
from indexer.selection import Selector
from model.encoder import Encoded, Encoder
from model.errors import GalleryEmptyError, ParameterError
from model.images import MAX_PIXELS, Box, crop_image, decode_image, decode_reduced
from model.preprocessing import needed_side
from model.runtime.names import RuntimeName

# Photos that go through the network together in a batch search.
ENCODE_BATCH = 16
PLAIN = SearchRequest()


class PreparedPhoto(NamedTuple):
    """A decoded query photo as the encoder takes it, and what was cut out, in its fractions."""

    pixels: Any
    box: Box


class SearchEngine:
    """One gallery and the checkpoint that made it. Safe to use from many threads."""

    def __init__(self, gallery: Gallery, encoder: Encoder, *, max_pixels: int = MAX_PIXELS) -> None:
        self._gallery = gallery
        self._encoder = encoder
        self._max_pixels = max_pixels
        self._selector = Selector(gallery)

    def search(
        self, image: bytes | Sequence[QueryPhoto], request: SearchRequest = PLAIN
    ) -> SearchResult:
        """Find the items (or products) most similar to a garment, best first.

        Args:
            image: an encoded photo (JPEG, PNG, WebP ...), or one to eight photos of the
                same garment, each with the part to look at.
            request: how to search, and what to return.

        Raises:
            ImageError: the bytes are not a usable photo.
            ParameterError: an unknown column or attribute, a filter that cannot be read, a
                box that holds too few pixels, or a least confidence without a calibration.
            GalleryEmptyError: nothing to search in.
            AttributePendingError: the first use of an attribute goes on after the deadline.
        """
        photos = [QueryPhoto(image)] if isinstance(image, bytes) else image
        _require_photos(photos)
        self.check(request)
        timer = Timer()
        encoded = self._encode(photos, [timer] * len(photos))
        return self._answer(encoded, request, timer)

    def search_batch(
        self, images: Sequence[bytes], request: SearchRequest = PLAIN
    ) -> list[SearchResult]:
        """Search for several garments, a photo each; results in order, each as `search` gives."""
        self.check(request)
        results = []
        for start in range(0, len(images), ENCODE_BATCH):
            batch = [QueryPhoto(image) for image in images[start : start + ENCODE_BATCH]]
            timers = [Timer() for _ in batch]
            for timer, query in zip(timers, self._encode(batch, timers), strict=True):
                results.append(self._answer([query], request, timer))
        return results

    def search_item(self, item_id: str, request: SearchRequest = PLAIN) -> SearchResult:
        """Search with an item of the gallery; the item itself is not among its hits.

        Raises:
            ItemNotFoundError: no such item.
        """
        self.check(request)
        timer = Timer()
        with timer.stage("fetch"):
            query = self._gallery.read_encoded(self._gallery.find_row(item_id))
        return self._answer([query], request, timer, without=item_id)

    @property
    def fingerprint(self) -> str:
        """Of the checkpoint: photos encoded with another one cannot be searched with."""
        return self._encoder.fingerprint

    @property
    def runtime(self) -> RuntimeName:
        """How the backbone is computed; never `auto`."""
        return self._encoder.runtime

    def check(self, request: SearchRequest) -> None:
        """Refuse what cannot be answered, before anything is decoded; see `search`."""
        check_columns(request.sort, request.facets, self._gallery.metadata_columns())
        self._selector.check(request)
        for name in request.attributes:
            self._gallery.attributes.find(name)
        if request.min_confidence is not None:
            self._require_calibration(request)
        if not len(self._gallery):
            raise GalleryEmptyError("the gallery has no items to search; add photos to it first")

    def prepare(self, photo: QueryPhoto) -> PreparedPhoto:
        """Decode a query photo and cut its box out, for `encode_prepared`.

        Raises ImageError and ParameterError as `search` does.
        """
        cut, box = crop_image(self._decode(photo), photo.box)
        return PreparedPhoto(self._encoder.prepare_query(cut), box)

    def _decode(self, photo: QueryPhoto) -> Image.Image:
        """The whole photo; without a box no larger than the network needs it."""
        if photo.box is not None:
            return decode_image(photo.image, max_pixels=self._max_pixels)
        side = needed_side(self._encoder.input_side)
        return decode_reduced(photo.image, side, max_pixels=self._max_pixels).image

    def encode_prepared(self, photos: Sequence[PreparedPhoto]) -> list[Encoded]:
        """Encode photos together, in their order: for each an Encoded with a row a scale.

        Geometry is in fractions of the whole upright photo.
        """
        encoded = self._encoder.encode_queries([photo.pixels for photo in photos])
        return [
            EncodedCrop.place(one, photo.box) for one, photo in zip(encoded, photos, strict=True)
        ]

    def encode(self, photos: Sequence[QueryPhoto]) -> list[Encoded]:
        """Prepare and encode query photos together, in their order; see `prepare`."""
        timer = Timer()
        encoded: list[Encoded] = []
        for start in range(0, len(photos), ENCODE_BATCH):
            batch = photos[start : start + ENCODE_BATCH]
            encoded += self._encode(batch, [timer] * len(batch))
        return encoded

    def search_encoded(
        self, photos: Sequence[Encoded], request: SearchRequest = PLAIN
    ) -> SearchResult:
        """Search with what `encode` returned: one photo, or several of the same garment.

        Items that any photo recalls are compared with all of them; global and token scores
        are means over the photos (`indexer.candidates` says why).
        """
        _require_photos(photos)
        self.check(request)
        return self._answer(photos, request, Timer())

    def attributes(self) -> tuple[AttributeDescription, ...]:
        """List what this gallery can be searched by; none where its checkpoint has none."""
        return self._gallery.attributes.describe()

    def item(self, item_id: str) -> Item:
        """Look one item up; ItemNotFoundError when there is none."""
        row = self._gallery.find_row(item_id)
        return self._gallery.read_items(np.array([row], dtype=np.int64))[0]

    def thumbnail(self, item_id: str) -> bytes:
        """Return the small JPEG of one item; ItemNotFoundError when there is none."""
        return self._gallery.read_thumbnail(item_id)

    def info(self) -> EngineInfo:
        """Describe gallery and checkpoint."""
        config = self._encoder.config
        return EngineInfo(
            gallery=self._gallery.stamp,
            products=self._gallery.num_products(),
            metadata_columns=self._gallery.metadata_columns(),
            preset=config.preset,
            backbone=config.backbone.name,
            weights=self._encoder.weights,
            trained_for_retrieval=self._encoder.trained_for_retrieval,
            image_size=config.preprocessing.image_size,
            levels=config.num_levels,
            tokens_per_level=config.aggregator.num_tokens,
            token_dim=config.aggregator.token_dim,
            global_dim=self._encoder.global_dim,
            recall=self._gallery.manifest.recall,
            recall_dim=self._gallery.manifest.dims.recall_width,
            alpha=config.alpha,
            calibrated=self._encoder.calibration is not None,
            device=self._encoder.device,
        )

    def close(self) -> None:
        """Let go of the gallery."""
        self._gallery.close()

    def _require_calibration(self, request: SearchRequest) -> None:
        if self._encoder.calibration is None:
            raise ParameterError(
                "min_confidence is given, but the checkpoint has no calibration; leave it out, "
                "or fit one with `python -m model calibrate` and open the index with that file"
            )
        if self._find_alpha(request) != self._encoder.config.alpha:
            raise ParameterError(
                f"min_confidence is given with alpha {request.alpha}, but the checkpoint is "
                f"calibrated at {self._encoder.config.alpha}; leave one of the two out"
            )

    def _find_alpha(self, request: SearchRequest) -> float:
        return self._encoder.config.alpha if request.alpha is None else request.alpha

    def _encode(self, photos: Sequence[QueryPhoto], timers: Sequence[Timer]) -> list[Encoded]:
        prepared = []
        for photo, timer in zip(photos, timers, strict=True):
            with timer.stage("decode"):
                prepared.append(self.prepare(photo))
        spent = Timer()
        with spent.stage("encode", share=len(set(map(id, timers)))):
            encoded = self.encode_prepared(prepared)
        for timer in timers:
            timer.stages["encode"] = spent.stages["encode"]
        return encoded

    def _answer(
        self,
        photos: Sequence[Encoded],
        request: SearchRequest,
        timer: Timer,
        without: str | None = None,
    ) -> SearchResult:
        timer.begin_answer()
        with timer.stage("recall"):
            selection = self._selector.select(request, without)
            weights, overall = request.attributes, request.overall or 0.0
            attributes = (
                AttributeQuery(self._gallery, photos, weights, overall, selection, request.deadline)
                if weights
                else None
            )
        alpha, columns = self._find_alpha(request), self._gallery.metadata_columns()
        candidates = Candidates(
            self._gallery, self._encoder, photos, alpha, selection, timer, attributes,
            request.num_aligned,
        )  # fmt: skip
        column = check_columns(request.sort, request.facets, columns)
        page = Pager(self._gallery, candidates, request, column, timer).find()
        facets = self._count_facets(request, page, timer)
        hits = self._make_hits(photos, request, page, timer)
        least = request.min_confidence
        if least is not None:
            hits = [hit for hit in hits if hit.confidence is not None and hit.confidence >= least]
        return SearchResult(
            hits,
            timer.report(),
            self._gallery.stamp,
            no_confident_match=least is not None and not hits,
            reranked=page.reranked,
            facets=facets,
            facet_candidates=len(page.head.rows) if facets else 0,
        )

    def _count_facets(self, request: SearchRequest, page: Page, timer: Timer) -> dict[str, Facet]:
        """Over the first block of candidates, whatever the page."""
        if not request.facets:
            return {}
        with timer.stage("fetch"):
            items = self._gallery.read_items(page.head.rows)
        kinds = self._gallery.metadata_columns()
        return {name: count_facet(items, name, kinds[name]) for name in request.facets}

    def _make_hits(
        self, photos: Sequence[Encoded], request: SearchRequest, page: Page, timer: Timer
    ) -> list[Hit]:
        explanations: Sequence[Explanation | None] = [None] * len(page.items)
        if request.explain and page.reranked:
            with timer.stage("fetch"):
                stored = [self._gallery.read_encoded(row) for row in page.ranking.rows.tolist()]
            with timer.stage("align"):
                pairs = explain_hits(self._encoder, photos, stored, request.explain)
                names, known = request.attributes, self._gallery.attributes
                regions = explain_attributes(known, names, photos, stored, request.explain)
            explanations = [
                replace(found, attributes=looks)
                for found, looks in zip(pairs, regions, strict=True)
            ]
        scores = _list_scores(page.ranking, tuple(request.attributes))
        confidence = self._find_confidence(page, request)
        parts = zip(page.items, scores, confidence, explanations, strict=True)
        return [Hit(rank, *part) for rank, part in enumerate(parts, start=request.offset + 1)]

    def _find_confidence(self, page: Page, request: SearchRequest) -> list[float | None]:
        """Probability that each hit shows the same product, where it is known."""
        calibration, fused = self._encoder.calibration, page.ranking.fused
        at_alpha = self._find_alpha(request) == self._encoder.config.alpha
        if calibration is None or not at_alpha or not page.reranked or request.attributes:
            return [None] * len(fused)
        said = calibration.probability(fused).tolist()
        return [p if known else None for p, known in zip(said, page.ranking.aligned, strict=True)]


def open_engine(
    index_dir: Path,
    *,
    device: str = "auto",
    runtime: str = "eager",
    checkpoint: Path | None = None,
    token_budget_mb: int = DEFAULT_TOKEN_BUDGET_MB,
    max_pixels: int = MAX_PIXELS,
) -> SearchEngine:
    """Open an index folder to search in it.

    Args:
        index_dir: what `python -m indexer build` wrote, or the address of a gallery on a Milvus
            server (`indexer.milvus.address`).
        device: auto, cpu, cuda or cuda:N.
        runtime: how the backbone is computed: auto, eager, half, openvino or compile.
        checkpoint: the index's own copy when not given; any other file must have the
            same fingerprint.
        token_budget_mb: tokens are kept in memory when they fit, read from disk otherwise.
        max_pixels: larger query photos are refused.

    Raises:
        GalleryError: not an index, damaged, or made with another checkpoint.
        CheckpointError, DeviceError: what they say.
    """
    if is_address(index_dir):
        from indexer.milvus.opening import open_milvus_engine  # which builds upon this file

        return open_milvus_engine(
            index_dir,
            device=device,
            runtime=runtime,
            checkpoint=checkpoint,
            max_pixels=max_pixels,
        )
    gallery = EmbeddedGallery.open(index_dir, token_budget_mb=token_budget_mb, device=device)
    try:
        encoder = Encoder.from_checkpoint(checkpoint or gallery.checkpoint, device, runtime)
        require_fingerprint(index_dir, gallery.manifest, encoder.fingerprint)
    except BaseException:
        gallery.close()
        raise
    return SearchEngine(gallery, encoder, max_pixels=max_pixels)


def _require_photos(photos: Sequence[object]) -> None:
    if not 1 <= len(photos) <= MAX_PHOTOS:
        raise ParameterError(
            f"the query has {len(photos)} photos; expected 1 to {MAX_PHOTOS} of one garment"
        )


def _list_scores(ranking: Ranking, names: Sequence[str]) -> list[Scores]:
    """Scores as they are returned: None for what is not known."""
    parts = zip(ranking.global_scores, ranking.token_scores, ranking.fused, strict=True)
    likeness = [dict(zip(names, row.tolist(), strict=True)) for row in ranking.attributes]
    combined = ranking.combined if names else np.full(len(ranking.rows), np.nan)
    return [
        Scores(float(whole), _known(token), _known(fused), likeness[i], _known(combined[i]))
        for i, (whole, token, fused) in enumerate(parts)
    ]


def _known(score: np.floating[Any]) -> float | None:
    return None if np.isnan(score) else float(score)
