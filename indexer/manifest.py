"""The facts of an index that never change while it lives: `manifest.json`.

What changes (the items) lives in the Lance dataset alone. The manifest is written
when a build is complete, so a folder without one is not an index yet; until then
the same facts, and how far the build has come, are in `building.json`.
"""

import json
import math
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from indexer.files import IndexFiles, storage_errors, write_text_atomic
from indexer.milvus.address import refuse_address
from model.errors import GalleryMismatchError, GalleryNotFoundError, StorageError

# 2: a recall vector of its own beside the global feature. 3: product codes of tokens.
FORMAT_VERSION = 3
FORMAT_WITHOUT_CODES = 2

Kind = Literal["string", "int", "float", "bool", "date", "timestamp"]
Stored = TypeVar("Stored", bound=BaseModel)


class Dims(BaseModel):
    """Sizes of what is stored for an item."""

    model_config = ConfigDict(frozen=True)

    levels: int = Field(ge=1)
    num_tokens: int = Field(ge=1)
    token_dim: int = Field(ge=1)
    global_dim: int = Field(ge=1)
    # None where stage one compares the global feature itself: it is not stored twice.
    recall_dim: int | None = Field(default=None, ge=1)
    # Product codes (`indexer.token_codec`): bytes a token, None where tokens are int8.
    token_bytes: int | None = Field(default=None, ge=1)

    @property
    def recall_column(self) -> str:
        """Which column stage one compares."""
        return "global" if self.recall_dim is None else "recall"

    @property
    def recall_width(self) -> int:
        """How many numbers stage one compares."""
        return self.recall_dim or self.global_dim

    @property
    def global_bytes(self) -> int:
        """Bytes of a global feature's product code: one for at least 1/64 of it."""
        return math.gcd(self.global_dim, 64)

    @property
    def tokens(self) -> str:
        """How tokens are stored, as `--tokens` names it."""
        return "int8" if self.token_bytes is None else f"pq{self.token_bytes}"

    def __str__(self) -> str:
        return (
            f"{self.levels} levels of {self.num_tokens} tokens of {self.token_dim}, "
            f"global {self.global_dim}, recall {self.recall_width}"
        )


class Source(BaseModel):
    """Which photos were built, and how their columns were read."""

    model_config = ConfigDict(frozen=True)

    path: str
    # `uri` of an item is relative to this folder, or absolute when it lies outside.
    photo_root: str
    num_photos: int
    digest: str
    image_column: str | None = None
    product_column: str | None = None
    id_column: str | None = None
    metadata: dict[str, Kind] = {}


class Manifest(BaseModel):
    """Everything about a gallery that is not an item."""

    model_config = ConfigDict(frozen=True)

    format_version: int = FORMAT_VERSION
    generation: int = 1
    # Versions of this gallery count on from here, so that they grow across a rebuild.
    base_version: int = 0
    fingerprint: str
    weights: str
    trained_for_retrieval: bool
    checkpoint_sha256: str | None
    recipe: dict[str, Any]
    dims: Dims
    # The vector of stage one: global, granular or joint. Format 1 knew only the first.
    recall: str = "global"
    source: Source
    chunk_size: int
    batch_size: int
    created: datetime
    tool_version: str

    def files(self, root: Path) -> IndexFiles:
        """Say where the files of this generation lie."""
        return IndexFiles(root, self.generation)

    def save(self, root: Path) -> None:
        """Publish: from here on the folder is this gallery."""
        write_text_atomic(self.files(root).manifest, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, root: Path) -> Self:
        """Read the manifest of an index folder.

        Raises:
            GalleryNotFoundError: no such folder, not an index, or an unfinished build.
            GalleryMismatchError: written by a newer version of this program.
            StorageError: the file is damaged.
        """
        require_folder(root)
        path = root / "manifest.json"
        if not path.exists():
            raise GalleryNotFoundError(_explain_missing(root))
        return _read(cls, path)


class Building(BaseModel):
    """An unfinished build: `rows` while items are added, then `finishing`."""

    model_config = ConfigDict(frozen=True)

    manifest: Manifest
    stage: Literal["rows", "finishing"] = "rows"

    def save(self, root: Path) -> None:
        """Write how far the build is."""
        write_text_atomic(root / "building.json", self.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, root: Path) -> Self | None:
        """Read the unfinished build of a folder, if there is one."""
        path = root / "building.json"
        return _read(cls, path) if path.exists() else None


def get_tool_version() -> str:
    """Name the version of this program, `0` when it runs from a bare checkout."""
    try:
        return version("selvedge")
    except PackageNotFoundError:
        return "0"


def get_time() -> datetime:
    """Now, in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def require_folder(root: Path) -> None:
    """Refuse what is not a folder."""
    if root.is_dir():
        return
    refuse_address(root)
    if root.exists():
        raise GalleryNotFoundError(f"{root} is a file; expected the folder of an index")
    raise GalleryNotFoundError(
        f"there is no index at {root}; make one with `python -m indexer build PHOTOS "
        f"--index {root}`"
    )


def _explain_missing(root: Path) -> str:
    if (root / "building.json").exists():
        return (
            f"the build of {root} is not finished; run the same `python -m indexer build` "
            "again to complete it"
        )
    return (
        f"{root} is not an index: it has no manifest.json; make one with "
        "`python -m indexer build PHOTOS --index DIR`"
    )


def _read(kind: type[Stored], path: Path) -> Stored:
    with storage_errors(path, "reading"):
        text = path.read_bytes()
    try:
        facts = json.loads(text)
        _require_known_format(facts.get("manifest", facts), path)
        return kind.model_validate(facts)
    except (ValueError, AttributeError, TypeError, ValidationError) as error:
        raise StorageError(
            f"{path} is damaged ({str(error).splitlines()[0]}); restore it, or build the "
            "index again with --overwrite"
        ) from error


def _require_known_format(facts: dict[str, Any], path: Path) -> None:
    found = int(facts["format_version"]) if "format_version" in facts else 0
    if found > FORMAT_VERSION:
        raise GalleryMismatchError(
            f"{path} has format {found}, and this program reads up to {FORMAT_VERSION}; "
            "use the newer program that wrote it, or build the index again with --overwrite"
        )
