"""What lies in an index folder before a build is published, and what is cleared after.

`building.json` names the build that may be resumed; it is written after the list
of photos and the checkpoint are complete. Everything of a generation above the
published one is unfinished and may be deleted.
"""

from dataclasses import dataclass
from pathlib import Path

from indexer.checkpoint import FIT_SAMPLE, EncoderPlan
from indexer.codebook_file import write_codebooks
from indexer.codebook_learning import FIT_PHOTOS, learn_codebooks
from indexer.files import (
    IndexFiles,
    discard_generation,
    hash_file,
    list_foreign,
    list_generations,
    storage_errors,
    without_readers,
)
from indexer.listing import read_sample, write_listing
from indexer.manifest import (
    FORMAT_VERSION,
    FORMAT_WITHOUT_CODES,
    Building,
    Manifest,
    get_time,
    get_tool_version,
)
from indexer.photos import PhotoSource, describe_source
from indexer.pipeline import measure_dims
from indexer.progress import Progress
from indexer.recall import EXACT_LIMIT
from indexer.store import Store
from indexer.token_codec import parse_tokens, with_codes
from model.errors import GalleryExistsError, GalleryMismatchError, ParameterError, SelvedgeError

CHUNK_SIZE = 256
MAX_CHUNKS = 1000


@dataclass(frozen=True)
class BuildOptions:
    """What may be chosen about a build; none of it changes the results but the columns.

    `max_failures`: None lets any number of unreadable photos pass. `workers`:
    threads that decode. `batch_size`: photos in one forward pass. `attributes`: a file of the
    checkpoint's attributes; the program's own are taken where they fit. `tokens`: int8, or pqS
    for product codes of S bytes a token; None is int8, or what an existing index has.
    """

    image_column: str | None = None
    product_column: str | None = None
    id_column: str | None = None
    overwrite: bool = False
    max_failures: int | None = None
    workers: int | None = None
    batch_size: int | None = None
    chunk_size: int | None = None
    exact_limit: int = EXACT_LIMIT
    attributes: Path | None = None
    tokens: str | None = None

    def __post_init__(self) -> None:
        parse_tokens(self.tokens or "int8")
        for name in ("workers", "batch_size", "chunk_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ParameterError(f"{name} is {value}; expected 1 or more")


def clear_leftovers(root: Path) -> None:
    """Remove what a finished build no longer needs; harmless to repeat after a kill."""
    try:
        building = Building.load(root)
    except SelvedgeError:
        return
    current = _find_current_generation(root)
    if building is None or building.manifest.generation != current:
        return
    files = building.manifest.files(root)
    with storage_errors(root, "tidying"):
        if files.building_failures.exists():
            files.building_failures.replace(files.failures)
        files.photos.unlink(missing_ok=True)
        files.building.unlink()
    clear_old_generations(root, current)


def clear_old_generations(root: Path, current: int) -> None:
    """Delete galleries that were replaced, unless somebody still reads them."""
    for generation in list_generations(root):
        files = IndexFiles(root, generation)
        if generation < current:
            with without_readers(files.dataset) as alone:
                if alone:
                    discard_generation(files)


def begin(
    root: Path,
    photos: PhotoSource,
    listed: tuple[int, str],
    plan: EncoderPlan,
    options: BuildOptions,
    progress: Progress,
) -> Building:
    """Write the list and the checkpoint, then `building.json`: from here on a build resumes."""
    num_photos, digest = listed
    generation = max(list_generations(root), default=0) + 1
    files = IndexFiles(root, generation)
    files.building_failures.unlink(missing_ok=True)
    write_listing(photos, files.photos, digest)
    sample = read_sample(files.photos, num_photos, FIT_SAMPLE)
    plan.write(files.checkpoint, sample, progress)
    encoder = plan.load(files.checkpoint)
    dims = with_codes(measure_dims(encoder), options.tokens)
    batch_size = options.batch_size or (64 if encoder.device.startswith("cuda") else 8)
    if dims.token_bytes is not None:
        sample = read_sample(files.photos, num_photos, FIT_PHOTOS)
        books = learn_codebooks(
            sample, encoder, dims, progress, batch_size=batch_size, workers=options.workers
        )
        write_codebooks(files.codebooks, books, encoder.fingerprint)
    manifest = Manifest(
        format_version=FORMAT_WITHOUT_CODES if dims.token_bytes is None else FORMAT_VERSION,
        generation=generation,
        base_version=_find_base_version(root),
        fingerprint=encoder.fingerprint,
        weights=encoder.weights,
        trained_for_retrieval=encoder.trained_for_retrieval,
        checkpoint_sha256=hash_file(files.checkpoint) if files.checkpoint.exists() else None,
        recipe=plan.describe(),
        dims=dims,
        recall=encoder.recall_vector,
        source=describe_source(photos, num_photos, digest),
        chunk_size=options.chunk_size or _choose_chunk_size(num_photos),
        batch_size=batch_size,
        created=get_time(),
        tool_version=get_tool_version(),
    )
    building = Building(manifest=manifest)
    building.save(root)
    return building


def find_finished(root: Path, overwrite: bool) -> Manifest | None:
    """Read the finished index that this run has to agree with, if any."""
    if overwrite or not (root / "manifest.json").exists():
        return None
    return Manifest.load(root)


def find_unfinished(
    root: Path, plan: EncoderPlan, num_photos: int, digest: str, options: BuildOptions
) -> Building | None:
    """Read the build that this run goes on with; with `overwrite`, another one is thrown away."""
    try:
        building = Building.load(root)
        if building is not None:
            require_same(root, building.manifest, plan, num_photos, digest, options.tokens)
            return building
    except SelvedgeError:
        if not options.overwrite:
            raise
    _discard_unpublished(root)
    return None


def _discard_unpublished(root: Path) -> None:
    """Delete what a build left that never came to publication."""
    with storage_errors(root, "clearing old files"):
        for path in (IndexFiles(root).building, IndexFiles(root).photos):
            path.unlink(missing_ok=True)
    current = _find_current_generation(root)
    for generation in list_generations(root):
        if generation > current:
            discard_generation(IndexFiles(root, generation))


def _find_current_generation(root: Path) -> int:
    try:
        return Manifest.load(root).generation
    except SelvedgeError:
        return 0


def _find_base_version(root: Path) -> int:
    """Find the version that the replaced gallery had reached."""
    try:
        manifest = Manifest.load(root)
        return manifest.base_version + Store.open(manifest.files(root).dataset).version
    except SelvedgeError:
        return 0


def require_same(
    root: Path,
    manifest: Manifest,
    plan: EncoderPlan,
    num_photos: int,
    digest: str,
    tokens: str | None,
) -> None:
    """Refuse to mix photos, weights or forms of tokens; an identical request passes."""
    if tokens not in (None, manifest.dims.tokens):
        raise GalleryMismatchError(
            f"{root} stores tokens as {manifest.dims.tokens}, and now {tokens} is asked for; leave "
            "--tokens out to keep them, or build it again with --overwrite"
        )
    if not plan.matches(manifest):
        made = ", ".join(f"{name} {value}" for name, value in manifest.recipe.items())
        raise GalleryMismatchError(
            f"{root} was built with other weights ({made}); leave the checkpoint options out to "
            "keep them, or build it again with --overwrite"
        )
    if digest != manifest.source.digest:
        raise GalleryExistsError(
            f"{root} was built from {manifest.source.num_photos:,} photos of "
            f"{manifest.source.path}, and now {num_photos:,} photos or other columns are given; "
            f"use `python -m indexer add PHOTOS --index {root}` to bring in new photos, or build "
            "it again with --overwrite"
        )


def refuse_foreign(root: Path) -> None:
    if foreign := list_foreign(root):
        raise GalleryExistsError(
            f"{root} holds files that are no index ({', '.join(foreign[:3])}); choose an empty or "
            "a new folder for --index"
        )


def _choose_chunk_size(num_photos: int) -> int:
    """Commit every 256 photos, less often when that would make thousands of commits."""
    return CHUNK_SIZE * max(1, -(-num_photos // (CHUNK_SIZE * MAX_CHUNKS)))
