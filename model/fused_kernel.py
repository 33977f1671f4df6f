"""Attended similarity in one GPU kernel: int8 tokens in, S_token out (docs/math.md, Eq. 4-6).

B queries and K items, all with all, L levels, M tokens a level, d token width.

A program holds one query level in registers and walks over `ITEMS` items: it reads each item's
codes once, makes cosines and Gram matrix from them, and writes one number a pair and level.
Codes are exact in float16; queries are rounded to it (2^-11). `model.attended` is the
reference. Imported only where Triton is (it comes with torch for CUDA).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from model.aggregator import EPS
from model.config import AlignmentOptions

if TYPE_CHECKING:
    from model.attended import Asked, CodedTokens

try:
    import triton
    from triton import language as tl
except ModuleNotFoundError:  # torch for CPUs comes without it
    triton = tl = None

ITEMS = 8
# Matrix instructions take at least 16 rows; larger tiles compile for minutes and do not fit
# the registers of a warp.
LEAST_ROWS, MOST_TOKENS, MOST_WIDTH = 16, 16, 128
_WEIGHING = {"uniform": 0, "mass": 1, "root_mass": 2}


def is_fit(options: AlignmentOptions, codes: Tensor) -> bool:
    """Whether the kernel can compare with these options and (K, L, M, d) codes."""
    is_small = codes.shape[-2] <= MOST_TOKENS and codes.shape[-1] <= MOST_WIDTH
    return triton is not None and options.reduction == "mean" and is_small


def compare_fused(options: AlignmentOptions, asked: Asked, items: CodedTokens) -> Tensor:
    """S_token of prepared queries with K items: (B, K) float32."""
    count, levels, width, size = items.codes.shape
    queries = asked.flat.view(levels, size, -1, width).permute(2, 0, 3, 1)  # (B, L, M, d)
    queries = queries.to(torch.float16).contiguous()
    out = torch.empty((levels, len(queries), count), device=queries.device, dtype=torch.float32)
    if count:
        grid = (triton.cdiv(count, ITEMS), levels, len(queries))
        _kernel[grid](
            queries, asked.gram.float().contiguous(), asked.weight.float().contiguous(),
            items.codes.contiguous(), items.scales.contiguous(), items.mass.contiguous(), out,
            count, asked.temperature, EPS, levels, width, size,
            max(LEAST_ROWS, triton.next_power_of_2(width)),
            max(LEAST_ROWS, triton.next_power_of_2(size)),
            ITEMS, options.direction != "query", _WEIGHING[options.token_weight],
            num_warps=1, enable_fp_fusion=True,
        )  # fmt: skip
    return torch.einsum("lbk,l->bk", out, asked.level_weight.float())


def _compare(  # type: ignore[no-untyped-def]
    queries, grams, weights, codes, scales, masses, out, count, temperature, eps,
    levels: tl.constexpr, width: tl.constexpr, size: tl.constexpr,
    rows: tl.constexpr, columns: tl.constexpr,
    items: tl.constexpr, symmetric: tl.constexpr, weighing: tl.constexpr,
):  # fmt: skip
    """One query level with `items` items; rows and columns are width and size, filled up."""
    first = tl.program_id(0) * items
    level = tl.program_id(1)
    query = tl.program_id(2)
    token = tl.arange(0, rows)
    column = tl.arange(0, columns)
    inside = token < width
    tile = token[:, None] * size + column[None, :]
    filled = inside[:, None] & (column < size)[None, :]
    pair = token[:, None] * width + token[None, :]
    diagonal = token[:, None] == token[None, :]
    start = (query * levels + level) * width
    unit = tl.load(queries + start * size + tile, mask=filled, other=0.0)
    weight = tl.load(weights + start + token, mask=inside, other=0.0)
    gram = tl.load(grams + start * width + pair, mask=inside[:, None] & inside[None, :], other=0.0)
    asked = tl.sum(tl.where(diagonal, gram, 0.0), axis=1) > 0
    for item in range(first, tl.minimum(first + items, count)):
        at = (tl.cast(item, tl.int64) * levels + level) * width
        code = tl.load(codes + at * size + tile, mask=filled, other=0).to(tl.float16)
        scale = tl.load(scales + at + token, mask=inside, other=0.0)
        own = tl.dot(code, tl.trans(code))  # (M, M), whole numbers
        squares = tl.sum(tl.where(diagonal, own, 0.0), axis=1)
        real = (squares > 0) & (scale > 0)
        inverse = tl.where(real, 1.0 / tl.sqrt(tl.maximum(squares, 1.0)), 0.0)
        own = own * inverse[:, None] * inverse[None, :]
        cosine = tl.dot(unit, tl.trans(code)) * inverse[None, :]  # query's tokens by item's
        logits = tl.where(real[None, :], cosine * temperature, -1e30)
        share = tl.exp(logits - tl.max(logits, axis=1)[:, None])
        share = tl.where(real[None, :], share, 0.0)
        square = tl.sum(tl.dot(share, own, input_precision="ieee") * share, axis=1)
        found = tl.sum(share * cosine, axis=1) / tl.sqrt(tl.maximum(square, 1e-30))
        score = tl.sum(weight * found, axis=0)
        if symmetric:
            logits = tl.where(asked[:, None], cosine * temperature, -1e30)
            share = tl.exp(logits - tl.max(logits, axis=0)[None, :])
            share = tl.where(asked[:, None], share, 0.0)
            square = tl.sum(tl.dot(gram, share, input_precision="ieee") * share, axis=0)
            found = tl.sum(share * cosine, axis=0) / tl.sqrt(tl.maximum(square, 1e-30))
            mass = tl.load(masses + at + token, mask=inside, other=0.0)
            if weighing == 0:
                mass = tl.where(real, 1.0, 0.0)
            elif weighing == 1:
                mass = tl.where(real, mass, 0.0)
            else:
                mass = tl.where(real, tl.sqrt(mass + eps), 0.0)
            other = tl.sum(mass * found, axis=0) / tl.maximum(tl.sum(mass, axis=0), eps)
            score = (score + other) / 2
        tl.store(out + tl.cast(level * tl.num_programs(2) + query, tl.int64) * count + item, score)


_kernel: Any = triton.jit(_compare) if triton else None
