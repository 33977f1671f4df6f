"""How the tokens of a gallery are stored, and read back as what stage two takes.

n images, L levels, M tokens a level, d token width, S bytes a token, D width of the global
feature, G bytes a global feature.

    int8   every element a byte, a float16 scale a token: d + 2 bytes a token
    pqS    S bytes a token on average (`indexer.codebooks`), and G bytes a global feature

Either way `to_block` gives int8 elements with a scale. With product codes that is looking up and
one matrix product a level, for no more items than are asked for.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.axis_code import AxisCode
from indexer.codebook_file import read_codebooks
from indexer.codebooks import Codebooks
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
        levels = zip(books.axes, books.means, books.words, books.groups, strict=True)
        self._levels = [AxisCode.of(*level) for level in levels]
        self._global = AxisCode.of(
            books.global_axes, books.global_mean, books.global_words, books.global_groups
        )

    def pack(self, encoded: "Encoded") -> dict[str, NDArray[Any]]:
        used = np.any(encoded.tokens != 0, axis=-1)
        codes = [level.encode(encoded.tokens[:, at]) for at, level in enumerate(self._levels)]
        geometry = pack_geometry(encoded.geometry, encoded.mass)
        # No code says zero: a token that is not used is one without mass.
        geometry[..., -1] = np.where(used, np.maximum(geometry[..., -1], 1), 0)
        return {
            "tokens": np.concatenate(codes, axis=-1),
            "geometry": geometry,
            "global_code": self._global.encode(encoded.global_feature[:, None])[:, 0],
        }

    def to_block(self, arrays: tuple[NDArray[Any], ...]) -> TokenBlock:
        codes, geometry, *rest = arrays  # (n, M, L*S), (n, L, M, 6), (n, G)
        shape = (len(codes), len(self._levels), *self._levels[0].constant.shape)
        tokens, scales = np.empty(shape, np.int8), np.empty(shape[:-1], np.float32)
        first = 0
        for place, level in enumerate(self._levels):
            part = codes[..., first : first + level.num_bytes]
            tokens[:, place], scales[:, place] = level.decode_int8(part)
            first += level.num_bytes
        mass = unpack_mass(geometry)
        if (unused := mass == 0).any():
            tokens[unused], scales[unused] = 0, 0
        whole = (self._global.decode(each[:, None])[:, 0] for each in rest)
        return TokenBlock(tokens, scales, mass, geometry, *whole)


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
    if token_bytes is not None and token_bytes > dims.token_dim:
        raise ParameterError(
            f"tokens of {dims.token_dim} numbers need no more than that many bytes; choose "
            f"pq{dims.token_dim} or less, or int8"
        )
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
