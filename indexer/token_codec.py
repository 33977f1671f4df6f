"""How the tokens of a gallery are stored, and read back as what stage two takes.

n images, L levels, M tokens a level, d token width, S bytes a token, D width of the global
feature, G bytes a global feature.

    int8   every element a byte, a float16 scale a token: d + 2 bytes a token
    pqS    S bytes a token on average (`indexer.codebooks`), and G bytes a global feature

Either way `to_block` gives int8 elements with a scale. With product codes that is looking up and
one matrix product a level, for no more items than are asked for.
"""

import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from indexer import product_code
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
        self._books = books
        self._levels = [_Level.of(books, level) for level in range(len(books.axes))]

    def pack(self, encoded: "Encoded") -> dict[str, NDArray[Any]]:
        used = np.any(encoded.tokens != 0, axis=-1)
        codes = [level.encode(encoded.tokens[:, place]) for place, level in enumerate(self._levels)]
        geometry = pack_geometry(encoded.geometry, encoded.mass)
        # No code says zero: a token that is not used is one without mass.
        geometry[..., -1] = np.where(used, np.maximum(geometry[..., -1], 1), 0)
        return {
            "tokens": np.concatenate(codes, axis=-1),
            "geometry": geometry,
            "global_code": product_code.encode(encoded.global_feature, self._books.global_words),
        }

    def to_block(self, arrays: tuple[NDArray[Any], ...]) -> TokenBlock:
        codes, geometry, *rest = arrays  # (n, M, L*S), (n, L, M, 6), (n, G)
        levels, num_tokens, width = self._books.means.shape
        tokens = np.empty((len(codes), levels, num_tokens, width), np.int8)
        scales = np.empty(tokens.shape[:-1], np.float32)
        first = 0
        for place, level in enumerate(self._levels):
            part = codes[..., first : first + level.num_bytes]
            tokens[:, place], scales[:, place] = level.decode(part)
            first += level.num_bytes
        mass = unpack_mass(geometry)
        if (unused := mass == 0).any():
            tokens[unused], scales[unused] = 0, 0
        return TokenBlock(tokens, scales, mass, geometry, *map(self._decode_global, rest))

    def _decode_global(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        found = product_code.decode(codes, self._books.global_words)
        unit: NDArray[np.float32] = found / np.linalg.norm(found, axis=-1, keepdims=True)
        return unit


class _Level(NamedTuple):
    """One level's words, ready to be looked up; k axes are coded, in b groups.

    words: b arrays (256, width of the group). axes (d, k). means (M, k). left: the squared
    length (M,) of what the axes that are left out add to each slot.
    An element is a whole number of steps, -127 to 127, whatever the code: back (k, d) and
    constant (M, d), what the axes left out add, lead to them.
    """

    words: list[NDArray[np.float32]]
    edges: NDArray[np.int64]
    axes: NDArray[np.float32]
    means: NDArray[np.float32]
    left: NDArray[np.float32]
    step: float
    back: NDArray[np.float32]
    constant: NDArray[np.float32]

    @classmethod
    def of(cls, books: Codebooks, level: int) -> "_Level":
        edges = books.edges(level)
        axes, means, coded = books.axes[level], books.means[level], edges[-1]
        words = [
            np.ascontiguousarray(books.words[level][:, first:end]) for first, end in pairwise(edges)
        ]
        longest = np.sqrt(sum(np.square(each).sum(-1).max() for each in words))
        step = float(longest + np.linalg.norm(means, axis=-1).max()) / 127
        left = means[:, coded:]
        return cls(
            words,
            edges,
            np.ascontiguousarray(axes[:, :coded]),
            np.ascontiguousarray(means[:, :coded]),
            np.square(left).sum(-1),
            step,
            np.ascontiguousarray(axes[:, :coded].T) / step,
            left @ axes[:, coded:].T / step,
        )

    @property
    def num_bytes(self) -> int:
        return len(self.words)

    def encode(self, tokens: NDArray[np.float32]) -> NDArray[np.uint8]:
        """(n, M, d) tokens to (n, M, b) bytes."""
        turned = (tokens @ self.axes - self.means).reshape(-1, self.axes.shape[1])
        parts = np.split(turned, self.edges[1:-1], axis=1)
        codes = [product_code.name_nearest(*pair) for pair in zip(parts, self.words, strict=True)]
        return np.stack(codes, axis=-1).reshape(*tokens.shape[:2], self.num_bytes)

    def decode(self, codes: NDArray[np.uint8]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """(n, M, b) bytes to (n, M, d) int8 elements and (n, M) scales, of unit length."""
        turned = np.empty((*codes.shape[:2], self.axes.shape[1]), np.float32)
        for place, (words, (first, end)) in enumerate(
            zip(self.words, pairwise(self.edges), strict=True)
        ):
            turned[..., first:end] = words.take(codes[..., place], axis=0)
        turned += self.means
        length = np.sqrt(np.einsum("nmk,nmk->nm", turned, turned) + self.left)
        tokens = turned.reshape(-1, turned.shape[-1]) @ self.back  # (n*M, d)
        tokens = tokens.reshape(*codes.shape[:2], -1)
        tokens += self.constant
        return np.rint(tokens, out=tokens).astype(np.int8), self.step / length


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
