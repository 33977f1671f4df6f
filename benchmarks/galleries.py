"""One gallery of some size, drawn or real, looked at by a process of its own.

A fresh process for each gallery: what it opens, keeps and answers is then its own. Queries are
random encodings (no photo is decoded or encoded, which costs the same in any gallery).
"""

import json
import multiprocessing
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import quantiles
from typing import Any

from benchmarks.story import write_story
from indexer.checkpoint import GivenEncoder
from indexer.engine import SearchEngine
from indexer.live import LiveGallery
from indexer.live_types import LiveOptions
from indexer.manifest import Manifest
from indexer.pipeline import measure_dims
from indexer.planning.drawn import RandomEncoder, count_bytes, write_gallery
from indexer.planning.measure import read_resident
from indexer.planning.sizes import parse_items
from indexer.requests import SearchRequest
from model.encoder import Encoder

STAGES = ("recall", "fetch", "align", "total")


def draw_gallery(folder: Path, count: int, checkpoint: Path) -> dict[str, Any]:
    """Draw a gallery unless it is there already; how long each step took, and its bytes."""
    root, told = folder / f"{count}", folder / f"{count}.json"
    if told.exists():
        return dict(json.loads(told.read_text()))
    dims = measure_dims(Encoder.from_checkpoint(checkpoint, "cpu"))
    written = write_gallery(root, count, checkpoint, dims)
    sizes = {
        "dataset_bytes": count_bytes(next(root.glob("gallery*.lance"))),
        "recall_bytes": sum(path.stat().st_size for path in root.glob("recall*")),
    }
    found = {"items": count, **written._asdict(), "build_s": written.seconds, **sizes}
    write_story(told, found)
    return found


def probe(index: Path, budget_mb: int, searches: int) -> dict[str, Any]:
    """Open a gallery in a new process and search it: seconds, bytes, milliseconds a stage."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_probe, (index, budget_mb, searches))


def read_sizes(texts: Sequence[str]) -> list[int]:
    """Sizes as people write them, ascending, each once."""
    return sorted({parse_items(text) for text in texts})


def summarise(times: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile.

    >>> summarise([1.0, 2.0, 3.0])
    {'p50': 2.0, 'p95': 2.9}
    """
    cuts = quantiles(times, n=20, method="inclusive")
    return {"p50": round(cuts[9], 3), "p95": round(cuts[18], 3)}


def _probe(index: Path, budget_mb: int, searches: int) -> dict[str, Any]:
    checkpoint = Manifest.load(index).files(index).checkpoint
    encoder = Encoder.from_checkpoint(checkpoint, "cpu")
    before, start = read_resident(), time.perf_counter()
    # First by row and then from memory, whatever the size.
    options = LiveOptions(token_budget_mb=budget_mb, tokens_at_once_mb=0, background=False)
    with LiveGallery(index, GivenEncoder(encoder), options) as live:
        opened = time.perf_counter() - start
        first = _search(live, encoder, 1)[0]
        at_once = _search(live, encoder, searches)
        loading = time.perf_counter()
        live.load_tokens()
        loaded = time.perf_counter() - loading
        later = _search(live, encoder, searches)
        held = live.stats().bytes_resident
        return {
            "items": len(live.current()),
            "open_s": opened,
            "first_ms": first["total"],
            "by_row": _by_stage(at_once),
            "load_tokens_s": loaded if live.current().has_resident_tokens else None,
            "after_loading": _by_stage(later),
            "process_bytes": before,
            "resident_bytes": read_resident(),
            "held_bytes": held,
        }


def _search(live: LiveGallery, encoder: Encoder, searches: int) -> list[dict[str, float]]:
    manifest = live.current().manifest
    random = RandomEncoder(manifest.dims, len(live.current()), seed=1)
    with closing(SearchEngine(live.current(), encoder)) as engine:
        found = []
        for _ in range(searches):
            query = random.encode(encoder.config.query_scales)
            found.append(dict(engine.search_encoded([query], SearchRequest()).timings_ms))
        return found


def _by_stage(found: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    return {stage: summarise([each[stage] for each in found]) for stage in STAGES}
