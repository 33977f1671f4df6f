"""What a checkpoint finds among real photos: a search by the back view, and by a detail shot.

Q queries, G gallery items, L levels.
"""

import csv
import json
import random
from collections.abc import Mapping
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
from model.evaluation.embedding import Embedded, recall_vectors, use_global
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
ASIDE = ("product_id", "color", "view")
JOINT = (0.1, 0.3, 0.5, 0.7)


class Asked(NamedTuple):
    """One kind of query: what is right among the gallery (Q, G), and each query's product."""

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
    aside: Annotated[
        Path | None,
        typer.Option(
            help="CSV with product_id, color, view: measure also without these queries, such as "
            "those whose label and photo disagree."
        ),
    ] = None,
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
    queries, items = _encode(encoder, photos, rows)
    figures = measure(rows, queries, items, model)
    _print(figures)
    story: dict[str, Any] = {
        "checkpoint": encoder.fingerprint, "weights": encoder.weights, "figures": figures,
    }  # fmt: skip
    if aside:
        left, kept = leave_out(rows, _read_aside(aside))
        found = measure(left, queries.take(kept), items, model)
        story["without"] = {"file": aside.name, "figures": found}
        _print(found, f"Without the queries of {aside.name}")
    if out:
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


def measure(
    rows: list[dict[str, str]], queries: Embedded, items: Embedded, model: MGA
) -> dict[str, Any]:
    """R@k with intervals, by name of the scores and kind of query; and gains over global.

    `items` are the rows with view "main", `queries` the others, both in their order.
    """
    main, others = _split(rows)
    right = np.array([_sku(row) for row in main])
    figures: dict[str, Any] = {}
    for name in ("back", "alt"):
        places = np.array([i for i, row in enumerate(others) if row["view"] == name])
        asking = [others[place] for place in places]
        relevant = np.array([_sku(row) for row in asking])[:, None] == right[None]
        asked = Asked(relevant, [row["product_id"] for row in asking])
        some = queries.take(places)
        scores = {
            **score_all(_as_stored(some), _as_stored(items), model),
            "fused, fp32 tokens": score_all(some, items, model)["fused"],
            **score_recall(some, items, model),
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
    return {"queries": len(asked.products), "rows": rows, "gain R@1": [round(x, 4) for x in gain]}


def _print(figures: Mapping[str, Any], title: str | None = None) -> None:
    table = Table("scores", *(f"{name} R@{k}" for name in figures for k in KS), title=title)
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


def score_all(queries: Embedded, items: Embedded, model: MGA) -> dict[str, Scores]:
    """Score (Q, G) of every query with every gallery item: global, each level, all, fused."""
    alignment = model.alignment
    weight = alignment.level_weight.numpy()
    levels = _align_all(queries, items, alignment)  # (Q, G, L)
    scores = {"global": use_global(queries) @ items.global_feature.T}
    every = tuple(range(levels.shape[-1]))
    for chosen in [*((level,) for level in every), every]:
        name = "tokens, level " + " + ".join(str(level + 1) for level in chosen)
        picked = list(chosen)
        scores[name] = levels[..., picked] @ (weight[picked] / weight[picked].sum())
    scores["fused"] = fuse(scores["global"], scores[name], model.config.alpha)
    if alignment.has_stage_one():
        joint, refine = alignment.joint, alignment.refine
        alignment.joint, alignment.refine = torch.nn.ModuleList(), torch.nn.ModuleList()
        bare = _align_all(queries, items, alignment) @ weight[: len(every)]
        alignment.joint, alignment.refine = joint, refine
        scores["fused, without ATA's blocks"] = fuse(scores["global"], bare, model.config.alpha)
    return scores


def score_recall(queries: Embedded, items: Embedded, model: MGA) -> dict[str, Scores]:
    """Score (Q, G) by the vectors of stage one: granular, and joint with several weights."""
    vectors = recall_vectors(model)
    whole, granular = (
        vectors[name](queries) @ vectors[name](items).T for name in ("global", "granular")
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
def _align_all(queries: Embedded, items: Embedded, alignment: TokenAlignment) -> Scores:
    """Score every query with every gallery item, a level each: (Q, G, L)."""
    found = alignment.prepare(TokenSet(*(x[None] for x in items.token_set)))
    asked = queries.each_scale()
    rows = []
    for place in range(len(asked.mass)):
        one = alignment.prepare(asked.take(slice(place, place + 1)).token_set)
        rows.append(alignment.level_scores(one, found))
    return queries.average(torch.cat(rows).numpy())


def _encode(
    encoder: Encoder, folder: Path, rows: list[dict[str, str]]
) -> tuple[Embedded, Embedded]:
    """Queries at the checkpoint's scales, and gallery items."""
    main, others = ([folder / row["image"] for row in part] for part in _split(rows))
    queries, items = [], []
    for start in range(0, len(others), BATCH):
        photos = [encoder.prepare_query(read_image(x)) for x in others[start : start + BATCH]]
        queries += [_keep(each) for each in encoder.encode_queries(photos)]
    for start in range(0, len(main), BATCH):
        prepared = [encoder.prepare(read_image(x)) for x in main[start : start + BATCH]]
        items.append(_keep(encoder.encode(prepared)))
    return (
        Embedded(*(np.stack(part) for part in zip(*queries, strict=True))),
        Embedded(*(np.concatenate(part) for part in zip(*items, strict=True))),
    )


def _keep(encoded: Encoded) -> Embedded:
    return Embedded(encoded.global_feature, encoded.tokens, encoded.mass)


def _as_stored(embedded: Embedded) -> Embedded:
    return embedded._replace(tokens=unpack_tokens(*pack_tokens(embedded.tokens)))


def _split(rows: list[dict[str, str]]) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """The gallery, and all queries."""
    main = [row for row in rows if row["view"] == "main"]
    return main, [row for row in rows if row["view"] != "main"]


def leave_out(
    rows: list[dict[str, str]], aside: set[tuple[str, ...]]
) -> tuple[list[dict[str, str]], NDArray[np.int64]]:
    """Rows without the queries to set aside; and the places, among all queries, of those kept."""
    main, others = _split(rows)
    kept = [place for place, row in enumerate(others) if _name(row) not in aside]
    if len(others) - len(kept) != len(aside):
        raise ParameterError(
            f"{len(aside)} queries are to be set aside, {len(others) - len(kept)} of them are "
            "among the photos; expected all: is this list of these photos?"
        )
    return [*main, *(others[place] for place in kept)], np.array(kept, dtype=np.int64)


def _read_aside(path: Path) -> set[tuple[str, ...]]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not set(ASIDE) <= set(rows[0]):
        raise ParameterError(f"{path} has no rows with the columns {', '.join(ASIDE)}")
    return {_name(row) for row in rows}


def _name(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(row[column] for column in ASIDE)


def _sku(row: dict[str, str]) -> str:
    return f"{row['product_id']} {row['color']}"


def _read(folder: Path) -> list[dict[str, str]]:
    with (folder / "gallery.csv").open(newline="") as file:
        return list(csv.DictReader(file))
