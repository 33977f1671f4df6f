"""A small gallery of drawn photos, encoded by their colours."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from indexer.build import BuildOptions, build_gallery
from indexer.engine import SearchEngine
from indexer.gallery import EmbeddedGallery
from tests.indexer.aligner import Aligner
from tests.indexer.fakes import FakeEncoder, draw_photos


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twenty photos in two folders, part0 and part1."""
    return draw_photos(tmp_path / "photos", 20)


@pytest.fixture
def index(tmp_path: Path, photos: Path, encoder: FakeEncoder) -> Path:
    """An index of `photos`, committed in chunks of 8 and encoded in batches of 4."""
    build_gallery(photos, tmp_path / "index", encoder, options=small())
    return tmp_path / "index"


def small(**changes: object) -> BuildOptions:
    """Options that make even a small build go through several chunks and batches."""
    return BuildOptions(**{"chunk_size": 8, "batch_size": 4, **changes})  # type: ignore[arg-type]


def read_content(index: Path) -> list[dict[str, object]]:
    """Every row of an index with its row id, in order."""
    with EmbeddedGallery.open(index) as gallery:
        store = gallery._store
        return [row for batch in store.scan(store.schema.names) for row in batch.to_pylist()]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB, which only root can make."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)]
    mount = shutil.which("mount")
    if os.geteuid() or not mount or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def remount(disk: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(disk)], check=True)


@pytest.fixture(autouse=True)
def shipped(tmp_path_factory, monkeypatch):
    """A stand-in for the checkpoint that comes with the program: these tests encode with fakes."""
    path = tmp_path_factory.mktemp("shipped") / "shipped.safetensors"
    path.write_bytes(b"shipped")
    monkeypatch.setattr("model.shipped.SHIPPED", path)
    return path


@pytest.fixture
def engine(index: Path) -> Any:
    engine = SearchEngine(EmbeddedGallery.open(index), Aligner())  # type: ignore[arg-type]
    yield engine
    engine.close()


@pytest.fixture
def photo(photos: Path) -> bytes:
    return (photos / "part1/0007.jpg").read_bytes()
