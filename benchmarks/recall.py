"""Stage one alone: how recall vectors are kept, what that costs, and what it finds.

n items, R width of the recall vector. Vectors are drawn: clusters of ten around directions that
are clustered themselves, so that the hundred nearest are a matter of degree, as with photos.
"""

import importlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import faiss
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

Floats = NDArray[np.float32]
Search = Callable[[Floats], Any]
COUNT = 100
QUERIES = 64
_faiss: Any = faiss


class Row(NamedTuple):
    """One way: bytes an item, seconds to build, milliseconds a query, share of the true hundred."""

    name: str
    bytes_an_item: float
    build_s: float
    query_ms: float
    recall: float


class Way(NamedTuple):
    """How an index is made: FAISS's name of it; `refine` keeps a second code to order more by."""

    name: str
    factory: str
    refine: str = ""


WAYS = (
    Way("float32, flat", "Flat"),
    Way("float16, flat", "SQfp16"),
    Way("SQ8, flat", "SQ8"),
    Way("PCA 320, PQ80", "PCAR320,PQ80np"),
    Way("PCA 320, PQ160 fast scan", "PCAR320,PQ160x4fs"),
    Way("the same, SQ8 refines 10 times as many", "PCAR320,PQ160x4fs", "SQ8"),
    Way("the same, float16 refines 10 times as many", "PCAR320,PQ160x4fs", "SQfp16"),
    Way("IVF of float32, an eighth of the cells", "IVF{cells},Flat"),
    Way("HNSW 32, SQ8", "HNSW32,SQ8"),
)  # fmt: skip


def recall(
    items: Annotated[int, typer.Option(help="Vectors in the gallery.")] = 12_612,
    width: Annotated[int, typer.Option(help="R; the shipped checkpoint's is 1,280.")] = 1280,
    rounds: Annotated[int, typer.Option(help="Passes over the queries; the fastest counts.")] = 3,
    graph: Annotated[bool, typer.Option(help="HNSW, too, which takes long to build.")] = True,
    seed: Annotated[int, typer.Option()] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON, too.")] = None,
) -> None:
    """Compare ways to keep recall vectors: recall of the exact hundred, time a query, bytes.

    One thread, one query at a time. The floor is reading all float32 vectors once.
    """
    _faiss.omp_set_num_threads(1)
    vectors, queries = draw(items, width, seed)
    exact = _faiss.knn(queries, vectors, COUNT, metric=faiss.METRIC_INNER_PRODUCT)[1]
    rows = [
        _measure(way, vectors, queries, exact, rounds)
        for way in WAYS
        if graph or not way.factory.startswith("HNSW")
    ]
    if peer := _measure_usearch(vectors, queries, exact, rounds):
        rows.append(peer)
    floor = _read_once(vectors, rounds)
    _print(rows, items, floor)
    if out:
        story = {
            "items": items, "width": width, "seed": seed, "faiss": faiss.__version__,
            "floor_ms": floor, "rows": [row._asdict() for row in rows],
        }  # fmt: skip
        out.write_text(json.dumps(story, indent=1) + "\n")


def draw(items: int, width: int, seed: int) -> tuple[Floats, Floats]:
    """Unit vectors (n, R), and queries (Q, R) near some of them; equal seeds draw equal ones."""
    rng = np.random.default_rng(seed)
    # Few directions vary much, as in the recall vectors of photos.
    spread = (np.arange(1, width + 1) ** -0.5).astype(np.float32)
    kinds = rng.standard_normal((max(items // 500, 1), width), np.float32) * spread
    products = max(items // 10, 1)
    centres = kinds[rng.integers(len(kinds), size=products)]
    centres += 0.7 * rng.standard_normal((products, width), np.float32) * spread
    vectors = centres[rng.integers(products, size=items)]
    for start in range(0, items, 10_000):
        part = vectors[start : start + 10_000]
        part += 0.5 * rng.standard_normal(part.shape, np.float32) * spread
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    near = vectors[rng.integers(items, size=QUERIES)]
    noise = rng.standard_normal(near.shape, np.float32) * spread
    queries = near + 0.5 * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    return vectors, queries / np.linalg.norm(queries, axis=1, keepdims=True)


def _measure(
    way: Way, vectors: Floats, queries: Floats, exact: NDArray[np.int64], rounds: int
) -> Row:
    start = time.perf_counter()
    index, params = _build(way, vectors)
    build_s = time.perf_counter() - start
    found, query_ms = _time(
        lambda query: index.search(query, COUNT, params=params)[1], queries, rounds
    )
    size = len(_faiss.serialize_index(index)) / len(vectors)
    return Row(way.name, size, build_s, query_ms, find_share(found, exact))


def _build(way: Way, vectors: Floats) -> tuple[Any, Any]:
    """The index, trained and filled, and what its searches are told."""
    width, cells = vectors.shape[1], int(4 * len(vectors) ** 0.5)
    kind = way.factory.format(cells=min(cells, len(vectors) // 48))
    index = _faiss.index_factory(width, kind, faiss.METRIC_INNER_PRODUCT)
    if way.refine:
        finer = _faiss.index_factory(width, way.refine, faiss.METRIC_INNER_PRODUCT)
        index = _faiss.IndexRefine(index, finer)
    index.train(vectors[:: max(1, len(vectors) // 10_000)])
    index.add(vectors)
    if way.refine:
        return index, _faiss.IndexRefineSearchParameters(k_factor=10)
    if kind.startswith("IVF"):
        return index, _faiss.SearchParametersIVF(nprobe=max(8, index.nlist // 8))
    return index, _faiss.SearchParametersHNSW(efSearch=256) if kind.startswith("HNSW") else None


def _measure_usearch(
    vectors: Floats, queries: Floats, exact: NDArray[np.int64], rounds: int
) -> Row | None:
    """The same by usearch, where it is installed: its own defaults, int8, twice the candidates."""
    try:
        index_type = importlib.import_module("usearch.index").Index
    except ImportError:
        typer.echo("usearch is not installed: no row of it (pip install usearch)", err=True)
        return None
    start = time.perf_counter()
    index = index_type(ndim=vectors.shape[1], metric="ip", dtype="i8", expansion_search=256)
    index.add(np.arange(len(vectors)), vectors, threads=1)
    build_s = time.perf_counter() - start
    found, query_ms = _time(lambda query: index.search(query[0], COUNT).keys[None], queries, rounds)
    size = index.serialized_length / len(vectors)
    return Row("usearch, int8", size, build_s, query_ms, find_share(found, exact))


def _time(search: Search, queries: Floats, rounds: int) -> tuple[NDArray[np.int64], float]:
    """What is found (Q, 100), and the milliseconds of a query in the fastest round."""
    took = []
    for _ in range(rounds):
        start = time.perf_counter()
        found = [search(queries[i : i + 1]) for i in range(len(queries))]
        took.append(time.perf_counter() - start)
    return np.concatenate(found).astype(np.int64), 1000 * min(took) / len(queries)


def find_share(found: NDArray[np.int64], exact: NDArray[np.int64]) -> float:
    """Share of the exact (Q, K) that is among those found.

    >>> find_share(np.array([[3, 1]]), np.array([[1, 2]]))
    0.5
    """
    both = [len(np.intersect1d(*pair)) for pair in zip(found, exact, strict=True)]
    return float(np.mean(both) / exact.shape[1])


def _read_once(vectors: Floats, rounds: int) -> float:
    """Milliseconds to read all vectors once: what a flat search cannot beat."""
    took = []
    for _ in range(rounds):
        start = time.perf_counter()
        vectors.max()
        took.append(time.perf_counter() - start)
    return 1000 * min(took)


def _print(rows: list[Row], items: int, floor: float) -> None:
    first = rows[0]
    table = Table(
        "recall vectors", "bytes", "build s", "ms a query", "times flat", f"recall@{COUNT}",
        title=f"{items:,} items; reading all of them once takes {floor:.2f} ms",
    )  # fmt: skip
    for row in rows:
        table.add_row(
            row.name, f"{row.bytes_an_item:,.0f}", f"{row.build_s:.1f}", f"{row.query_ms:.3f}",
            f"{first.query_ms / row.query_ms:.1f}", f"{row.recall:.4f}",
        )  # fmt: skip
    Console(width=140).print(table)
