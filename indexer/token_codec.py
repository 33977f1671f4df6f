"""How the tokens of a gallery are stored, and read back as what stage two takes.

n images, L levels, M tokens a level, d token width, S bytes a token, D width of the global
feature, G bytes a global feature.

    int8   every element a byte, a float16 scale a token: d + 2 bytes a token
    pqS    S bytes a token (`indexer.codebooks`), and G bytes a global feature

Either way `read` gives a `TokenBlock` with int8 elements. With product codes that is looking
up, for no more items than are asked for.
"""

import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from indexer import product_code
from indexer.codebooks import Codebooks, read_codebooks
from indexer.codec import pack_geometry, pack_tokens, unpack_mass
from indexer.manifest import Dims, Manifest
from indexer.protocols import TokenBlock
from model.errors import ParameterError

if TYPE_CHECKING:
    from model.encoder import Encoded


class TokenCodec(Protocol):
    """What writes and reads the columns of tokens (`indexer.store`)."""

    def pack(self, encoded: "Encoded") -> dict[str, NDArray[Any]]:
        """Lay n encoded images out as columns: (n, ...) each."""

    def to_block(self, arrays: tuple[NDArray[Any], ...]) -> TokenBlock:
        """Read what `indexer.tokens.read_arrays` gave of n items."""


class Int8Codec:
    """int8 elements with a scale a token, the global feature as it is."""

    def pack(self, encoded: "Encoded") -> dict[str, NDArray[Any]]:
        codes, scales = pack_tokens(encoded.tokens)
        geometry = pack_geometry(encoded.geometry, encoded.mass)
        return {"tokens": codes, "token_scales": scales, "geometry": geometry}

    def to_block(self, arrays: tuple[NDArray[Any], ...]) -> TokenBlock:
        codes, scales, geometry, *rest = arrays
        return TokenBlock(codes, scales.astype(np.float32), unpack_mass(geometry), geometry, *rest)


class ProductCodec:
    """Product codes of tokens and of the global feature."""

    def __init__(self, books: Codebooks) -> None:
        self._books = books

    def pack(self, encoded: "Encoded") -> dict[str, NDArray[Any]]:
        used = np.any(encoded.tokens != 0, axis=-1)
        rest = encoded.tokens - self._books.means
        codes = [
            product_code.encode(rest[:, level].reshape(-1, rest.shape[-1]), words)
            for level, words in enumerate(self._books.token_words)
        ]
        shape = (len(rest), rest.shape[2], self._books.token_bytes)
        geometry = pack_geometry(encoded.geometry, encoded.mass)
        # No code says zero: a token that is not used is one without mass.
        geometry[..., -1] = np.where(used, np.maximum(geometry[..., -1], 1), 0)
        return {
            "tokens": np.stack([each.reshape(shape) for each in codes], axis=1),
            "geometry": geometry,
            "global_code": product_code.encode(encoded.global_feature, self._books.global_words),
        }

    def to_block(self, arrays: tuple[NDArray[Any], ...]) -> TokenBlock:
        codes, geometry, *rest = arrays  # (n, L, M, S), (n, L, M, 6), (n, G)
        mass = unpack_mass(geometry)
        tokens, squared = self._look_up(codes)
        unused = mass == 0
        if unused.any():
            tokens[unused] = 0
        scales = np.where(unused, 0, 1 / np.sqrt(np.maximum(squared, 1)))
        return TokenBlock(
            tokens, scales.astype(np.float32), mass, geometry, *map(self._decode_global, rest)
        )

    def _look_up(self, codes: NDArray[np.uint8]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """Tokens (n, L, M, d) of (n, L, M, S) codes, and their squared lengths (n, L, M)."""
        slots = codes.reshape(len(codes), -1)  # (n, L*M*S)
        place = slots + product_code.WORDS * np.arange(slots.shape[1])
        tokens = self._words.take(place, axis=0).view(np.int8)
        squared = self._squares.take(place).reshape(*codes.shape).sum(-1)
        return tokens.reshape(*codes.shape[:3], -1), squared

    def _decode_global(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        found = product_code.decode(codes, self._books.global_words)
        unit: NDArray[np.float32] = found / np.linalg.norm(found, axis=-1, keepdims=True)
        return unit

    @cached_property
    def _int8_words(self) -> NDArray[np.int8]:
        """Words of every slot with its mean in them, by one scale a slot: (L*M*S*256, d/S)."""
        means, words = self._books.means, self._books.token_words
        levels, num_tokens, _ = means.shape
        _, parts, _, width = words.shape
        whole = words[:, None] + means.reshape(levels, num_tokens, parts, 1, width)
        largest = np.abs(whole).max(axis=(2, 3, 4), keepdims=True)
        small = np.rint(127 * whole / np.where(largest > 0, largest, 1))
        return small.astype(np.int8).reshape(-1, width)

    @cached_property
    def _words(self) -> NDArray[Any]:
        """The same, a word as one element: (L*M*S*256,), which is fast to look up."""
        words = self._int8_words
        return words.view(_ELEMENT.get(words.shape[1], np.dtype((np.void, words.shape[1])))).ravel()

    @cached_property
    def _squares(self) -> NDArray[np.float32]:
        """Squared length of each word: (L*M*S*256,)."""
        squares: NDArray[np.float32] = np.square(self._int8_words.astype(np.float32)).sum(-1)
        return squares


# Copying a word of so many bytes as one number is several times faster than as bytes.
_ELEMENT = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64, 16: np.complex128}


def parse_tokens(name: str) -> int | None:
    """Bytes a token of `pqS`; None for int8.

    >>> parse_tokens("pq16"), parse_tokens("int8")
    (16, None)
    """
    if name == "int8":
        return None
    if not re.fullmatch(r"pq[1-9]\d{0,3}", name):
        raise ParameterError(
            f"tokens cannot be stored as {name!r}; expected int8, or pq and the bytes a token, "
            "such as pq16"
        )
    return int(name[2:])


def with_codes(dims: Dims, tokens: str | None) -> Dims:
    """The sizes of a gallery that stores tokens so; ParameterError where that does not fit."""
    token_bytes = parse_tokens(tokens or "int8")
    if token_bytes is not None:
        product_code.require_parts(dims.token_dim, token_bytes)
    return dims.model_copy(update={"token_bytes": token_bytes})


def open_codec(root: Path, manifest: Manifest) -> TokenCodec:
    """The codec of a gallery.

    Raises:
        CheckpointError: its codebooks are missing or damaged.
        GalleryMismatchError: they belong to another checkpoint.
    """
    if manifest.dims.token_bytes is None:
        return Int8Codec()
    return ProductCodec(read_codebooks(manifest.files(root).codebooks, manifest.fingerprint))
