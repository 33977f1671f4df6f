"""How fast photos become embeddings: every runtime beside eager float32, and indexing beside both.

The baseline is eager float32, one photo at a time; the floor of indexing is the bare forward
pass of the same runtime, on pixels that are there already. Runtimes take turns, so that other
work on the machine hits all of them; the best round counts.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import torch
from PIL import Image, ImageOps
from rich.console import Console
from rich.table import Table
from typer import Option

from benchmarks.training import describe_machine
from indexer.build import BuildOptions, build_gallery
from indexer.photos import SUFFIXES
from indexer.pipeline import make_thumbnail
from model.encoder import Encoded, Encoder
from model.errors import SourceError
from model.images import decode_image, decode_reduced, read_image
from model.preprocessing import Prepared, needed_side
from model.runtime import openvino
from model.runtime.choice import collect_facts
from model.runtime.names import RuntimeName
from model.shipped import shipped_checkpoint

SIZE = (750, 1101)
BATCHES = (1, 8)
GOALS = {"encode": 3.5, "index": 0.95, "cosine": 0.999}


def encode(
    photos: Annotated[Path, Option(help="Folder of photos, such as out/demo/gallery.")],
    checkpoint: Annotated[Path | None, Option(help="The shipped one by default.")] = None,
    count: Annotated[int, Option(min=8, help="Photos to index; time grows with it.")] = 96,
    rounds: Annotated[int, Option(min=1, help="Rounds; the best one counts.")] = 5,
    out: Annotated[Path | None, Option(help="Also write JSON to this file.")] = None,
) -> None:
    """Time every runtime on the CPU, decoding, and indexing from end to end.

    Example: `python -m benchmarks encode --photos out/demo/gallery`. The photos are brought to
    JPEGs of 750 x 1101 first.
    """
    path = checkpoint or shipped_checkpoint()
    with TemporaryDirectory() as folder:
        files = make_jpegs(photos, Path(folder) / "photos", count)
        found = {
            "machine": describe_machine("cpu"),
            "versions": collect_facts("", torch.device("cpu")),
            "rows": measure_runtimes(path, files, rounds),
            "decode": measure_decoding(path, files, rounds),
            "index": measure_indexing(path, files, Path(folder)),
            "goals": GOALS,
        }
    _print(found)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(found, indent=2) + "\n")


def make_jpegs(source: Path, target: Path, count: int) -> list[Path]:
    """Write `count` JPEGs of 750 x 1101 from the photos of a folder, again and again if few."""
    known = sorted(file for file in source.glob("*") if file.suffix.lower() in SUFFIXES)
    if not known:
        raise SourceError(f"{source} holds no photos; draw some with `python -m stitch draw DIR`")
    target.mkdir(parents=True)
    for number in range(count):
        photo = read_image(known[number % len(known)])
        # Grain, so that no two files are alike and the decoder has the work real photos give it.
        grain = np.random.default_rng(number).normal(0, 6, (*SIZE[::-1], 1))
        pixels = np.asarray(ImageOps.pad(photo, SIZE, color="white"), np.float32) + grain
        picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        picture.save(target / f"{number:04}.jpg", quality=90)
    return sorted(target.iterdir())


def measure_runtimes(path: Path, files: Sequence[Path], rounds: int) -> list[dict[str, Any]]:
    """Photos a second of each runtime, alone and with head, and its cosine with eager."""
    rows: list[dict[str, Any]] = []
    for threads in (1, 2):
        with _threads(threads):
            encoders = {
                name: Encoder.from_checkpoint(path, "cpu", name) for name in list_runtimes()
            }
            prepared = [encoders["eager"].prepare(read_image(file)) for file in files[:8]]
            reference = encoders["eager"].encode(prepared)
            for batch in BATCHES:
                times = _take_turns(encoders, prepared[:batch], rounds)
                for name, encoder in encoders.items():
                    bare, whole = (batch / seconds for seconds in times[name])
                    rows.append(
                        {
                            "runtime": name, "threads": threads, "batch": batch,
                            "bare forward, photos/s": bare, "encode, photos/s": whole,
                            "times eager, batch 1": bare * times_of_one(rows, threads, times),
                            "cosine": compare(encoder.encode(prepared), reference),
                        }
                    )  # fmt: skip
    return rows


def times_of_one(
    rows: Sequence[dict[str, Any]], threads: int, times: dict[RuntimeName, tuple[float, float]]
) -> float:
    """Seconds of eager for one photo with so many threads: measured before, or just now."""
    for row in rows:
        if (row["runtime"], row["threads"], row["batch"]) == ("eager", threads, 1):
            return 1 / float(row["bare forward, photos/s"])
    return times["eager"][0]


def list_runtimes() -> list[RuntimeName]:
    """The runtimes that this machine has, but `compile`."""
    return ["eager", "half", *(["openvino"] if openvino.is_installed() else [])]  # type: ignore[list-item]


def compare(found: Encoded, reference: Encoded) -> dict[str, float]:
    """Least cosine over photos: of global features, recall vectors and joined tokens."""
    pairs = {"global": "global_feature", "recall": "recall", "tokens": "tokens"}
    sides = {name: (getattr(found, key), getattr(reference, key)) for name, key in pairs.items()}
    flat = {name: [torch.from_numpy(x).flatten(1) for x in side] for name, side in sides.items()}
    return {name: float(torch.cosine_similarity(x, y).min()) for name, (x, y) in flat.items()}


def measure_decoding(path: Path, files: Sequence[Path], rounds: int) -> dict[str, float]:
    """Milliseconds of one thread from a file's bytes to the network's input, whole and reduced."""
    encoder, data = Encoder.from_checkpoint(path, "cpu"), [file.read_bytes() for file in files[:8]]
    side = needed_side(encoder.input_side)
    whole = [encoder.prepare(decode_image(each)) for each in data]
    reduced = [encoder.prepare(decode_reduced(each, side).image) for each in data]
    small = decode_reduced(data[0], side).image
    steps: dict[str, Callable[[], object]] = {
        "whole: decode and letterbox": lambda: encoder.prepare(decode_image(data[0])),
        "reduced: decode and letterbox": lambda: encoder.prepare(
            decode_reduced(data[0], side).image
        ),
        "thumbnail": lambda: make_thumbnail(small),
    }
    found = {
        name: 1000 * min(_clock(step) for _ in range(4 * rounds)) for name, step in steps.items()
    }
    cosines = compare(encoder.encode(reduced), encoder.encode(whole))
    return {**found, **{f"cosine of {name}": cosine for name, cosine in cosines.items()}}


def measure_indexing(path: Path, files: Sequence[Path], folder: Path) -> list[dict[str, Any]]:
    """Photos a second from files to a finished index, and what share of the bare forward it is.

    bound: the share that is left when every core works without a pause, because decoding, head
    and storing cost the same cores' time that the forward pass does.
    """
    rows = []
    for name in list_runtimes():
        encoder = Encoder.from_checkpoint(path, "cpu", name)
        prepared = [encoder.prepare(read_image(file)) for file in files[:8]]
        bare, busy = _run_bare(encoder, prepared)
        before, start = time.process_time(), time.perf_counter()
        build_gallery(files[0].parent, folder / name, encoder, options=BuildOptions())
        wall, used = time.perf_counter() - start, time.process_time() - before
        rate = len(files) / wall
        rows.append(
            {
                "runtime": name, "threads": torch.get_num_threads(), "photos": len(files),
                "bare forward, photos/s": bare, "index, photos/s": rate, "ratio": rate / bare,
                "CPU ms a photo": 1000 * used / len(files), "of them forward": 1000 * busy,
                "bound": busy * len(files) / used,
            }
        )  # fmt: skip
    return rows


def _run_bare(encoder: Encoder, prepared: Sequence[Prepared]) -> tuple[float, float]:
    """Photos a second of the backbone alone in batches of 8, and its CPU seconds a photo."""
    with torch.inference_mode():
        pixels = _normalise(encoder, prepared)
        encoder.trunk(pixels)
        rates, busy = [], math.inf
        for _ in range(4):
            before = time.process_time()
            seconds = _clock(lambda: encoder.trunk(pixels))
            rates.append(len(pixels) / seconds)
            busy = min(busy, (time.process_time() - before) / len(pixels))
    return max(rates), busy


def _take_turns(
    encoders: dict[RuntimeName, Encoder], prepared: Sequence[Prepared], rounds: int
) -> dict[RuntimeName, tuple[float, float]]:
    """Least seconds of a bare forward pass and of a whole encode, by runtime."""
    best = dict.fromkeys(encoders, (math.inf, math.inf))
    for _ in range(rounds + 1):
        for name, encoder in encoders.items():
            with torch.inference_mode():
                pixels = _normalise(encoder, prepared)
                bare = _clock(partial(encoder.trunk, pixels))
            whole = _clock(partial(encoder.encode, prepared))
            best[name] = (min(best[name][0], bare), min(best[name][1], whole))
    return best


def _normalise(encoder: Encoder, prepared: Sequence[Prepared]) -> torch.Tensor:
    return encoder.normalise(torch.from_numpy(np.stack([photo.pixels for photo in prepared])))


def _clock(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _print(found: dict[str, Any]) -> None:
    console = Console(width=120)
    table = Table(
        "runtime", "threads", "batch", "bare, photos/s", "encode, photos/s", "x eager", "cosine"
    )
    for row in found["rows"]:
        name, threads, batch, bare, whole, times, cosine = row.values()
        least = min(cosine.values())
        table.add_row(
            name,
            str(threads),
            str(batch),
            f"{bare:.1f}",
            f"{whole:.1f}",
            f"{times:.2f}",
            f"{least:.5f}",
        )
    console.print(table)
    for name, value in found["decode"].items():
        console.print(f"{name}: {value:.5g}", highlight=False)
    table = Table(
        "indexing", "bare, photos/s", "index, photos/s", "ratio", "bound", "CPU ms a photo"
    )
    for row in found["index"]:
        cells = ("bare forward, photos/s", "index, photos/s", "ratio", "bound", "CPU ms a photo")
        table.add_row(row["runtime"], *(f"{row[cell]:.2f}" for cell in cells))
    console.print(table)
