"""What a checkpoint finds among real photos: a search by the back view, and by a detail shot.

Q queries, G gallery items, L levels.
"""

import csv
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from indexer.codec import pack_tokens, unpack_tokens
from model.alignment import TokenAlignment, TokenSet
from model.checkpoint import load_checkpoint
from model.encoder import Encoded, Encoder
from model.errors import ParameterError
from model.evaluation.embedding import Embedded, recall_vectors
from model.evaluation.metrics import bootstrap_interval, paired_interval
from model.fit import create_checkpoint
from model.fusion import fuse
from model.images import read_image
from model.mga import MGA
from model.runtime.names import HELP

Scores = NDArray[np.float32]
Found = NDArray[np.bool_]
BATCH = 8
KS = (1, 10, 100)
# Weights of the global cosine in a joint recall vector.
JOINT = (0.1, 0.3, 0.5, 0.7)


class Asked(NamedTuple):
    """One kind of query: which photos ask, and what is right among the gallery: (Q, G)."""

    places: NDArray[np.int64]
    relevant: Found
    products: list[str]


def probes(
    photos: Annotated[
        Path, typer.Option(help="Folder with gallery.csv: image, product_id, color, view.")
    ],
    checkpoint: Annotated[
        Path | None, typer.Option(help="What to measure; or give --fit and --init.")
    ] = None,
    fit: Annotated[
        Path | None, typer.Option(help="Folder with gallery.csv: photos to fit centres on.")
    ] = None,
    init: Annotated[
        str | None, typer.Option(help="Backbone weights: a safetensors file, or imagenet.")
    ] = None,
    preset: Annotated[str, typer.Option()] = "mga-r50",
    runtime: Annotated[str, typer.Option(help=HELP)] = "eager",
    num_fit: Annotated[int, typer.Option(help="Photos to fit on.")] = 250,
    seed: Annotated[int, typer.Option()] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON, too.")] = None,
) -> None:
    """Search product photos, print R@k of product and colour with 95 % intervals.

    Gallery: view "main". Queries: views "back" and "alt". Tokens are int8, as stored,
    unless a row says otherwise. Ties count as misses; whole products are resampled. With
    --fit, nothing is trained: centres and projections are fitted to unlabelled photos.
    """
    with TemporaryDirectory() as folder:
        path = checkpoint or _make(
            Path(folder) / "probe.safetensors", preset, fit, init, num_fit, seed
        )
        model = load_checkpoint(path).model
        encoder = Encoder.from_checkpoint(path, runtime=runtime)
    rows = [row for row in _read(photos) if row["view"] in ("main", "back", "alt")]
    encoded = _encode(encoder, [photos / row["image"] for row in rows])
    figures = measure(rows, encoded, model)
    _print(figures)
    if out:
        story = {"checkpoint": encoder.fingerprint, "weights": encoder.weights, "figures": figures}
        out.write_text(json.dumps(story, indent=2) + "\n")


def _make(
    path: Path, preset: str, fit: Path | None, init: str | None, num_fit: int, seed: int
) -> Path:
    if fit is None or init is None:
        raise ParameterError("nothing to measure; give --checkpoint, or both --fit and --init")
    chosen = _read(fit)
    random.Random(seed).shuffle(chosen)
    files = [fit / row["image"] for row in chosen[:num_fit]]
    create_checkpoint(path, preset=preset, init=init, photos=files, seed=seed)
    return path


def measure(rows: list[dict[str, str]], encoded: Encoded, model: MGA) -> dict[str, Any]:
    """R@k with intervals, by name of the scores and kind of query; and gains over global."""
    sku = np.array([f"{row['product_id']} {row['color']}" for row in rows])
    view = np.array([row["view"] for row in rows])
    main = np.flatnonzero(view == "main")
    figures: dict[str, Any] = {}
    for name in ("back", "alt"):
        places = np.flatnonzero(view == name)
        products = [rows[place]["product_id"] for place in places]
        asked = Asked(places, sku[places][:, None] == sku[main][None], products)
        scores = {
            **score_all(_as_stored(encoded), places, main, model),
            "fused, fp32 tokens": score_all(encoded, places, main, model)["fused"],
            **score_recall(encoded, places, main, model),
        }
        figures[name] = _summarise(scores, asked)
    return figures


def _summarise(scores: Mapping[str, Scores], asked: Asked) -> dict[str, Any]:
    found = {
        name: {k: found_at(each, asked.relevant, k).astype(float) for k in KS}
        for name, each in scores.items()
    }
    rows = {
        name: {
            f"R@{k}": [
                round(float(hits.mean()), 4),
                *(round(end, 4) for end in bootstrap_interval(hits, asked.products)),
            ]
            for k, hits in by_k.items()
        }
        for name, by_k in found.items()
    }
    fused, whole = found["fused"][1], found["global"][1]
    gain = [float((fused - whole).mean()), *paired_interval(fused, whole, asked.products)]
    return {"queries": len(asked.places), "rows": rows, "gain R@1": [round(x, 4) for x in gain]}


def _print(figures: Mapping[str, Any]) -> None:
    table = Table("scores", *(f"{name} R@{k}" for name in figures for k in KS))
    for row in figures["back"]["rows"]:
        cells = (figures[name]["rows"][row][f"R@{k}"] for name in figures for k in KS)
        table.add_row(row, *(f"{value:.3f} [{low:.2f}, {high:.2f}]" for value, low, high in cells))
    console = Console(width=150)
    console.print(table)
    for name, each in figures.items():
        value, low, high = each["gain R@1"]
        console.print(
            f"{name}: fused finds {value:+.3f} [{low:+.3f}, {high:+.3f}] more than global, R@1 "
            f"({each['queries']} queries)",
            highlight=False,
        )


def score_all(
    encoded: Encoded, queries: NDArray[np.int64], gallery: NDArray[np.int64], model: MGA
) -> dict[str, Scores]:
    """Score (Q, G) of every query with every gallery item: global, each level, all, fused."""
    alignment = model.alignment
    weight = alignment.level_weight.numpy()
    levels = _align_all(encoded, queries, gallery, alignment)  # (Q, G, L)
    scores = {"global": encoded.global_feature[queries] @ encoded.global_feature[gallery].T}
    every = tuple(range(levels.shape[-1]))
    for chosen in [*((level,) for level in every), every]:
        name = "tokens, level " + " + ".join(str(level + 1) for level in chosen)
        picked = list(chosen)
        scores[name] = levels[..., picked] @ (weight[picked] / weight[picked].sum())
    scores["fused"] = fuse(scores["global"], scores[name], model.config.alpha)
    if alignment.has_stage_one():
        joint, refine = alignment.joint, alignment.refine
        alignment.joint, alignment.refine = torch.nn.ModuleList(), torch.nn.ModuleList()
        bare = _align_all(encoded, queries, gallery, alignment) @ weight[: len(every)]
        alignment.joint, alignment.refine = joint, refine
        scores["fused, without ATA's blocks"] = fuse(scores["global"], bare, model.config.alpha)
    return scores


def score_recall(
    encoded: Encoded, queries: NDArray[np.int64], gallery: NDArray[np.int64], model: MGA
) -> dict[str, Scores]:
    """Score (Q, G) by the vectors of stage one: granular, and joint with several weights."""
    embedded = Embedded(encoded.global_feature, encoded.tokens, encoded.mass)
    asked, kept = embedded.take(queries), embedded.take(gallery)
    vectors = recall_vectors(model)
    whole, granular = (
        vectors[name](asked) @ vectors[name](kept).T for name in ("global", "granular")
    )
    joint = {f"recall, joint, {w} global": w * whole + (1 - w) * granular for w in JOINT}
    return {"recall, granular": granular, **joint}


def found_at(scores: Scores, relevant: Found, k: int) -> Found:
    """Whether each query's best relevant item is among the first k; ties are lost.

    >>> scores = np.array([[0.9, 0.1], [0.5, 0.5]], dtype=np.float32)
    >>> relevant = np.array([[True, False], [True, False]])
    >>> found_at(scores, relevant, 1).tolist(), found_at(scores, relevant, 2).tolist()
    ([True, False], [True, True])
    """
    best = np.where(relevant, scores, -np.inf).max(1, keepdims=True)
    before = ((scores >= best) & ~relevant).sum(1)
    found: Found = before < k
    return found


@torch.inference_mode()
def _align_all(
    encoded: Encoded,
    queries: NDArray[np.int64],
    gallery: NDArray[np.int64],
    alignment: TokenAlignment,
) -> Scores:
    """Score every query with every gallery item, a level each: (Q, G, L)."""
    tokens, mass = encoded.token_set
    items = alignment.prepare(TokenSet(tokens[gallery][None], mass[gallery][None]))
    rows = []
    for query in queries:
        one = alignment.prepare(TokenSet(tokens[[query]], mass[[query]]))
        rows.append(alignment.level_scores(one, items))
    return torch.cat(rows).numpy()


def _encode(encoder: Encoder, files: Sequence[Path]) -> Encoded:
    parts = []
    for start in range(0, len(files), BATCH):
        prepared = [encoder.prepare(read_image(file)) for file in files[start : start + BATCH]]
        parts.append(encoder.encode(prepared))
    return Encoded(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _as_stored(encoded: Encoded) -> Encoded:
    return encoded._replace(tokens=unpack_tokens(*pack_tokens(encoded.tokens)))


def _read(folder: Path) -> list[dict[str, str]]:
    with (folder / "gallery.csv").open(newline="") as file:
        return list(csv.DictReader(file))
