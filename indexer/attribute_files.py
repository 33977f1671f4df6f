"""Changing the attributes of an index. The caller holds the folder's lock for writing."""

import re
from pathlib import Path

import numpy as np

from indexer.attributes import (
    OF_CHECKPOINT,
    AttributeSet,
    learned_file,
    read_attributes,
    require_heads,
)
from indexer.files import storage_errors, write_atomic
from indexer.manifest import Manifest
from model.attributes.heads import AttributeHeads, load_heads, save_heads
from model.errors import ParameterError, SelvedgeError
from model.shipped import ATTRIBUTES

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def check_name(name: str, known: AttributeSet) -> None:
    """Refuse a name that cannot be a new attribute's: it becomes a file's name too."""
    if not _NAME.fullmatch(name):
        raise ParameterError(
            f"an attribute cannot be called {name!r}; expected up to 64 lower-case letters a to "
            "z, digits, _ and -, such as pocket_shape"
        )
    if name in known.names:
        raise ParameterError(
            f"this gallery has an attribute {name!r} already; choose another name, or remove "
            "that one first"
        )


def add_learned(folder: Path, fingerprint: str, heads: AttributeHeads) -> AttributeSet:
    """Write one learned attribute, and return what the folder holds then.

    Raises:
        ParameterError: the name is taken.
        GalleryMismatchError: the gallery was made with another checkpoint meanwhile.
        CheckpointError, StorageError: the file cannot be written; nothing has changed.
    """
    known = read_attributes(folder, fingerprint)
    [name] = heads.names
    check_name(name, known)
    _write(learned_file(folder, name), heads, fingerprint)
    return read_attributes(folder, fingerprint, known)


def remove_learned(folder: Path, fingerprint: str, name: str) -> None:
    """Delete one learned attribute.

    Raises:
        ParameterError: unknown, or not learned from examples.
        StorageError: it cannot be deleted.
    """
    file = read_attributes(folder, fingerprint).find_file(name)
    if not file.is_learned:
        raise ParameterError(
            f"the attribute {name!r} belongs to the checkpoint and cannot be removed; only those "
            "learned from examples can"
        )
    with storage_errors(file.path, "removing"):
        file.path.unlink()


def add_of_checkpoint(root: Path, manifest: Manifest, given: Path | None) -> None:
    """Bring the heads of its checkpoint to an index: a given file's, or the program's own.

    The program's are taken where they fit; an index of another checkpoint gets none, unless
    `given` names its own. They replace older ones, and nothing is written where they are equal.

    Raises:
        CheckpointError, GalleryMismatchError: the given file is no heads of this checkpoint.
        ParameterError: it holds an attribute that the gallery learned from examples.
    """
    files, fingerprint = manifest.files(root), manifest.fingerprint
    heads = load_heads(given) if given else _find_shipped(fingerprint)
    if heads is None:
        return
    require_heads(given or ATTRIBUTES, heads, fingerprint)
    known = read_attributes(files.attributes, fingerprint)
    learned = {
        name for file in known.files.values() if file.is_learned for name in file.heads.names
    }
    if given and learned.intersection(heads.names):
        name = min(learned.intersection(heads.names))
        raise ParameterError(
            f"{given} holds the attribute {name!r}, which this gallery learned from examples; "
            "remove that one first"
        )
    # What a person taught under a name of the program's means what that person taught.
    heads = heads.only(name for name in heads.names if name not in learned)
    before = known.files.get(OF_CHECKPOINT)
    if before is None or not _are_equal(before.heads, heads):
        _write(files.attributes / OF_CHECKPOINT, heads, fingerprint)


def carry_learned(root: Path, manifest: Manifest) -> None:
    """Take what the published generation learned over to one of the same checkpoint."""
    try:
        current = Manifest.load(root)
    except SelvedgeError:
        return
    if current.generation == manifest.generation or current.fingerprint != manifest.fingerprint:
        return
    target = manifest.files(root).attributes
    known = read_attributes(current.files(root).attributes, current.fingerprint)
    for file in known.files.values():
        if file.is_learned:
            _write(target / file.path.name, file.heads, manifest.fingerprint)


def _find_shipped(fingerprint: str) -> AttributeHeads | None:
    """The heads that come with the program, where they belong to this checkpoint."""
    if not ATTRIBUTES.is_file():
        return None
    heads = load_heads(ATTRIBUTES)
    return heads if heads.fingerprint == fingerprint else None


def _are_equal(one: AttributeHeads, other: AttributeHeads) -> bool:
    parts = [(one.scaling.mean, other.scaling.mean), (one.scaling.scale, other.scaling.scale)]
    if one.infos != other.infos or one.roots.keys() != other.roots.keys():
        return False
    parts += [(one.maps[name], other.maps[name]) for name in one.maps]
    parts += [(one.roots[name], other.roots[name]) for name in one.roots]
    return all(np.array_equal(*pair) for pair in parts)


def _write(path: Path, heads: AttributeHeads, fingerprint: str) -> None:
    require_heads(path, heads, fingerprint)
    folder = path.parent
    with storage_errors(folder, "creating"):
        folder.mkdir(exist_ok=True)
        for left in folder.glob(".*"):  # of a write that was killed
            left.unlink()
    write_atomic(path, lambda temporary: save_heads(heads, temporary))
