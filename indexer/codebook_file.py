"""The file of codebooks in an index folder, tied to the checkpoint whose tokens they code."""

from pathlib import Path
from typing import Any

import numpy as np

from indexer.codebooks import Codebooks
from model.errors import GalleryMismatchError

_FORM = "selvedge-codebooks-1"


def write_codebooks(path: Path, books: Codebooks, fingerprint: str) -> None:
    """Write them, as `read_codebooks` finds them again; numbers in half precision.

    Raises:
        CheckpointError: the disk is full or read-only.
    """
    import torch  # slow to load, and only galleries with product codes need it

    from model.tensor_file import write_tensors

    tensors = {
        name: torch.from_numpy(
            np.ascontiguousarray(values, np.float16 if values.dtype == np.float32 else np.int16)
        )
        for name, values in books._asdict().items()
    }
    write_tensors(path, tensors, {"form": _FORM, "fingerprint": fingerprint}, "codebooks")


def read_codebooks(path: Path, fingerprint: str) -> Codebooks:
    """Read what `write_codebooks` wrote.

    Raises:
        CheckpointError: missing or damaged.
        GalleryMismatchError: of another form, or for another checkpoint.
    """
    from model.tensor_file import read_tensors

    tensors, said = read_tensors(path, "the words of the gallery's product codes are missing")
    if said.get("form") != _FORM or set(tensors) != set(Codebooks._fields):
        raise GalleryMismatchError(
            f"{path} holds {said.get('form', 'no codebooks')}, expected {_FORM}; restore it, or "
            "build the index again with --overwrite"
        )
    if said.get("fingerprint") != fingerprint:
        raise GalleryMismatchError(
            f"{path} belongs to checkpoint {said.get('fingerprint', '')[:12]}, the gallery to "
            f"{fingerprint[:12]}; restore both from one backup, or build the index again with "
            "--overwrite"
        )
    arrays = {name: found.numpy() for name, found in tensors.items()}
    if not all(np.isfinite(values).all() for values in arrays.values()):
        raise GalleryMismatchError(
            f"{path} has numbers that are not finite; restore it, or build the index again with "
            "--overwrite"
        )
    kinds: dict[str, Any] = {
        name: values.astype(np.int64 if name.endswith("groups") else np.float32)
        for name, values in arrays.items()
    }
    return Codebooks(**kinds)
