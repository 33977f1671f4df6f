"""The photos of one build, written down when it starts: `photos.arrow`.

A build that resumes reads the same list again, whatever has happened to the
folder since, so that its batches are the same photos.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from indexer.files import storage_errors, write_atomic
from indexer.manifest import Kind
from indexer.photos import Photo, PhotoSource, SourceDigest
from indexer.pipeline import split
from indexer.table import ARROW_TYPES
from model.errors import SourceError

_PHOTOS_A_BATCH = 1024


def count_photos(source: PhotoSource) -> tuple[int, str]:
    """Walk a source once: how many photos, and the digest of their list."""
    digest, count = SourceDigest(source), 0
    for photo in source:
        digest.update(photo)
        count += 1
    if not count:
        raise SourceError(
            f"{source.path} has no photos; expected images such as .jpg, .png or .webp in it or "
            "in its folders, or a CSV with a row for each"
        )
    return count, digest.hexdigest()


def write_listing(source: PhotoSource, path: Path, expected_digest: str) -> None:
    """Write the photos of a source down; SourceError when they changed since they were counted."""
    schema = _make_schema(source.metadata)
    digest = SourceDigest(source)

    def write(temporary: Path) -> None:
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for photos in split(source, _PHOTOS_A_BATCH):
                for photo in photos:
                    digest.update(photo)
                writer.write_batch(_to_batch(photos, schema))

    write_atomic(path, write)
    if digest.hexdigest() != expected_digest:
        path.unlink()
        raise SourceError(f"{source.path} changed while it was listed; run the command again")


def read_listing(path: Path, start: int = 0) -> Iterator[Photo]:
    """Read the list from photo number `start` on, a batch at a time."""
    with storage_errors(path, "reading"), pa.memory_map(str(path)) as stream:
        reader = pa.ipc.open_file(stream)
        for i in range(start // _PHOTOS_A_BATCH, reader.num_record_batches):
            for photo in _to_photos(reader.get_batch(i), i * _PHOTOS_A_BATCH):
                if photo.number >= start:
                    yield photo


def read_sample(path: Path, num_photos: int, size: int) -> list[Path]:
    """Pick at most `size` photos, evenly spread over the list: the same ones every time."""
    size = min(size, num_photos)

    def is_chosen(number: int) -> bool:
        return number * size % num_photos < size

    chosen = (photo for photo in read_listing(path) if is_chosen(photo.number))
    return [photo.path for photo in chosen if photo.problem is None]


def _make_schema(metadata: dict[str, Kind]) -> pa.Schema:
    fields = {"item_id": pa.string(), "product_id": pa.string(), "path": pa.binary()}
    kinds = {f"metadata {name}": ARROW_TYPES[kind] for name, kind in metadata.items()}
    return pa.schema({**fields, "problem": pa.string(), **kinds})


def _to_batch(photos: list[Photo], schema: pa.Schema) -> pa.RecordBatch:
    records = [
        {
            "item_id": photo.item_id,
            "product_id": photo.product_id,
            # Bytes: a file's name need not be valid text.
            "path": os.fsencode(photo.path),
            "problem": photo.problem,
            **{f"metadata {name}": value for name, value in photo.metadata.items()},
        }
        for photo in photos
    ]
    return pa.RecordBatch.from_pylist(records, schema)


def _to_photos(batch: pa.RecordBatch, first: int) -> Iterator[Photo]:
    for number, record in enumerate(batch.to_pylist(), start=first):
        yield Photo(
            number,
            record.pop("item_id"),
            record.pop("product_id"),
            Path(os.fsdecode(record.pop("path"))),
            record.pop("problem"),
            {name.removeprefix("metadata "): value for name, value in record.items()},
        )
