"""`python -m benchmarks codecs`: bytes an image, and what is found with them."""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import faiss
import numpy as np
import torch
import typer
from numpy.typing import NDArray

from benchmarks.codecs.features import Features, load_or_encode
from benchmarks.codecs.forms import FORMS, Restore, Restored, fit_codes, geometry_bytes
from benchmarks.codecs.sets import Asked, Found, ask_drawn, ask_photos
from benchmarks.probes import found_at
from model.alignment import TokenAlignment
from model.bare import compare_bare
from model.checkpoint import load_checkpoint
from model.data import load_dataset
from model.data.records import Photo
from model.encoder import Encoder
from model.evaluation.embedding import Embedded
from model.evaluation.metrics import bootstrap_interval, paired_interval
from model.fusion import fuse
from model.runtime.names import HELP
from model.shipped import SHIPPED

Scores = NDArray[np.float32]
CANDIDATES = 100
# Codes of the recall vector, as FAISS names them, and bytes an image with its row id left out.
RECALL_CODES = {
    "flat": "Flat",
    "float16": "SQfp16",
    "sq8": "SQ8",
    "pq160": "PQ160np",
    "pq80": "PQ80np",
    "pca320, pq80": "PCAR320,PQ80np",
    "pq40": "PQ40np",
}
# The recall code that the totals count.
RECALL = "pca320, pq80"
RECALL_BYTES = 80
# Bytes a token of codes that are also fitted to each gallery itself, as a build does.
ON_GALLERY = (24, 16, 12, 8)
_faiss: Any = faiss


def codecs(
    photos: Annotated[
        Path, typer.Option(help="Folder with gallery.csv: image, product_id, color, view.")
    ],
    drawn: Annotated[str, typer.Option(help="Data set whose test designs are searched.")],
    fit: Annotated[list[str], typer.Option(help="Data sets whose training photos are fitted to.")],
    checkpoint: Annotated[Path, typer.Option()] = SHIPPED,
    cache: Annotated[Path, typer.Option(help="Folder for encoded photos.")] = Path("out/codecs"),
    num_fit: Annotated[int, typer.Option(help="Photos of each set to fit to.")] = 1500,
    runtime: Annotated[str, typer.Option(help=HELP)] = "half",
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON, too.")] = None,
) -> None:
    """Measure bytes an image against R@1 by the fused score of a hundred candidates.

    Everything is learned from the photos of --fit alone, except in rows that say otherwise.
    Queries are never coded. Photos are encoded at the first run and read from --cache later.
    """
    encoder = Encoder.from_checkpoint(checkpoint, "cpu", runtime)
    alignment, alpha = load_checkpoint(checkpoint).model.alignment, encoder.config.alpha
    sets = {
        "photos": ask_photos(encoder, photos, cache, _say),
        "drawn": ask_drawn(encoder, drawn, cache, _say),
    }
    parts = [
        load_or_encode(
            cache / f"fit-{i}.npz", encoder, _choose(spec, num_fit), queries=False, say=_say
        )
        for i, spec in enumerate(fit)
    ]
    fitted = Features(*(np.concatenate(each) for each in zip(*parts, strict=True)))
    recalled = _recall_all(fitted, sets)
    measure = _Measure(sets, alignment, alpha, recalled)
    rows = []
    for name, form in FORMS.items():
        restore = form(fitted)
        rows.append(measure.row(name, dict.fromkeys(sets, restore)))
    for size in ON_GALLERY:
        own = {each: fit_codes(asked.gallery, size) for each, asked in sets.items()}
        rows.append(measure.row(f"pq{size}, fitted to the gallery", own))
    story = {
        "checkpoint": encoder.fingerprint,
        "runtime": encoder.runtime,
        "fitted to": len(fitted.mass),
        "rows": rows,
        "found by recall": {
            name: {
                each: round(float((found[each] & asked.relevant).any(1).mean()), 4)
                for each, asked in sets.items()
            }
            for name, found in recalled.items()
        },
    }
    if out:
        out.write_text(json.dumps(story, indent=1) + "\n")


class _Measure:
    """Rows of the table; differences are to the first one."""

    def __init__(
        self,
        sets: dict[str, Asked],
        alignment: TokenAlignment,
        alpha: float,
        recalled: dict[str, dict[str, Found]],
    ) -> None:
        self._sets, self._alignment, self._alpha = sets, alignment, alpha
        self._recalled = recalled
        self._first: dict[str, NDArray[np.float64]] = {}

    def row(self, name: str, restore: Mapping[str, Restore]) -> dict[str, Any]:
        """Bytes an image, and for each kind of query R@1 with its difference to the first row."""
        row: dict[str, Any] = {"name": name, "R@1": {}, "cosine": {}}
        for each, asked in self._sets.items():
            found = restore[each](asked.gallery)
            row["bytes"] = _count_bytes(found)
            row["cosine"][each] = _mean_cosine(found.photos.tokens, asked.gallery.tokens)
            exact, coded = (self._recalled[name][each] for name in ("flat", RECALL))
            scores = score(asked.queries, found.photos, exact | coded, self._alignment, self._alpha)
            hits = (
                found_at(np.where(among, scores, -np.inf), asked.relevant, 1).astype(float)
                for among in (exact, coded)
            )
            row["R@1"].update(self._compare(asked, *hits))
        _say(json.dumps(row))
        return row

    def _compare(
        self, asked: Asked, hits: NDArray[np.float64], through: NDArray[np.float64]
    ) -> dict[str, Any]:
        found = {}
        kinds, products = np.array(asked.kinds), np.array(asked.products)
        for kind in np.unique(kinds).tolist():
            chosen = kinds == kind
            one, groups = hits[chosen], products[chosen].tolist()
            first = self._first.setdefault(kind, one)
            found[kind] = {
                "R@1": _three(one.mean(), bootstrap_interval(one, groups)),
                "minus the first": _three(
                    (one - first).mean(), paired_interval(one, first, groups)
                ),
                f"through {RECALL}": round(float(through[chosen].mean()), 4),
                "queries": len(groups),
            }
        return found


def _count_bytes(found: Restored) -> dict[str, int]:
    sizes = {
        "tokens": found.token_bytes,
        "geometry and mass": geometry_bytes(found.photos),
        "global": found.global_bytes,
        "recall": RECALL_BYTES,
    }
    return {**sizes, "total": sum(sizes.values())}


@torch.inference_mode()
def score(
    queries: Features, items: Features, wanted: Found, alignment: TokenAlignment, alpha: float
) -> Scores:
    """Fused scores (Q, G) of queries at several scales with the items wanted of each; else -inf."""
    whole = queries.global_feature.mean(1) @ items.global_feature.T
    scores = np.full(wanted.shape, -np.inf, np.float32)
    for place, chosen in enumerate(wanted):
        asked = Embedded(*(part[place] for part in queries.embedded)).token_set
        levels = compare_bare(
            alignment, asked, items.take(np.flatnonzero(chosen)).embedded.token_set
        )
        token = (levels @ alignment.level_weight).mean(0).numpy()
        scores[place, chosen] = fuse(whole[place, chosen], token, alpha)
    return scores


def _recall_all(fitted: Features, sets: dict[str, Asked]) -> dict[str, dict[str, Found]]:
    """Which items are among the first hundred, by recall code and set of queries: (Q, G) each."""
    found: dict[str, dict[str, Found]] = {}
    for name, kind in RECALL_CODES.items():
        index = _faiss.index_factory(fitted.recall.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
        index.train(fitted.recall)
        found[name] = {}
        for each, asked in sets.items():
            index.reset()
            index.add(asked.gallery.recall)
            vectors = np.ascontiguousarray(asked.queries.recall.mean(1))
            _, places = index.search(vectors, CANDIDATES)
            chosen = np.zeros(asked.relevant.shape, np.bool_)
            np.put_along_axis(chosen, places, True, axis=1)
            found[name][each] = chosen
    return found


def _choose(spec: str, count: int) -> list[Photo]:
    found = list(load_dataset(spec).train)
    random.Random(0).shuffle(found)
    return found[:count]


def _mean_cosine(one: Scores, other: Scores) -> float:
    used = np.any(other != 0, axis=-1)
    return round(float((one * other).sum(-1)[used].mean()), 4)


def _three(value: float, interval: Any) -> list[float]:
    return [round(float(x), 4) for x in (value, *interval)]


def _say(text: str) -> None:
    typer.echo(text, err=True)
