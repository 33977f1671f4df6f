"""The attributes of an index: heads that read them from stored tokens, one set a file.

    attributes/checkpoint.safetensors      what belongs to the checkpoint
    attributes/learned-NAME.safetensors    an attribute learned from examples

A file appears and goes as a whole, so readers need no lock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from indexer.files import storage_errors
from indexer.results import AttributeDescription
from model.attributes.heads import AttributeHeads, load_heads
from model.errors import CheckpointError, GalleryMismatchError, ParameterError

OF_CHECKPOINT = "checkpoint.safetensors"
_LEARNED = "learned-"
# What tells two files of one name apart: inode, time of change in ns, size in bytes.
Stamp = tuple[int, int, int]


class HeadsFile(NamedTuple):
    """A file as it was read."""

    path: Path
    stamp: Stamp
    heads: AttributeHeads

    @property
    def is_learned(self) -> bool:
        """True for an attribute that was added from examples."""
        return self.path.name.startswith(_LEARNED)


@dataclass(frozen=True)
class AttributeSet:
    """The attributes of an index at one moment."""

    files: Mapping[str, HeadsFile] = field(default_factory=dict)

    @cached_property
    def _by_name(self) -> dict[str, HeadsFile]:
        return {name: file for file in self.files.values() for name in file.heads.names}

    @property
    def names(self) -> tuple[str, ...]:
        """All attributes: those of the checkpoint first."""
        return tuple(self._by_name)

    def find(self, name: str) -> AttributeHeads:
        """The heads that read this attribute; ParameterError lists the known ones."""
        return self.find_file(name).heads

    def find_file(self, name: str) -> HeadsFile:
        """The file that holds this attribute; ParameterError lists the known ones."""
        if name not in self._by_name:
            known = f"known are: {', '.join(self.names)}" if self.names else "it has none"
            raise ParameterError(f"this gallery has no attribute {name!r}; {known}")
        return self._by_name[name]

    def find_base(self) -> AttributeHeads | None:
        """The checkpoint's own heads, beside which new ones are learned."""
        own = [file.heads for file in self.files.values() if not file.is_learned]
        return own[0] if own else None

    def describe(self) -> tuple[AttributeDescription, ...]:
        """What a person is told of each."""
        return tuple(
            AttributeDescription(**vars(info), learned=file.is_learned)
            for file in self.files.values()
            for info in file.heads.infos
        )


def read_attributes(
    folder: Path, fingerprint: str, before: AttributeSet | None = None
) -> AttributeSet:
    """Read all heads of a folder; a folder that is not there holds none.

    Args:
        folder: `IndexFiles.attributes`.
        fingerprint: of the checkpoint that made the gallery.
        before: what was read earlier; files that did not change are not read again.

    Raises:
        CheckpointError: a file is not heads, or is damaged.
        GalleryMismatchError: heads of another checkpoint, or two of the same name.
        StorageError: the folder cannot be read.
    """
    known = before.files if before else {}
    files: dict[str, HeadsFile] = {}
    owner: dict[str, Path] = {}
    for path, stamp in find_stamps(folder).items():
        file = known.get(path.name)
        if file is None or file.stamp != stamp:
            try:
                file = HeadsFile(path, stamp, load_heads(path))
            except CheckpointError:
                if not path.exists():
                    continue  # removed since the folder was listed
                raise
        require_heads(path, file.heads, fingerprint)
        for name in file.heads.names:
            if name in owner:
                raise GalleryMismatchError(
                    f"{owner[name]} and {path} both hold the attribute {name!r}; remove one of "
                    "the two files"
                )
            owner[name] = path
        files[path.name] = file
    return AttributeSet(files)


def find_stamps(folder: Path) -> dict[Path, Stamp]:
    """Look what lies in a folder of heads, without reading it; in the order of names."""
    stamps: dict[Path, Stamp] = {}
    with storage_errors(folder, "reading"):
        paths = sorted(folder.glob("[!.]*.safetensors")) if folder.is_dir() else []
        for path in paths:
            try:
                found = path.stat()
            except FileNotFoundError:
                continue  # removed since the folder was listed
            stamps[path] = (found.st_ino, found.st_mtime_ns, found.st_size)
    return stamps


def has_changed(folder: Path, known: AttributeSet) -> bool:
    """Say whether a folder holds other files than those that were read."""
    before = {file.path: file.stamp for file in known.files.values()}
    return find_stamps(folder) != before


def require_heads(path: Path, heads: AttributeHeads, fingerprint: str) -> None:
    """Refuse heads of another checkpoint."""
    if heads.fingerprint != fingerprint:
        raise GalleryMismatchError(
            f"the attributes {path} read tokens of checkpoint {heads.fingerprint[:12]}, but the "
            f"gallery was made with {fingerprint[:12]}; use the attributes of that checkpoint, or "
            "remove the file"
        )


def learned_file(folder: Path, name: str) -> Path:
    """Where the attribute of this name, learned from examples, lies."""
    return folder / f"{_LEARNED}{name}.safetensors"
