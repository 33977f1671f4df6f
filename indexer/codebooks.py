"""What the product codes of one gallery mean: learned from photos, in one file beside them.

n images, L levels, M tokens a level, d token width, S bytes a token on average, D width of the
global feature, G bytes a global feature.

A token is brought into its level's principal axes, after the mean of its slot is taken off: in
them most of it lies in few numbers. Bits are given to the axes by their variance (reverse
water-filling: Cover and Thomas, Elements of Information Theory, 10.3.3), over all levels at
once; axes in a row that have 8 bits together are coded by one byte, which names one of 256
words found by k-means. Axes that deserve no bits are left out.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.product_code import WORDS, fit_parts

_BITS = 8
# An axis with less than this is left out.
_LEAST_BITS = 0.02


class Codebooks(NamedTuple):
    """What is needed to write and to read codes; float32, but for groups.

    axes (L, d, d), columns. means (L, M, d). words (L, 256, d), along the axes. groups (L, d)
    int64: which of its level's bytes codes an axis, -1 where none does.
    The same of the global feature, of which only the k axes that are coded are kept:
    global_axes (D, k), global_mean (1, D), global_words (256, k), global_groups (k,).
    """

    axes: NDArray[np.float32]
    means: NDArray[np.float32]
    words: NDArray[np.float32]
    groups: NDArray[np.int64]
    global_axes: NDArray[np.float32]
    global_mean: NDArray[np.float32]
    global_words: NDArray[np.float32]
    global_groups: NDArray[np.int64]


def fit_codebooks(
    tokens: NDArray[np.float32],
    global_feature: NDArray[np.float32],
    token_bytes: int,
    global_bytes: int,
) -> Codebooks:
    """Learn from (n, L, M, d) tokens and (n, D) global features; tokens of zeros are left out.

    Equal photos give equal codebooks.
    """
    used = np.any(tokens != 0, axis=-1)  # (n, L, M)
    means = (tokens.sum(0) / np.maximum(used.sum(0), 1)[..., None]).astype(np.float32)
    rest = [(tokens - means)[:, level][used[:, level]] for level in range(tokens.shape[1])]
    axes, words, groups = _fit(rest, token_bytes)
    mean = global_feature.mean(0, keepdims=True)
    whole = _fit([global_feature - mean], global_bytes)
    coded = whole.groups[0] >= 0
    return Codebooks(
        axes,
        means,
        words,
        groups,
        whole.axes[0][:, coded],
        mean,
        whole.words[0][:, coded],
        whole.groups[0][coded],
    )


class _Fitted(NamedTuple):
    axes: NDArray[np.float32]
    words: NDArray[np.float32]
    groups: NDArray[np.int64]


def _fit(rest: list[NDArray[np.float32]], num_bytes: int) -> _Fitted:
    """Fit codes of `num_bytes` a vector on average to (n, d) vectors of each level."""
    axes = np.stack([_principal(each) for each in rest])
    turned = [each @ turn for each, turn in zip(rest, axes, strict=True)]
    groups = group_axes(np.stack([np.square(each).mean(0) for each in turned]), num_bytes)
    words = np.zeros((len(axes), WORDS, axes.shape[-1]), np.float32)
    for level, each in enumerate(turned):
        for number in range(groups[level].max() + 1):
            chosen = groups[level] == number
            words[level][:, chosen] = fit_parts(each[:, chosen])
    return _Fitted(axes, words, groups)


def group_axes(variance: NDArray[np.floating], token_bytes: int) -> NDArray[np.int64]:
    """Share L * `token_bytes` bytes out among axes of (L, d) descending variances: (L, d) groups.

    >>> group_axes(np.array([[64.0, 4.0, 1.0, 1.0], [4.0, 1.0, 1e-9, 1e-9]]), 1).tolist()
    [[0, 0, 0, 0], [0, 0, -1, -1]]
    """
    levels = len(variance)
    wanted = give_bits(variance, _BITS * levels * token_bytes).sum(1) / _BITS
    shares = _round_to(wanted, levels * token_bytes, variance.shape[1])
    groups = np.full(variance.shape, -1)
    for level, num_bytes in enumerate(shares):
        bits = give_bits(variance[level], _BITS * num_bytes)
        coded = max(int((bits > _LEAST_BITS).sum()), num_bytes)
        number = (bits.cumsum() - bits / 2)[:coded] // _BITS
        # An axis may deserve more than a byte; no byte stays without an axis for that.
        place = np.arange(num_bytes)
        edges = np.maximum.accumulate(np.searchsorted(number, place) - place) + place
        edges = np.minimum(edges, coded - num_bytes + place)
        groups[level, :coded] = np.searchsorted(edges, np.arange(coded), side="right") - 1
    return groups


def give_bits(variance: NDArray[np.floating], bits: float) -> NDArray[np.float64]:
    """Bits of each number, log2(variance / level) / 2 where positive, `bits` in all.

    >>> give_bits(np.array([16.0, 1.0, 0.25]), 2).round(3).tolist()
    [2.0, 0.0, 0.0]
    """
    spread = np.log2(np.maximum(variance, 1e-12)).ravel()
    low, high = spread.min() - 2 * bits - 1, spread.max()
    for _ in range(60):
        level = (low + high) / 2
        low, high = (low, level) if _bits(spread, level).sum() < bits else (level, high)
    return _bits(spread, low).reshape(variance.shape)


def _bits(spread: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    return np.maximum(spread - level, 0) / 2


def _round_to(wanted: NDArray[np.float64], total: int, most: int) -> NDArray[np.int64]:
    """Whole numbers near those wanted, 1 to `most` each, `total` in all."""
    found = np.clip(np.rint(wanted).astype(np.int64), 1, most)
    while found.sum() != total:
        step = 1 if found.sum() < total else -1
        may = found > 1 if step < 0 else found < most
        found[np.argmax(np.where(may, step * (wanted - found), -np.inf))] += step
    return found


def _principal(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Axes (d, d), columns, in which (n, d) rows extend, the longest first."""
    _, axes = np.linalg.eigh((rows.T @ rows).astype(np.float64))
    axes = axes[:, ::-1]
    # The sign of an axis is arbitrary; its largest entry decides, so that runs agree.
    sign = np.sign(np.take_along_axis(axes, np.abs(axes).argmax(0)[None], 0))
    found: NDArray[np.float32] = (axes * sign).astype(np.float32)
    return found
