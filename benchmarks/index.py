"""How fast photos become a gallery, beside the bare forward pass and beside one process in a row.

Floor: the backbone alone, of the same runtime, on pixels that are there. Peer: the shape of
clip-retrieval's pipeline without its frameworks, written anew here: one process reads, decodes
whole, encodes a photo at a time and writes one table at the end; nothing overlaps.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table
from typer import Option

from benchmarks.encode import list_runtimes, make_jpegs, measure_indexing
from benchmarks.story import write_story
from benchmarks.training import describe_machine
from indexer.codec import pack_geometry, pack_tokens
from indexer.photos import Photo
from indexer.pipeline import Loaded, encode_rows, make_thumbnail, measure_dims
from indexer.store import Store, make_schema
from indexer.token_codec import Int8Codec
from model.encoder import Encoder
from model.images import decode_image, decode_reduced, read_image
from model.preprocessing import needed_side
from model.shipped import shipped_checkpoint

_ROUNDS = 5


def index(
    photos: Annotated[Path, Option(help="Folder of photos, such as out/demo/gallery.")],
    checkpoint: Annotated[Path | None, Option(help="The shipped one by default.")] = None,
    count: Annotated[int, Option(min=8, help="Photos to index; time grows with it.")] = 96,
    out: Annotated[Path | None, Option(help="Also write JSON to this file.")] = None,
) -> None:
    """Time indexing from end to end, its parts one by one, and a pipeline in one process.

    Example: `python -m benchmarks index --photos out/demo/gallery`. The photos are brought to
    JPEGs of 750 x 1101 first.
    """
    path = checkpoint or shipped_checkpoint()
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = make_jpegs(photos, folder / "photos", count)
        rows = measure_indexing(path, files, folder)
        for row in rows:
            encoder = Encoder.from_checkpoint(path, "cpu", row["runtime"])
            row["in a row, photos/s"] = run_in_a_row(encoder, files[: count // 2], folder)
        encoder = Encoder.from_checkpoint(path, "cpu", list_runtimes()[-1])
        parts = measure_parts(encoder, files[0], folder)
    _print(rows, parts)
    if out is not None:
        write_story(out, {"machine": describe_machine("cpu"), "index": rows, "parts": parts})


def run_in_a_row(encoder: Encoder, files: Sequence[Path], folder: Path) -> float:
    """Photos a second of one process that does one thing after the other."""
    start = time.perf_counter()
    found = []
    for file in files:
        picture = decode_image(file.read_bytes())
        encoded = encoder.encode([encoder.prepare(picture)])
        found.append((encoded.global_feature, encoded.tokens.astype(np.float16), encoded.recall))
    columns = (np.concatenate(part).reshape(len(files), -1) for part in zip(*found, strict=True))
    table = pa.table({str(k): list(column) for k, column in enumerate(columns)})
    with pa.ipc.new_file(str(folder / "in-a-row.arrow"), table.schema) as target:
        target.write_table(table)
    return len(files) / (time.perf_counter() - start)


def measure_parts(encoder: Encoder, file: Path, folder: Path) -> dict[str, float]:
    """Milliseconds of each part for one photo: wall time, one after the other."""
    data = file.read_bytes()
    side = needed_side(encoder.input_side)
    picture = decode_reduced(data, side).image
    prepared = encoder.prepare(read_image(file))
    encoded = encoder.encode([prepared])
    loaded = Loaded(Photo(0, "a", "a", file), None, "0" * 64, (750, 1101), b"", prepared)
    schema = make_schema(measure_dims(encoder), {})
    many = [loaded] * 64
    rows = encode_rows(
        _Given(encoded, 64),  # type: ignore[arg-type]
        Int8Codec(),
        many,
        batch_size=64,
        schema=schema,
        photo_root=folder,
        advance=lambda _: None,
    )
    store = Store.create(folder / "parts.lance", schema)
    parts: dict[str, tuple[Callable[[], object], int]] = {
        "decode, reduced": (lambda: decode_reduced(data, side), 1),
        "thumbnail": (lambda: make_thumbnail(picture), 1),
        "letterbox": (lambda: encoder.prepare(picture), 1),
        "encode": (lambda: encoder.encode([prepared]), 1),
        "tokens to bytes": (lambda: pack_tokens(encoded.tokens), 1),
        "geometry to bytes": (lambda: pack_geometry(encoded.geometry, encoded.mass), 1),
        "commit, of 64": (lambda: store.append(rows), 64),
    }
    return {name: 1000 * _best(step) / photos for name, (step, photos) in parts.items()}


class _Given:
    """Answers with one encoding, however many photos there are."""

    def __init__(self, encoded: Any, count: int) -> None:
        self._all = type(encoded)(*(np.repeat(part, count, axis=0) for part in encoded))

    def encode(self, prepared: Sequence[Any]) -> Any:
        return self._all


def _best(step: Callable[[], object]) -> float:
    spent = []
    for _ in range(_ROUNDS + 1):
        start = time.perf_counter()
        step()
        spent.append(time.perf_counter() - start)
    return min(spent[1:])


def _print(rows: Sequence[dict[str, Any]], parts: dict[str, float]) -> None:
    names = ("bare forward, photos/s", "index, photos/s", "ratio", "bound", "in a row, photos/s")
    table = Table("runtime", *names)
    for row in rows:
        table.add_row(row["runtime"], *(f"{row[name]:.2f}" for name in names))
    console = Console(width=120, highlight=False)
    console.print(table)
    for name, spent in parts.items():
        console.print(f"{name}: {spent:.2f} ms")
