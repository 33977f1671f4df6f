"""How well one gallery answers labelled queries, through the engine a shop would use."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from indexer.engine import SearchEngine, open_engine
from indexer.requests import SearchRequest
from indexer.tuning.sweep import Query, read_queries
from model.runtime.names import HELP

KS = (1, 5, 10)


def queries(
    index: Annotated[Path, typer.Option(help="An index folder.")],
    labelled: Annotated[
        Path, typer.Option("--queries", help="CSV with the columns image and product_id.")
    ],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    runtime: Annotated[str, typer.Option(help=HELP)] = "auto",
) -> None:
    """Search for every photo of a CSV and print how often its product is among the first.

    Hits are grouped by product, with the checkpoint's own alpha and 100 candidates.
    """
    asked = read_queries(labelled)
    engine = open_engine(index, device=device, runtime=runtime)
    ranks, spent = measure(engine, asked)
    table = Table("queries", *(f"R@{k}" for k in KS), "median ms a search")
    recalls = [sum(rank is not None and rank <= k for rank in ranks) for k in KS]
    shares = (f"{found / len(ranks):.3f} ({found})" for found in recalls)
    table.add_row(str(len(ranks)), *shares, f"{median(spent):.0f}")
    Console().print(table)


def measure(engine: SearchEngine, asked: Sequence[Query]) -> tuple[list[int | None], list[float]]:
    """The rank of each query's product among the first ten (None: not there), and the time."""
    ranks: list[int | None] = []
    spent: list[float] = []
    request = SearchRequest(k=max(KS), group_by="product")
    for photo, product in asked:
        result = engine.search(photo.read_bytes(), request)
        products = [hit.item.product_id for hit in result.hits]
        ranks.append(products.index(product) + 1 if product in products else None)
        spent.append(result.timings_ms["total"])
    return ranks, spent
