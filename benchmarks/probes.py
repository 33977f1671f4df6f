"""What tokens find without any training: each level alone, all together, and as one vector.

Q queries, G gallery items, L levels.
"""

import csv
import random
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

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
from model.evaluation.embedding import Embedded, recall_vectors
from model.fit import create_checkpoint
from model.fusion import fuse
from model.images import read_image
from model.mga import MGA

Scores = NDArray[np.float32]
BATCH = 8
KS = (1, 10, 100)
# Weights of the global cosine in a joint recall vector.
JOINT = (0.1, 0.3, 0.5, 0.7)


def probes(
    photos: Annotated[
        Path, typer.Option(help="Folder with gallery.csv: image, product_id, color, view.")
    ],
    fit: Annotated[Path, typer.Option(help="Folder with gallery.csv: photos to fit centres on.")],
    init: Annotated[str, typer.Option(help="Backbone weights: a safetensors file, or imagenet.")],
    preset: Annotated[str, typer.Option()] = "mga-r50",
    num_fit: Annotated[int, typer.Option(help="Photos to fit on.")] = 250,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Fit centres on one set of photos, search in another, print R@k of product and colour.

    Gallery: view "main". Queries: views "back" and "alt". Tokens are int8, as stored.
    Ties count as misses.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "probe.safetensors"
        chosen = _read(fit)
        random.Random(seed).shuffle(chosen)
        files = [fit / row["image"] for row in chosen[:num_fit]]
        create_checkpoint(path, preset=preset, init=init, photos=files, seed=seed)
        model = load_checkpoint(path).model
        encoder = Encoder.from_checkpoint(path)
    rows = [row for row in _read(photos) if row["view"] in ("main", "back", "alt")]
    encoded = _encode(encoder, [photos / row["image"] for row in rows])
    _report(rows, encoded, model)


def _report(rows: list[dict[str, str]], encoded: Encoded, model: MGA) -> None:
    sku = np.array([f"{row['product_id']} {row['color']}" for row in rows])
    view = np.array([row["view"] for row in rows])
    main = np.flatnonzero(view == "main")
    asked = {name: np.flatnonzero(view == name) for name in ("back", "alt")}
    table = Table("scores", *(f"{name} -> main R@{k}" for name in asked for k in KS))
    found = {
        name: {
            **score_all(encoded, places, main, model.alignment, model.config.alpha),
            **score_recall(encoded, places, main, model),
        }
        for name, places in asked.items()
    }
    relevant = {name: sku[places][:, None] == sku[main][None] for name, places in asked.items()}
    for scores in found["back"]:
        shares = [recall_at(found[name][scores], relevant[name], k) for name in asked for k in KS]
        table.add_row(scores, *(f"{share:.3f}" for share in shares))
    Console().print(table)


def score_all(
    encoded: Encoded,
    queries: NDArray[np.int64],
    gallery: NDArray[np.int64],
    alignment: TokenAlignment,
    alpha: float,
) -> dict[str, Scores]:
    """Score (Q, G) of every query with every gallery item: global, each level, all, fused."""
    weight = alignment.level_weight.numpy()
    levels = _align_all(encoded, queries, gallery, alignment)  # (Q, G, L)
    scores = {"global": encoded.global_feature[queries] @ encoded.global_feature[gallery].T}
    every = tuple(range(levels.shape[-1]))
    for chosen in [*((level,) for level in every), every[:2], every]:
        name = "tokens, level " + " + ".join(str(level + 1) for level in chosen)
        picked = list(chosen)
        scores[name] = levels[..., picked] @ (weight[picked] / weight[picked].sum())
    scores[f"fused, alpha {alpha}"] = fuse(scores["global"], scores[name], alpha)
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


def recall_at(scores: Scores, relevant: NDArray[np.bool_], k: int) -> float:
    """Share of queries whose best relevant item is among the first k; ties are lost.

    >>> scores = np.array([[0.9, 0.1], [0.5, 0.5]], dtype=np.float32)
    >>> relevant = np.array([[True, False], [True, False]])
    >>> recall_at(scores, relevant, 1), recall_at(scores, relevant, 2)
    (0.5, 1.0)
    """
    best = np.where(relevant, scores, -np.inf).max(1, keepdims=True)
    before = ((scores >= best) & ~relevant).sum(1)
    return float((before < k).mean())


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
    encoded = Encoded(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    return encoded._replace(tokens=unpack_tokens(*pack_tokens(encoded.tokens)))


def _read(folder: Path) -> list[dict[str, str]]:
    with (folder / "gallery.csv").open(newline="") as file:
        return list(csv.DictReader(file))
