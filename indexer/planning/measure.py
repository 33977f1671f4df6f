"""A few seconds of measuring: what one item and one query cost on this machine.

Searches go through the real engine, over a small gallery of random items; photos go through
the real pipeline. Only what grows with the gallery is measured apart: comparing vectors.

R recall width.
"""

import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from indexer.cells import count_cells, count_comparisons, count_probed
from indexer.engine import SearchEngine
from indexer.gallery import EmbeddedGallery
from indexer.manifest import Dims
from indexer.photos import Photo
from indexer.pipeline import Loader, encode_rows, measure_dims
from indexer.planning.drawn import RandomEncoder, count_bytes, write_gallery
from indexer.recall import RecallIndex
from indexer.requests import DEFAULT_CANDIDATES, SearchRequest
from indexer.store import make_schema
from indexer.token_codec import Int8Codec
from indexer.tokens import bytes_per_item
from model.encoder import Encoder
from model.runtime import openvino
from model.runtime.choice import draw_probes

SMALL = 2048
# More bytes than the caches of most processors hold.
_FLAT_BYTES = 120_000_000
_CELLS_ITEMS = 12_000
_SEARCHES = 5
_PHOTO = (750, 1101)
_PHOTOS = {"cpu": 24, "cuda": 384}


@dataclass(frozen=True)
class Measured:
    """What was measured, and of what machine. Seconds, bytes.

    photo_s: of a build, a photo: read, decoded, encoded, laid out, with all cores.
    runtime_s: of the network alone, a query photo, by runtime.
    stages_s: of a search in a small gallery; `fetch_from_disk_s` where tokens are not in memory.
    row_bytes: on disk, an item, without the recall index; write_s: committing it.
    fixed_bytes: on disk, the checkpoint's copy; start_s: loading the network.
    flat_s, cells_s: comparing one vector with a query, in an exact index and in cells.
    training_s: of one comparison of two vectors when an index with cells is built.
    process_bytes: the program with its network, before any gallery.
    device_bytes: the same on the GPU, 0 without one.
    """

    dims: Dims
    fingerprint: str
    device: str
    runtime: str
    cores: int
    memory_bytes: int
    free_disk_bytes: int
    token_bytes: int
    photo_s: float
    runtime_s: dict[str, float]
    stages_s: dict[str, float]
    fetch_from_disk_s: float
    row_bytes: float
    fixed_bytes: int
    start_s: float
    write_s: float
    flat_s: float
    cells_s: float
    training_s: float
    process_bytes: int
    device_bytes: int


def measure(
    checkpoint: Path, *, device: str = "auto", runtime: str = "auto", folder: Path | None = None
) -> Measured:
    """Measure a checkpoint on this machine; temporary files (40 MB) go below `folder`."""
    start = time.perf_counter()
    encoder = Encoder.from_checkpoint(checkpoint, device, runtime)
    loaded = time.perf_counter() - start
    dims = measure_dims(encoder)
    photo = Image.open(BytesIO(draw_photo())).convert("RGB")
    encoder.encode_queries([encoder.prepare_query(photo)])
    process = read_resident()
    with TemporaryDirectory(prefix="plan-", dir=folder) as name:
        work = Path(name)
        index = work / "index"
        written = write_gallery(index, SMALL, checkpoint, dims)
        stages = _measure_search(index, encoder)
        from_disk = _measure_search(index, encoder, token_budget_mb=0)["fetch"]
        dataset = next(index.glob("gallery*.lance"))
        return Measured(
            dims=dims,
            fingerprint=encoder.fingerprint,
            device=encoder.device,
            runtime=encoder.runtime,
            cores=os.cpu_count() or 1,
            memory_bytes=find_memory(),
            free_disk_bytes=shutil.disk_usage(work).free,
            token_bytes=bytes_per_item(dims),
            photo_s=_measure_pipeline(work, encoder, dims),
            runtime_s=_measure_runtimes(checkpoint, encoder),
            stages_s=stages,
            fetch_from_disk_s=from_disk,
            row_bytes=count_bytes(dataset) / SMALL,
            fixed_bytes=checkpoint.stat().st_size,
            start_s=loaded,
            write_s=written.commit_s / SMALL,
            flat_s=_measure_flat(dims.recall_width),
            **_measure_cells(dims),
            process_bytes=process,
            device_bytes=_count_device_bytes(encoder),
        )


def find_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or its container's."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    try:
        return min(whole, int(limit.read_text()))
    except (OSError, ValueError):  # no such file, or "max"
        return whole


def read_resident() -> int:
    """Bytes of this process in memory; the most it ever had where the system says no more."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else 1024 * most


def draw_photo(number: int = 0) -> bytes:
    """A grainy JPEG of 750 x 1101, a usual size of shop photos."""
    grain = np.random.default_rng(number)
    picture = Image.fromarray(draw_probes(384, 1)[0].numpy()).resize(_PHOTO)
    pixels = np.asarray(picture, np.float32) + grain.normal(0, 6, (*_PHOTO[::-1], 1))
    stream = BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def time_best(step: Callable[[], object], rounds: int = _SEARCHES) -> float:
    """Least seconds of some rounds, after one that is not counted."""
    step()
    return min(_clock(step) for _ in range(rounds))


def _measure_search(index: Path, encoder: Encoder, **options: int) -> dict[str, float]:
    """Median seconds of each stage."""
    photo = draw_photo()
    gallery = EmbeddedGallery.open(index, device=encoder.device, **options)
    engine = SearchEngine(gallery, encoder)
    try:
        found = [_search(engine, photo) for _ in range(_SEARCHES + 1)][1:]
    finally:
        engine.close()
    return {name: median(each[name] for each in found) / 1000 for name in found[0]}


def _search(engine: SearchEngine, photo: bytes) -> dict[str, float]:
    return dict(engine.search(photo, SearchRequest(candidates=DEFAULT_CANDIDATES)).timings_ms)


def _measure_pipeline(work: Path, encoder: Encoder, dims: Dims) -> float:
    """Seconds a photo of a build that is under way: the first batch only starts it."""
    count, batch = _PHOTOS[encoder.device.split(":")[0]], 8 if encoder.device == "cpu" else 64
    folder = work / "photos"
    folder.mkdir()
    for number in range(min(count, 16)):
        (folder / f"{number}.jpg").write_bytes(draw_photo(number))
    photos = [
        Photo(number, str(number), str(number), folder / f"{number % 16}.jpg")
        for number in range(count + batch)
    ]
    loaded = Loader(encoder, ahead=2 * batch).load_all((photo, None) for photo in photos)
    schema, ends = make_schema(dims, {}), list[float]()
    encode_rows(
        encoder,
        Int8Codec(),
        loaded,
        batch_size=batch,
        schema=schema,
        photo_root=folder,
        advance=lambda _: ends.append(time.perf_counter()),
    )
    return (ends[-1] - ends[0]) / count


def _measure_runtimes(checkpoint: Path, chosen: Encoder) -> dict[str, float]:
    """Seconds of the network for one query photo, by runtime; `compile` takes too long to make."""
    on_cpu = chosen.device == "cpu"
    names = ["eager", "half", *(["openvino"] if on_cpu and openvino.is_installed() else [])]
    photo = Image.open(BytesIO(draw_photo())).convert("RGB")
    found = {}
    for name in dict.fromkeys([*names, chosen.runtime]):
        same = name == chosen.runtime
        encoder = chosen if same else Encoder.from_checkpoint(checkpoint, chosen.device, name)
        query = [encoder.prepare_query(photo)]
        found[name] = time_best(lambda e=encoder, q=query: e.encode_queries(q), 2)  # type: ignore[misc]
    return found


def _measure_flat(width: int) -> float:
    count = max(1000, _FLAT_BYTES // (4 * width))
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((count, width), np.float32)
    rows = np.arange(count)
    index = RecallIndex.build(lambda: [(rows, vectors)], count, width, 0, exact_limit=count)
    queries = iter(vectors[: _SEARCHES + 1])
    return time_best(lambda: index.search(next(queries), DEFAULT_CANDIDATES)) / count


def _measure_cells(dims: Dims) -> dict[str, float]:
    """Seconds of comparing one vector in its cell, and of one comparison while building."""
    random = RandomEncoder(dims, _CELLS_ITEMS)
    vectors = np.concatenate(list(_draw_batches(random, _CELLS_ITEMS)))
    rows, width = np.arange(len(vectors)), dims.recall_width
    start = time.perf_counter()
    index = RecallIndex.build(lambda: [(rows, vectors)], len(vectors), width, 0, exact_limit=0)
    built = time.perf_counter() - start
    queries = iter(vectors[: _SEARCHES + 1])
    searched = time_best(lambda: index.search(next(queries), DEFAULT_CANDIDATES))
    cells = count_cells(len(vectors))
    probed = len(vectors) * count_probed(cells) / cells
    return {
        "cells_s": searched / (probed + cells),
        "training_s": built / count_comparisons(len(vectors)),
    }


def _draw_batches(random: RandomEncoder, count: int) -> Iterator[NDArray[np.float32]]:
    for start in range(0, count, SMALL):
        yield random.draw_recall(min(SMALL, count - start))


def _count_device_bytes(encoder: Encoder) -> int:
    if not encoder.device.startswith("cuda"):
        return 0
    return int(torch.cuda.max_memory_reserved(encoder.device))


def _clock(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start
