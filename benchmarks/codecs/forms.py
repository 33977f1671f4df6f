"""Ways of storing tokens that were compared: each is fitted to some photos and restores others.

n images, L levels, M tokens a level, d token width, S bytes a token. Photos are `Features`;
what comes back is what a gallery would read, in place of tokens (n, L, M, d), of mass and of
the global feature.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.codecs.features import Features
from indexer.codebooks import fit_codebooks
from indexer.codec import GEOMETRY_BYTES, unpack_tokens
from indexer.token_codec import Int8Codec, ProductCodec
from model.encoder import Encoded

Floats = NDArray[np.float32]
GLOBAL_BYTES = 64
_faiss: Any = faiss


class Restored(NamedTuple):
    """What is read of some photos, and bytes a photo: of tokens, and of the global feature."""

    photos: Features
    token_bytes: int
    global_bytes: int


Restore = Callable[[Features], Restored]


def fit_int8(_: Features) -> Restore:
    """As galleries store tokens unless told otherwise; the global feature as float32."""
    codec = Int8Codec()

    def restore(photos: Features) -> Restored:
        columns = codec.pack(Encoded(*photos))
        arrays = (columns["tokens"], columns["token_scales"], columns["geometry"])
        block = codec.to_block(arrays)
        found = photos._replace(tokens=unpack_tokens(block.tokens, block.scales), mass=block.mass)
        size = sum(columns[name][0].nbytes for name in ("tokens", "token_scales"))
        return Restored(found, size, photos.global_feature[0].nbytes)

    return restore


def fit_codes(fit: Features, token_bytes: int) -> Restore:
    """Product codes in principal axes, as galleries store them (`indexer.codebooks`)."""
    books = fit_codebooks(fit.tokens, fit.global_feature, token_bytes, GLOBAL_BYTES)
    codec = ProductCodec(books)

    def restore(photos: Features) -> Restored:
        columns = codec.pack(Encoded(*photos))
        names = ("tokens", "geometry", "global_code")
        block = codec.to_block(tuple(columns[name] for name in names))
        assert block.global_feature is not None
        found = photos._replace(
            tokens=unpack_tokens(block.tokens, block.scales),
            mass=block.mass,
            global_feature=block.global_feature,
        )
        return Restored(found, columns["tokens"][0].nbytes, GLOBAL_BYTES)

    return restore


def fit_float16(_: Features) -> Restore:
    """Every element in half precision."""
    return _only_tokens(lambda tokens: tokens.astype(np.float16).astype(np.float32), 2 * 128)


def fit_int4(_: Features) -> Restore:
    """16 steps an element, a float16 scale a token, the best of four."""

    def restore(tokens: Floats) -> Floats:
        largest = np.abs(tokens).max(-1, keepdims=True)
        tries = []
        for share in (1.0, 0.8, 0.6, 0.45):
            step = np.where(largest > 0, share * largest / 7.5, 1)
            tries.append((np.clip(np.floor(tokens / step), -8, 7) + 0.5) * step)
        errors = np.stack([np.square(each - tokens).sum(-1) for each in tries])
        best = errors.argmin(0)[None, ..., None]
        found: Floats = np.take_along_axis(np.stack(tries), best, 0)[0]
        return found

    return _only_tokens(restore, 64 + 2)


def fit_binary(fit: Features) -> Restore:
    """A sign an element after a learned rotation of each level, and a byte of scale a token.

    Slot means are taken off first. Rotations by ITQ (Gong and Lazebnik, CVPR 2011).
    """
    means = fit.tokens.mean(0)
    rest = np.moveaxis(fit.tokens - means, 1, 0)  # (L, n, M, d)
    turns = np.stack([_fit_rotation(each.reshape(-1, each.shape[-1])) for each in rest])
    size = np.stack(
        [np.abs(each @ turn).mean((0, 1)) for each, turn in zip(rest, turns, strict=True)]
    )

    def restore(tokens: Floats) -> Floats:
        turned = np.einsum("nlmd,lde->nlme", tokens - means, turns)
        scale = np.abs(turned).mean(-1, keepdims=True) / size.mean(-1)[:, None, None]
        signs = np.sign(turned) * size[:, None] * scale
        found: Floats = means + np.einsum("nlme,lde->nlmd", signs, turns)
        return found

    return _only_tokens(restore, 16 + 1)


def fit_plain(fit: Features, token_bytes: int) -> Restore:
    """Product quantisation of the elements as they are, slot means taken off."""
    means, books = fit.tokens.mean(0), []
    for level in range(fit.tokens.shape[1]):
        quantizer = _faiss.ProductQuantizer(fit.tokens.shape[-1], token_bytes, 8)
        quantizer.cp.max_points_per_centroid = 60
        quantizer.train(_rows((fit.tokens - means)[:, level]))
        books.append(quantizer)

    def restore(tokens: Floats) -> Floats:
        rest = tokens - means
        coded = [
            book.decode(book.compute_codes(_rows(rest[:, level]))).reshape(rest[:, level].shape)
            for level, book in enumerate(books)
        ]
        found: Floats = np.stack(coded, axis=1) + means
        return found

    return _only_tokens(restore, token_bytes)


def fit_dims(fit: Features, kept: int) -> Restore:
    """Only the first principal axes of each level, int8 with a scale a token."""
    means = fit.tokens.mean(0)
    rest = np.moveaxis(fit.tokens - means, 1, 0)
    axes = np.stack([
        np.linalg.eigh(rows.T @ rows)[1][:, : -kept - 1 : -1]
        for rows in (each.reshape(-1, each.shape[-1]) for each in rest)
    ])  # fmt: skip

    def restore(tokens: Floats) -> Floats:
        turned = np.einsum("nlmd,ldk->nlmk", tokens - means, axes)
        scale = np.maximum(np.abs(turned).max(-1, keepdims=True), 1e-9) / 127
        found: Floats = means + np.einsum("nlmk,ldk->nlmd", np.rint(turned / scale) * scale, axes)
        return found

    return _only_tokens(restore, kept + 2)


def fit_fewer(_: Features, kept: int) -> Restore:
    """int8 tokens, and of each level only those with the most mass."""
    int8 = fit_int8(_)

    def restore(photos: Features) -> Restored:
        found, size, whole = int8(photos)
        tokens, mass = found.tokens.copy(), found.mass.copy()
        least = np.sort(mass, axis=-1)[..., -kept][..., None]
        tokens[mass < least] = 0
        mass[mass < least] = 0
        shown = found._replace(tokens=tokens, mass=mass)
        return Restored(shown, size * kept // mass.shape[-1], whole)

    return restore


FORMS: dict[str, Callable[[Features], Restore]] = {
    "int8": fit_int8,
    "float16": fit_float16,
    "int4": fit_int4,
    "int8, 64 axes": lambda fit: fit_dims(fit, 64),
    "int8, 32 axes": lambda fit: fit_dims(fit, 32),
    "int8, 8 tokens a level": lambda fit: fit_fewer(fit, 8),
    "1 bit, ITQ": fit_binary,
    "plain PQ, 16 bytes": lambda fit: fit_plain(fit, 16),
    "plain PQ, 8 bytes": lambda fit: fit_plain(fit, 8),
    **{f"pq{size}": partial(fit_codes, token_bytes=size) for size in (16, 12, 8, 4)},
}


def _only_tokens(restore: Callable[[Floats], Floats], bytes_a_token: int) -> Restore:
    """Tokens in another form, all else as it is with int8."""
    int8 = fit_int8

    def both(photos: Features) -> Restored:
        used = np.any(photos.tokens != 0, axis=-1, keepdims=True)
        found = np.where(used, restore(photos.tokens), 0)
        length = np.linalg.norm(found, axis=-1, keepdims=True)
        tokens = (found / np.where(length > 0, length, 1)).astype(np.float32)
        rest, _, whole = int8(photos)(photos)
        num_tokens = tokens.shape[1] * tokens.shape[2]
        return Restored(rest._replace(tokens=tokens), num_tokens * bytes_a_token, whole)

    return both


def _fit_rotation(rows: Floats, rounds: int = 30) -> Floats:
    rng = np.random.default_rng(0)
    _, axes = np.linalg.eigh(rows.T @ rows)
    turn = axes @ np.linalg.qr(rng.standard_normal(axes.shape))[0]
    for _ in range(rounds):
        left, _, right = np.linalg.svd(rows.T @ np.sign(rows @ turn))
        turn = left @ right
    found: Floats = turn.astype(np.float32)
    return found


def _rows(tokens: Floats) -> Floats:
    return np.ascontiguousarray(tokens.reshape(-1, tokens.shape[-1]))


def geometry_bytes(photos: Features) -> int:
    """Bytes of ellipses and mass of a photo."""
    return GEOMETRY_BYTES * int(photos.mass[0].size)
