"""The two-stage search: recall by the recall vector, re-rank by the fused score.

Nothing here knows of HTTP or of a command line. Searching changes no shared state.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.gallery import DEFAULT_TOKEN_BUDGET_MB, EmbeddedGallery, require_fingerprint
from indexer.protocols import Gallery, Recalled
from indexer.ranking import Ranking, Timer, first_of_each, to_token_set
from indexer.results import (
    MAX_CANDIDATES,
    MAX_K,
    EngineInfo,
    Hit,
    Item,
    Scores,
    SearchResult,
)
from model.encoder import Encoded, Encoder
from model.errors import GalleryEmptyError, ParameterError
from model.fusion import fuse
from model.images import MAX_PIXELS, decode_image

DEFAULT_K = 10
DEFAULT_CANDIDATES = 100
# Photos that go through the network together in a batch search.
ENCODE_BATCH = 16
# Candidates aligned together: bounds the memory of one call.
ALIGN_CHUNK = 256

GroupBy = Literal["item", "product"]


class Plan(NamedTuple):
    """What one search was asked for, checked."""

    k: int
    candidates: int
    alpha: float
    group_by: GroupBy
    min_confidence: float | None


class SearchEngine:
    """One gallery and the checkpoint that made it. Safe to use from many threads."""

    def __init__(self, gallery: Gallery, encoder: Encoder, *, max_pixels: int = MAX_PIXELS) -> None:
        self._gallery = gallery
        self._encoder = encoder
        self._max_pixels = max_pixels

    def search(
        self,
        image: bytes,
        *,
        k: int = DEFAULT_K,
        candidates: int | None = None,
        alpha: float | None = None,
        group_by: GroupBy = "item",
        min_confidence: float | None = None,
    ) -> SearchResult:
        """Find the k most similar items (or products), best first.

        Args:
            image: an encoded photo (JPEG, PNG, WebP ...).
            k: hits wanted, 1 to 1000; fewer come back when the gallery is smaller.
            candidates: how many items stage one hands to stage two, 1 to 1000, raised
                to k when smaller; 100 when not given.
            alpha: weight of the global score in the fused one, 0 to 1; the
                checkpoint's own when not given.
            group_by: "product" returns the best item of each product, and fetches
                further candidates until k products are found.
            min_confidence: leave out hits less probably of the same product, 0 to 1; when
                none is left, the result says so. For a calibrated checkpoint at its own
                alpha.

        Raises:
            ImageError: the bytes are not a usable photo.
            ParameterError: a number out of its range.
            GalleryEmptyError: nothing to search in.
        """
        return self.search_batch(
            [image],
            k=k,
            candidates=candidates,
            alpha=alpha,
            group_by=group_by,
            min_confidence=min_confidence,
        )[0]

    def search_batch(
        self,
        images: Sequence[bytes],
        *,
        k: int = DEFAULT_K,
        candidates: int | None = None,
        alpha: float | None = None,
        group_by: GroupBy = "item",
        min_confidence: float | None = None,
    ) -> list[SearchResult]:
        """Search for several photos; results in their order, each as `search` returns it."""
        plan = self._plan(k, candidates, alpha, group_by, min_confidence)
        results = []
        for start in range(0, len(images), ENCODE_BATCH):
            batch = images[start : start + ENCODE_BATCH]
            timers = [Timer() for _ in batch]
            for timer, query in zip(timers, self._encode(batch, timers), strict=True):
                results.append(self._answer(query, plan, timer))
        return results

    def search_item(
        self,
        item_id: str,
        *,
        k: int = DEFAULT_K,
        candidates: int | None = None,
        alpha: float | None = None,
        group_by: GroupBy = "item",
        min_confidence: float | None = None,
    ) -> SearchResult:
        """Search with an item of the gallery; the item itself is not among its hits.

        Raises:
            ItemNotFoundError: no such item.
        """
        plan, timer = self._plan(k, candidates, alpha, group_by, min_confidence), Timer()
        with timer.stage("fetch"):
            row = self._gallery.find_row(item_id)
            query = self._gallery.read_encoded(row)
        return self._answer(query, plan, timer, without=row)

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

    def _plan(
        self,
        k: int,
        candidates: int | None,
        alpha: float | None,
        group_by: GroupBy,
        min_confidence: float | None,
    ) -> Plan:
        wanted = DEFAULT_CANDIDATES if candidates is None else candidates
        weight = self._encoder.config.alpha if alpha is None else alpha
        _require_whole("k", k, MAX_K)
        _require_whole("candidates", wanted, MAX_CANDIDATES)
        _require_share("alpha", weight)
        if group_by not in ("item", "product"):
            raise ParameterError(f"group_by is {group_by!r}; expected item or product")
        if min_confidence is not None:
            self._require_calibration(min_confidence, weight)
        if not len(self._gallery):
            raise GalleryEmptyError("the gallery has no items to search; add photos to it first")
        return Plan(k, max(k, wanted), weight, group_by, min_confidence)

    def _require_calibration(self, min_confidence: float, alpha: float) -> None:
        _require_share("min_confidence", min_confidence)
        if self._encoder.calibration is None:
            raise ParameterError(
                "min_confidence is given, but the checkpoint has no calibration; leave it out, "
                "or fit one with `python -m model calibrate` and open the index with that file"
            )
        if alpha != self._encoder.config.alpha:
            raise ParameterError(
                f"min_confidence is given with alpha {alpha}, but the checkpoint is calibrated at "
                f"{self._encoder.config.alpha}; leave one of the two out"
            )

    def _find_confidence(self, fused: NDArray[np.float32], plan: Plan) -> list[float | None]:
        """Probability that each candidate shows the same product, where it is known."""
        calibration = self._encoder.calibration
        if calibration is None or plan.alpha != self._encoder.config.alpha:
            return [None] * len(fused)
        return [float(said) for said in calibration.probability(fused)]

    def _encode(self, images: Sequence[bytes], timers: Sequence[Timer]) -> list[Encoded]:
        prepared = []
        for image, timer in zip(images, timers, strict=True):
            with timer.stage("decode"):
                photo = decode_image(image, max_pixels=self._max_pixels)
                prepared.append(self._encoder.prepare(photo))
        spent = Timer()
        with spent.stage("encode", share=len(images)):
            encoded = self._encoder.encode(prepared)
        for timer in timers:
            timer.stages["encode"] = spent.stages["encode"]
        return [Encoded(*(x[i : i + 1] for x in encoded)) for i in range(len(images))]

    def _answer(
        self, query: Encoded, plan: Plan, timer: Timer, without: int | None = None
    ) -> SearchResult:
        if plan.group_by == "product":
            ranking, items = self._rank_products(query, plan, timer, without)
        else:
            ranking = self._rank(query, plan, plan.candidates, timer, without)
            ranking = ranking.take(slice(plan.k))
            with timer.stage("fetch"):
                items = self._gallery.read_items(ranking.rows)
        hits = _to_hits(ranking, items, self._find_confidence(ranking.fused, plan))
        least = plan.min_confidence
        if least is not None:
            hits = [hit for hit in hits if hit.confidence is not None and hit.confidence >= least]
        nothing = least is not None and not hits
        return SearchResult(hits, timer.report(), self._gallery.stamp, no_confident_match=nothing)

    def _rank_products(
        self, query: Encoded, plan: Plan, timer: Timer, without: int | None
    ) -> tuple[Ranking, list[Item]]:
        """Keep the best item of each product, fetching on until there are k products."""
        count, known = plan.candidates, None
        while True:
            known = self._rank(query, plan, count, timer, without, known)
            with timer.stage("fetch"):
                items = self._gallery.read_items(known.rows)
            first = first_of_each([item.product_id for item in items])[: plan.k]
            if len(first) == plan.k or count >= len(self._gallery):
                return known.take(np.array(first, dtype=np.int64)), [items[i] for i in first]
            count *= 2

    def _rank(
        self,
        query: Encoded,
        plan: Plan,
        count: int,
        timer: Timer,
        without: int | None = None,
        known: Ranking | None = None,
    ) -> Ranking:
        """Recall `count` candidates and order them by the fused score.

        Scores in `known` are taken over, so that fetching on aligns only what is new.
        """
        with timer.stage("recall"):
            extra = 0 if without is None else 1
            recalled = self._gallery.recall(query.recall, count + extra)[0]
            keep = np.flatnonzero(recalled.rows != (-1 if without is None else without))[:count]
            found = Recalled(recalled.rows[keep], recalled.scores[keep])
        rows = found.rows
        global_scores, token_scores = self._score(query, found, timer, known)
        fused = fuse(global_scores, token_scores, plan.alpha)
        # Stable: equal fused scores keep the order of stage one.
        order = np.argsort(-fused, kind="stable")
        return Ranking(rows, global_scores, token_scores, fused).take(order)

    def _score(
        self, query: Encoded, found: Recalled, timer: Timer, known: Ranking | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Global and token score of each candidate, computed for those not in `known`."""
        done: dict[int, tuple[float, float]] = {}
        if known is not None:
            kept = zip(known.global_scores, known.token_scores, strict=True)
            done = dict(zip(known.rows.tolist(), kept, strict=True))
        new = np.array([row not in done for row in found.rows.tolist()], dtype=np.bool_)
        rows, recalled = found.rows[new], found.scores[new]
        for start in range(0, len(rows), ALIGN_CHUNK):
            part = slice(start, start + ALIGN_CHUNK)
            pairs = self._score_chunk(query, rows[part], recalled[part], timer)
            done.update(zip(rows[part].tolist(), pairs, strict=True))
        both = np.array([done[row] for row in found.rows.tolist()], np.float32).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    def _score_chunk(
        self,
        query: Encoded,
        rows: NDArray[np.int64],
        recalled: NDArray[np.float32],
        timer: Timer,
    ) -> Iterable[tuple[float, float]]:
        """Read a few candidates once and score them against the query."""
        with timer.stage("fetch"):
            block = self._gallery.read_tokens(rows)
            candidates = to_token_set(block)
        with timer.stage("align"):
            token_scores = self._encoder.align(query.token_set, candidates)[0]
            if block.global_feature is None:
                return zip(recalled, token_scores, strict=True)
            cosine = block.global_feature @ query.global_feature[0]
            return zip(np.clip(cosine, -1, 1), token_scores, strict=True)


def open_engine(
    index_dir: Path,
    *,
    device: str = "auto",
    checkpoint: Path | None = None,
    token_budget_mb: int = DEFAULT_TOKEN_BUDGET_MB,
    max_pixels: int = MAX_PIXELS,
) -> SearchEngine:
    """Open an index folder to search in it.

    Args:
        index_dir: what `python -m indexer build` wrote.
        device: auto, cpu, cuda or cuda:N.
        checkpoint: the index's own copy when not given; any other file must have the
            same fingerprint.
        token_budget_mb: tokens are kept in memory when they fit, read from disk otherwise.
        max_pixels: larger query photos are refused.

    Raises:
        GalleryError: not an index, damaged, or made with another checkpoint.
        CheckpointError, DeviceError: what they say.
    """
    gallery = EmbeddedGallery.open(index_dir, token_budget_mb=token_budget_mb, device=device)
    try:
        encoder = Encoder.from_checkpoint(checkpoint or gallery.checkpoint, device)
        require_fingerprint(index_dir, gallery.manifest, encoder.fingerprint)
    except BaseException:
        gallery.close()
        raise
    return SearchEngine(gallery, encoder, max_pixels=max_pixels)


def _require_whole(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise ParameterError(f"{name} is {value}; expected a whole number from 1 to {most}")


def _require_share(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:  # also refuses NaN
        raise ParameterError(f"{name} is {value}; expected a number from 0 to 1")


def _to_hits(
    ranking: Ranking, items: Sequence[Item], confidence: Sequence[float | None]
) -> list[Hit]:
    scores = zip(ranking.global_scores, ranking.token_scores, ranking.fused, strict=True)
    return [
        Hit(rank, item, Scores(*map(float, three)), said)
        for rank, (item, three, said) in enumerate(
            zip(items, scores, confidence, strict=True), start=1
        )
    ]
