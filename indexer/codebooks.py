"""What product codes of one gallery mean: words learned from photos, in one file beside them.

n images, L levels, M tokens a level, d token width, S bytes a token, D width of the global
feature, G bytes a global feature.

A token belongs to the same slot in every image, so what a slot's tokens have in common, their
mean, is taken off first. What is left is coded with the words of the slot's level.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer import product_code
from model.errors import GalleryMismatchError

# More photos than this gained nothing (docs/performance.md, Small).
FIT_PHOTOS = 1000
_FORM = "selvedge-codebooks-1"


class Codebooks(NamedTuple):
    """means (L, M, d), token_words (L, S, 256, d/S), global_words (G, 256, D/G); float32."""

    means: NDArray[np.float32]
    token_words: NDArray[np.float32]
    global_words: NDArray[np.float32]

    @property
    def token_bytes(self) -> int:
        """S."""
        return int(self.token_words.shape[1])

    @property
    def global_bytes(self) -> int:
        """G."""
        return len(self.global_words)


def fit_codebooks(
    tokens: NDArray[np.float32],
    global_feature: NDArray[np.float32],
    token_bytes: int,
    global_bytes: int,
) -> Codebooks:
    """Learn from (n, L, M, d) tokens and (n, D) global features; tokens of zeros are left out."""
    used = np.any(tokens != 0, axis=-1)  # (n, L, M)
    means = tokens.sum(0) / np.maximum(used.sum(0), 1)[..., None]
    rest = tokens - means
    words = [
        product_code.fit_words(rest[:, level][used[:, level]], token_bytes)
        for level in range(tokens.shape[1])
    ]
    return Codebooks(
        means.astype(np.float32),
        np.stack(words),
        product_code.fit_words(global_feature, global_bytes),
    )


def write_codebooks(path: Path, books: Codebooks, fingerprint: str) -> None:
    """Write them in half precision; they belong to the checkpoint of this fingerprint.

    Raises:
        CheckpointError: the disk is full or read-only.
    """
    import torch  # slow to load, and only galleries with product codes need it

    from model.tensor_file import write_tensors

    tensors = {
        name: torch.from_numpy(values.astype(np.float16))
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

    tensors, said = read_tensors(path, "the words of the gallery's codes are missing")
    if said.get("form") != _FORM or set(tensors) != set(Codebooks._fields):
        raise GalleryMismatchError(
            f"{path} is {said.get('form', 'no codebooks')}, expected {_FORM}; restore it, or build "
            "the index again with --overwrite"
        )
    if said.get("fingerprint") != fingerprint:
        raise GalleryMismatchError(
            f"{path} belongs to checkpoint {said.get('fingerprint', '')[:12]}, the gallery to "
            f"{fingerprint[:12]}; restore both from one backup, or build the index again with "
            "--overwrite"
        )
    found = Codebooks(*(tensors[name].float().numpy() for name in Codebooks._fields))
    if not all(np.isfinite(values).all() for values in found):
        raise GalleryMismatchError(
            f"{path} has numbers that are not finite; restore it, or build the index again with "
            "--overwrite"
        )
    return found
