"""A demo gallery on disk: shop photos with a CSV, and people's photos that look for them.

OUT/gallery/p0007_shop.jpg, p0007_back.jpg, ...   OUT/gallery/gallery.csv
OUT/queries/p0007_person.jpg                      OUT/queries/queries.csv
OUT/manifest.json                                 the settings that drew all of it
"""

import csv
import errno
import io
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from stitch.design import ATTRIBUTES, Design
from stitch.errors import StitchError
from stitch.render import MAX_SIZE, MIN_SIZE, View, render
from stitch.sampling import Split, hard_family, sample_designs
from stitch.words import estimate_price

# Raise when a design's pixels change: a folder drawn by another version is then refused.
DRAWING_VERSION = 1
# Some details have only two or three values, so not every family can have four members.
FAMILY_SIZES = (4, 3, 2)
JPEG_QUALITY = 90
CHUNK = 8

_EXTRA_VIEWS = (View.SHOP, View.BACK, View.DETAIL, View.SHOP)


@dataclass(frozen=True, slots=True)
class GallerySettings:
    """What is drawn. Everything here, and nothing else, decides the files' bytes."""

    products: int = 200
    photos_per_product: int = 2
    queries: int = 50
    seed: int = 0
    size: int = 320
    hard_families: int = 10
    split: str = Split.TEST.value

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        for name, least in (("products", 1), ("photos_per_product", 1), ("queries", 0),
                            ("hard_families", 0)):  # fmt: skip
            if getattr(self, name) < least:
                raise StitchError(f"{name} is {getattr(self, name)}; expected {least} or more")
        if not MIN_SIZE <= self.size <= MAX_SIZE:
            raise StitchError(f"size is {self.size}; expected {MIN_SIZE} to {MAX_SIZE} pixels")
        if self.split not in tuple(Split):
            raise StitchError(f"split is {self.split!r}; expected one of: {', '.join(Split)}")
        if self.photos_per_product > len(_EXTRA_VIEWS):
            raise StitchError(
                f"photos_per_product is {self.photos_per_product}; "
                f"expected at most {len(_EXTRA_VIEWS)} (shop, back, detail, a second shop photo)"
            )


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture to be taken."""

    path: str
    product_id: str
    design: Design
    view: View
    seed: int
    size: int


def write_gallery(
    out: Path,
    settings: GallerySettings | None = None,
    *,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Draw a gallery and its queries below `out`; return the path of `gallery.csv`.

    Photos that are there already are kept when the settings are the same, so an interrupted or
    repeated call is harmless. `workers` is the number of processes (default: one a core; 1 draws
    in this process); `on_progress` is told (drawn, total). Raises StitchError when `out` cannot
    be written or holds files of other settings.
    """
    settings = settings or GallerySettings()
    shots = list(plan_shots(settings))
    with _spoken(out):
        _claim(out, settings)
        missing = [shot for shot in shots if not (out / shot.path).exists()]
        done = len(shots) - len(missing)
        for count in _take_all(out, missing, workers):
            done += count
            if on_progress:
                on_progress(done, len(shots))
        _write_tables(out, shots)
    return out / "gallery" / "gallery.csv"


def plan_designs(settings: GallerySettings) -> list[Design]:
    """The products: hard families first, then single designs; all different."""
    found: dict[str, Design] = {}
    for number in range(settings.hard_families):
        size = FAMILY_SIZES[number % len(FAMILY_SIZES)]
        family = hard_family(settings.seed * 7919 + number, size, settings.split)
        found.update((design.key, design) for design in family.designs)
    singles = sample_designs(settings.split, settings.products, settings.seed)
    found.update((design.key, design) for design in singles)
    return list(found.values())[: settings.products]


def plan_shots(settings: GallerySettings) -> Iterator[Shot]:
    """Every picture of the gallery, then every query."""
    designs = plan_designs(settings)
    width = max(4, len(str(len(designs))))
    for number, design in enumerate(designs, start=1):
        name = f"p{number:0{width}d}"
        for k, view in enumerate(_EXTRA_VIEWS[: settings.photos_per_product]):
            suffix = view.value if k < 3 else f"{view.value}{k}"
            yield Shot(f"gallery/{name}_{suffix}.jpg", name, design, view,
                       settings.seed * 31 + k, settings.size)  # fmt: skip
    for number in range(settings.queries):
        # Queries go through the products in order, so hard families are asked for first.
        place, lap = number % len(designs), number // len(designs)
        name = f"p{place + 1:0{width}d}"
        suffix = "person" if lap == 0 else f"person{lap + 1}"
        yield Shot(f"queries/{name}_{suffix}.jpg", name, designs[place], View.PERSON,
                   settings.seed * 31 + 1000 + lap, settings.size)  # fmt: skip


def _take_all(out: Path, shots: list[Shot], workers: int | None) -> Iterator[int]:
    """Draw in several processes; yield how many were done each time."""
    chunks = [shots[k : k + CHUNK] for k in range(0, len(shots), CHUNK)]
    workers = min(workers or _count_cores(), max(1, len(chunks)))
    if workers == 1:
        for chunk in chunks:
            yield _take(out, chunk)
        return
    # Spawned, not forked: the caller may hold threads (torch, a server).
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(_take, [out] * len(chunks), chunks)


def _count_cores() -> int:
    """The cores this process may use; containers often allow fewer than the machine has."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def _take(out: Path, shots: list[Shot]) -> int:
    for shot in shots:
        picture = render(shot.design, shot.view, shot.seed, shot.size)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=JPEG_QUALITY)
        write_atomically(out / shot.path, buffer.getvalue())
    return len(shots)


def write_atomically(path: Path, data: bytes) -> None:
    """Write beside the target, then rename: a reader sees the whole file or none."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _claim(out: Path, settings: GallerySettings) -> None:
    """Make the folders; refuse to mix two galleries in one folder."""
    for folder in ("gallery", "queries"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    record = {"drawn_by": "stitch", "drawing_version": DRAWING_VERSION, **asdict(settings)}
    manifest = out / "manifest.json"
    if manifest.exists() and _read_manifest(manifest) != record:
        raise StitchError(
            f"{out} holds a gallery drawn with other settings (see {manifest}); "
            "draw into another folder, or delete this one first"
        )
    write_atomically(manifest, (json.dumps(record, indent=2) + "\n").encode())


def _read_manifest(path: Path) -> object:
    try:
        return json.loads(path.read_text())
    except ValueError:
        return None


def _write_tables(out: Path, shots: Iterable[Shot]) -> None:
    shop = [_describe(shot) for shot in shots if shot.view is not View.PERSON]
    asked = [
        {"image": Path(shot.path).name, "product_id": shot.product_id}
        for shot in shots
        if shot.view is View.PERSON
    ]
    header = ["image", "product_id", "title", "view", "price", *ATTRIBUTES]
    write_atomically(out / "gallery" / "gallery.csv", _to_csv(header, shop))
    write_atomically(out / "queries" / "queries.csv", _to_csv(["image", "product_id"], asked))


def _describe(shot: Shot) -> dict[str, str]:
    design = shot.design
    return {
        "image": Path(shot.path).name,
        "product_id": shot.product_id,
        "title": design.title,
        "view": shot.view.value,
        "price": f"{estimate_price(design):.2f}",
        **design.attributes,
    }


def _to_csv(header: list[str], rows: list[dict[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


@contextmanager
def _spoken(out: Path) -> Iterator[None]:
    """Turn errors of the operating system about `out` into sentences."""
    try:
        yield
    except OSError as error:
        raise StitchError(explain(error, out)) from error
    except BrokenExecutor as error:
        raise StitchError(
            f"a process that drew for {out} was ended from outside, perhaps for memory; "
            "run again with fewer workers: what is drawn is kept"
        ) from error


def explain(error: OSError, out: Path) -> str:
    """What went wrong with a folder, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk that holds {out} is full; free some space or draw fewer or smaller photos"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{out} cannot be written ({error.strerror}); choose a folder you may write to"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{out} is not a folder; choose a folder that is empty or does not exist"
    return f"{out} cannot be written ({error.strerror or error}); choose another folder"
