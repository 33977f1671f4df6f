"""What tokens find without any training: R@1 of each level alone and of all together.

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
from model.fit import create_checkpoint
from model.fusion import fuse
from model.images import read_image

Scores = NDArray[np.float32]
BATCH = 8


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
    """Fit centres on one set of photos, search in another, print R@1 of product and colour.

    Gallery: view "main". Queries: views "back" and "alt". Tokens are int8, as stored.
    Ties count as misses.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "probe.safetensors"
        chosen = _read(fit)
        random.Random(seed).shuffle(chosen)
        files = [fit / row["image"] for row in chosen[:num_fit]]
        create_checkpoint(path, preset=preset, init=init, photos=files, seed=seed)
        alignment = load_checkpoint(path).model.alignment
        encoder = Encoder.from_checkpoint(path)
    rows = [row for row in _read(photos) if row["view"] in ("main", "back", "alt")]
    encoded = _encode(encoder, [photos / row["image"] for row in rows])
    _report(rows, encoded, alignment, encoder.config.alpha)


def _report(
    rows: list[dict[str, str]], encoded: Encoded, alignment: TokenAlignment, alpha: float
) -> None:
    sku = np.array([f"{row['product_id']} {row['color']}" for row in rows])
    view = np.array([row["view"] for row in rows])
    main = np.flatnonzero(view == "main")
    table = Table("scores", "back -> main R@1", "alt -> main R@1")
    found = {
        name: score_all(encoded, np.flatnonzero(view == name), main, alignment, alpha)
        for name in ("back", "alt")
    }
    relevant = {n: sku[np.flatnonzero(view == n)][:, None] == sku[main][None] for n in found}
    for name in found["back"]:
        table.add_row(name, *(f"{recall_at_1(found[n][name], relevant[n]):.3f}" for n in found))
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


def recall_at_1(scores: Scores, relevant: NDArray[np.bool_]) -> float:
    """Share of queries whose best relevant item beats every other strictly.

    >>> scores = np.array([[0.9, 0.1], [0.5, 0.5]], dtype=np.float32)
    >>> recall_at_1(scores, np.array([[True, False], [True, False]]))
    0.5
    """
    best = np.where(relevant, scores, -np.inf).max(1)
    rival = np.where(relevant, -np.inf, scores).max(1)
    return float((best > rival).mean())


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
