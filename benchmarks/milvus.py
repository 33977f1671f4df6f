"""What a Milvus server adds to a search, against the bare call of its client in the same run.

Queries are items of the gallery, so that no encoding blurs the figures. Three things are timed
in turn, query by query: the whole search over the folder, the whole search over the server, and
`MilvusClient.search` alone with the same vector, limit and fields.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer

from indexer.cli.render import print_facts, print_json
from indexer.engine import SearchEngine, open_engine
from indexer.milvus.client import CALL_TIMEOUT_S, SERVE
from indexer.milvus.fields import VECTOR
from indexer.milvus.gallery import MilvusGallery
from indexer.requests import SearchRequest


def milvus(
    index: Annotated[Path, typer.Option(help="The gallery in a folder.")],
    address: Annotated[str, typer.Option(help="The same on a server: milvus://HOST/COLLECTION.")],
    rounds: Annotated[int, typer.Option(help="Searches of each kind.")] = 50,
    device: Annotated[str, typer.Option(help="Where candidates are aligned.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Compare the p50 of a search over a Milvus server with that over a folder."""
    embedded = open_engine(index, device=device)
    served = open_engine(Path(address), device=device)
    found = measure(embedded, served, rounds)
    print_json(found) if as_json else print_facts(found)


def measure(embedded: SearchEngine, served: SearchEngine, rounds: int) -> dict[str, Any]:
    """Milliseconds of each, and by how much a search over the server exceeds the bare call."""
    local: Any = embedded._gallery
    remote: Any = served._gallery
    rows = local.rows()[:: max(1, len(local) // rounds)][:rounds]
    queries = [local.read_encoded(int(row)) for row in rows]
    request = SearchRequest()
    times: dict[str, list[float]] = {"embedded": [], "milvus": [], "bare": [], "inside": []}
    for number, query in enumerate([queries[0], *queries]):
        spent = [_time(lambda q=query: embedded.search_encoded([q], request))]  # type: ignore[misc]
        with _time_server(remote) as inside:
            spent.append(_time(lambda q=query: served.search_encoded([q], request)))  # type: ignore[misc]
        spent.append(_time(lambda q=query: _search_bare(remote, q.recall, request.block)))  # type: ignore[misc]
        if number:  # the first pays for what is lazy
            for name, value in zip(times, [*spent, sum(inside)], strict=True):
                times[name].append(1000 * value)
    p50 = {f"{name}_ms": round(median(values), 2) for name, values in times.items()}
    added = p50["milvus_ms"] - p50["embedded_ms"]
    return {
        "items": len(local),
        "queries": len(queries),
        "candidates": request.block,
        "vector_index": remote.state.index_kind,
        "server": ".".join(map(str, remote.server.version)),
        **p50,
        "added_ms": round(added, 2),
        "added_beyond_bare_ms": round(added - p50["bare_ms"], 2),
    }


def _search_bare(gallery: MilvusGallery, recall: Any, count: int) -> None:
    """The same call over the same connection, without anything around it."""
    gallery.server.client.search(
        gallery.collection,
        data=list(recall.mean(0)[None].astype(np.float32)),
        anns_field=VECTOR,
        limit=count,
        output_fields=["item_id", *gallery._item_fields, "details"],
        search_params=gallery.state.index.search_params(count),
        consistency_level=SERVE,
        timeout=CALL_TIMEOUT_S,
    )


@contextmanager
def _time_server(gallery: MilvusGallery) -> Iterator[list[float]]:
    """Collect the seconds that a search spends in calls of the client."""
    server, spent = gallery.server, list[float]()
    call = server._call

    def timed(doing: str, ask: Callable[[Any], Any]) -> Any:
        start = time.perf_counter()
        try:
            return call(doing, ask)
        finally:
            spent.append(time.perf_counter() - start)

    server._call = timed  # type: ignore[method-assign]
    try:
        yield spent
    finally:
        server._call = call  # type: ignore[method-assign]


def _time(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
