"""What changes when one setting of token alignment changes and nothing is trained again.

The candidates stay those of the checkpoint's recall vector; only their order changes.
(With M, a granular recall vector is that of the tokens that are left.)
(alpha needs no new scores: `model.evaluation.summary` sweeps it.)
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from model.alignment import TokenAlignment
from model.evaluation.embedding import (
    DEFAULT_RECALL,
    Embedded,
    Progress,
    RecallVector,
    full_precision,
)
from model.evaluation.pairing import Pairing
from model.evaluation.ranker import Ranker
from model.evaluation.results import Curve, Evaluation, Point
from model.evaluation.settings import Settings
from model.evaluation.summary import SHORT, summarise

TEMPERATURES = (1.0, 4.0, 9.0, 20.0, 50.0)
REDUCTIONS = ("mean", "max", "lse")
TOKENS_ONLY = "R@1, tokens only"
# Enough queries to see an effect; the candidates are re-scored for every value.
NUM_QUERIES = 500
CANDIDATES = 50


def token_sensitivity(
    alignment: TokenAlignment,
    queries: Embedded,
    gallery: Embedded,
    pairing: Pairing,
    settings: Settings,
    *,
    alpha: float,
    recall: Mapping[str, RecallVector] = DEFAULT_RECALL,
    progress: Progress | None = None,
) -> list[Curve]:
    """Sweep tau, the reduction and M on at most 500 queries, drawn by the seed."""
    chosen = _sample(len(queries.mass), settings.seed)
    queries, pairing = queries.take(chosen), pairing.take(chosen)
    first = dict([next(iter(recall.items()))])
    fast = replace(
        settings, candidates=(CANDIDATES,), main=CANDIDATES, exhaustive=False, alphas=(0.0,)
    )
    variants = [
        *_temperatures(alignment, queries, gallery),
        *_reductions(alignment, queries, gallery),
        *_token_counts(alignment, queries, gallery),
    ]
    curves: dict[str, list[Point]] = {}
    for done, (setting, value, own, changed, asked, kept) in enumerate(variants, start=1):
        ranker = Ranker(asked, kept, pairing, changed, fast, alpha, first)
        with full_precision():
            for _ in ranker.run():
                pass
        found = summarise("", ranker, {})
        curves.setdefault(setting, []).append(_point(value, own, found))
        if progress:
            progress("sensitivity", done, len(variants))
    ranking = f"best {CANDIDATES} by {next(iter(first))}, {len(chosen)} queries"
    return [
        Curve(setting=setting, ranking=ranking, points=tuple(points))
        for setting, points in curves.items()
    ]


def keep_largest(embedded: Embedded, count: int) -> Embedded:
    """Keep the `count` tokens of largest mass a level; the others become padding.

    >>> one = Embedded(np.ones((1, 2)), np.ones((1, 1, 3, 4)), np.array([[[0.2, 0.5, 0.3]]]))
    >>> keep_largest(one, 2).tokens[0, 0, :, 0].tolist()
    [0.0, 1.0, 1.0]
    """
    order = np.argsort(-embedded.mass, axis=-1, kind="stable")
    kept = np.zeros(embedded.mass.shape, dtype=np.bool_)
    np.put_along_axis(kept, order[..., :count], True, axis=-1)
    return embedded._replace(tokens=embedded.tokens * kept[..., None], mass=embedded.mass * kept)


_Variant = tuple[str, str, bool, TokenAlignment, Embedded, Embedded]


def _temperatures(alignment: TokenAlignment, asked: Embedded, kept: Embedded) -> Iterator[_Variant]:
    own = float(alignment.temperature)
    for value in sorted({*TEMPERATURES, own}):
        changed = copy.deepcopy(alignment)
        changed.temperature.data.fill_(value)
        yield "tau", f"{value:g}", value == own, changed, asked, kept


def _reductions(alignment: TokenAlignment, asked: Embedded, kept: Embedded) -> Iterator[_Variant]:
    for value in REDUCTIONS:
        changed = copy.deepcopy(alignment)
        changed.options = alignment.options.model_copy(update={"reduction": value})
        yield "reduction", value, value == alignment.options.reduction, changed, asked, kept


def _token_counts(alignment: TokenAlignment, asked: Embedded, kept: Embedded) -> Iterator[_Variant]:
    largest = kept.mass.shape[-1]
    for value in [*(2**k for k in range(10) if 2**k < largest), largest]:
        pair = keep_largest(asked, value), keep_largest(kept, value)
        yield "M", str(value), value == largest, alignment, *pair


def _point(value: str, own: bool, found: Evaluation) -> Point:
    metrics = {
        name: found.main_row.metrics[name] for name in SHORT if name in found.main_row.metrics
    }
    alone = next((p for curve in found.curves for p in curve.points if p.value == "0"), None)
    if alone and "R@1" in alone.metrics:
        metrics[TOKENS_ONLY] = alone.metrics["R@1"]
    return Point(value=value, chosen=own, metrics=metrics)


def _sample(count: int, seed: int) -> NDArray[np.int64]:
    """Places of the queries that take part, in order."""
    if count <= NUM_QUERIES:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, NUM_QUERIES, replace=False))
