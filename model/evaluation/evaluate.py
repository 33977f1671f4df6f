"""Encode a retrieval set, rank the gallery for every query, and measure."""

import time
from collections.abc import Mapping

from model.alignment import TokenAlignment
from model.data.reading import read_photo
from model.data.records import RetrievalSet
from model.errors import DataError
from model.evaluation.embedding import (
    DEFAULT_RECALL,
    Embedded,
    Progress,
    ReadPhoto,
    RecallVector,
    embed_photos,
    full_precision,
)
from model.evaluation.pairing import Pairing
from model.evaluation.ranker import Ranker
from model.evaluation.results import Evaluation
from model.evaluation.settings import Settings
from model.evaluation.summary import summarise
from model.mga import MGA
from model.runtime.trunks import Trunk


def evaluate_model(
    model: MGA,
    retrieval: RetrievalSet,
    settings: Settings | None = None,
    *,
    recall: Mapping[str, RecallVector] = DEFAULT_RECALL,
    read: ReadPhoto = read_photo,
    progress: Progress | None = None,
) -> Evaluation:
    """Encode a retrieval set with `model`, on its device, and measure every ranking.

    The model's train or eval mode is restored. The first of the `recall` vectors is the
    one searches use.

    Raises:
        DataError: nothing to ask, nothing to find, or no query that has a relevant item.
    """
    settings = settings or Settings()
    queries, gallery, seconds = embed_set(model, retrieval, settings, read, progress)
    found = evaluate_embedded(
        queries,
        gallery,
        Pairing.of(retrieval),
        model.alignment,
        settings,
        name=retrieval.name,
        alpha=model.config.alpha,
        recall=recall,
        progress=progress,
    )
    return found.model_copy(update={"timings_s": {"encode": seconds, **found.timings_s}})


def embed_set(
    model: MGA,
    retrieval: RetrievalSet,
    settings: Settings,
    read: ReadPhoto = read_photo,
    progress: Progress | None = None,
    trunk: Trunk | None = None,
) -> tuple[Embedded, Embedded, float]:
    """Encode queries, at all scales of the config, and gallery; also how many seconds it took."""
    for side, photos in (("queries", retrieval.queries), ("gallery photos", retrieval.gallery)):
        if not photos:
            raise DataError(f"the {retrieval.name} set has no {side}; an evaluation needs both")
    start = time.perf_counter()
    queries, gallery = (
        embed_photos(
            model, photos, read, batch=settings.batch, workers=settings.workers,
            stage=stage, progress=progress, scales=scales, trunk=trunk,
        )
        for stage, photos, scales in (
            ("queries", retrieval.queries, model.config.query_scales),
            ("gallery", retrieval.gallery, None),
        )
    )  # fmt: skip
    return queries, gallery, time.perf_counter() - start


def evaluate_embedded(
    queries: Embedded,
    gallery: Embedded,
    pairing: Pairing,
    alignment: TokenAlignment,
    settings: Settings,
    *,
    name: str = "",
    alpha: float = 0.5,
    recall: Mapping[str, RecallVector] = DEFAULT_RECALL,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure every ranking of features that are already there.

    `alpha` is the checkpoint's, used when `settings` has none.
    """
    start = time.perf_counter()
    ranker = Ranker(queries, gallery, pairing, alignment, settings, alpha, recall)
    with full_precision():
        for done in ranker.run():
            if progress:
                progress("ranking", done, len(queries.mass))
    timings = {"rank": time.perf_counter() - start}
    return summarise(name, ranker, timings)
