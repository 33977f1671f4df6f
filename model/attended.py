"""Attended similarity straight from stored int8 tokens: stage 2a (docs/math.md, Eq. 4-6).

B queries and K items, all with all, L levels, M tokens a level, d token width, R = B M.

Codes are whole numbers, exact in every float, and their scales cancel: lengths are divided out
after the products, and no unit token of an item is ever built. For serving, without gradients;
`model.bare` is its twin for tokens that are float already.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from model.aggregator import EPS
from model.alignment import MAX_TEMPERATURE, TokenAlignment, TokenSet
from model.blocks import is_real

# Items compared together: on a CPU what lies between two steps stays in a core's own cache.
CHUNK_CPU = 128
CHUNK_GPU = 4096
# Up to here exp(2 t), and a sum of hundreds of them, fits float32; beyond, float64 is used.
WARMEST = 40.0


class CodedTokens(NamedTuple):
    """K items' tokens as a gallery holds them: token = codes * scales, all zero when unused.

    codes: (K, L, M, d) int8. scales: (K, L, M), 0 or more. mass: (K, L, M) in [0, 1].
    """

    codes: Tensor
    scales: Tensor
    mass: Tensor

    def decode(self) -> TokenSet:
        """Unit tokens (1, K, L, M, d), float32; unused ones stay zero."""
        tokens = F.normalize(self.codes.float() * self.scales.unsqueeze(-1), dim=-1, eps=EPS)
        return TokenSet(tokens.unsqueeze(0), self.mass.unsqueeze(0))

    def take(self, index: Tensor | slice) -> "CodedTokens":
        """The items at these places."""
        return CodedTokens(*(part[index] for part in self))

    def to(self, device: torch.device) -> "CodedTokens":
        """The same items on a device."""
        return CodedTokens(*(part.to(device) for part in self))


class Asked(NamedTuple):
    """What the queries alone say, in the dtype of all arithmetic."""

    flat: Tensor  # (L, d, R), unit length
    gram: Tensor  # (B, L, M, M)
    weight: Tensor  # (B, L, M), sums to 1 over the last axis
    valid: Tensor  # (B, L, M)
    level_weight: Tensor  # (L,)
    temperature: float


@torch.no_grad()
def compare_coded(alignment: TokenAlignment, queries: TokenSet, items: CodedTokens) -> Tensor:
    """S_token of bare tokens, of all (B, L, M, d) with all (K, L, M, d): (B, K) in [-1, 1].

    It is the whole score where the first stage changes nothing, and a cheap first look where
    it does. Queries and items lie on one device.
    """
    if alignment.options.compare == "coarse":
        queries = TokenSet(queries.tokens[:, :1], queries.mass[:, :1])
        items = CodedTokens(*(part[:, :1] for part in items))
    with torch.autocast(items.codes.device.type, enabled=False):
        asked = prepare_queries(alignment, queries)
        if items.codes.is_cuda:
            # Triton takes a moment to import, which a CPU need not wait for.
            from model.fused_kernel import compare_fused, is_fit

            if is_fit(alignment.options, items.codes):
                return compare_fused(alignment.options, asked, items)
        return score_coded(alignment, asked, items)


def score_coded(alignment: TokenAlignment, asked: Asked, items: CodedTokens) -> Tensor:
    """The same by matrix products alone, for every option: (B, K)."""
    size = CHUNK_GPU if items.codes.is_cuda else CHUNK_CPU
    parts = [items.take(slice(i, i + size)) for i in range(0, len(items.codes), size)]
    found = [_compare_chunk(alignment, asked, part) for part in parts]
    return torch.cat([asked.gram.new_empty((len(asked.weight), 0)), *found], dim=1)


def prepare_queries(alignment: TokenAlignment, queries: TokenSet) -> Asked:
    """Prepare queries (B, L, M, d) once for all items."""
    temperature = min(float(alignment.temperature), MAX_TEMPERATURE)
    dtype = torch.float32 if temperature <= WARMEST else torch.float64
    unit = F.normalize(queries.tokens.to(dtype), dim=-1, eps=EPS)
    valid = is_real(unit)
    weight = alignment.token_weight(queries.mass.to(dtype), valid)
    level_weight = alignment.level_weight[: unit.shape[1]].to(dtype)
    flat = unit.permute(1, 3, 0, 2).flatten(2)
    return Asked(flat, unit @ unit.mT, weight, valid, level_weight, temperature)


def _compare_chunk(alignment: TokenAlignment, asked: Asked, items: CodedTokens) -> Tensor:
    """(B, K) scores of some items."""
    valid, cosine, gram = _multiply(asked, items)
    # Not divided by their sums: those cancel in Eq. 5. What is no token has no part in a
    # product: its cosines and its rows of the Gram matrix are zero.
    share = (asked.temperature * cosine).exp_()  # (L, K, M, R)
    backward, weight = None, asked.weight  # of the items; not asked for with direction "query"
    if alignment.options.direction != "query":
        backward = _look_back(asked, cosine, share)
        weight = alignment.token_weight(items.mass.to(share.dtype), valid)  # (K, L, M)
    square = (gram @ share).mul_(share).sum(-2)
    forward = _divide(cosine.mul_(share).sum(-2), square)  # (L, K, R)
    forward = forward.view(*forward.shape[:2], *asked.weight.shape[::2]).permute(2, 1, 0, 3)
    levels = alignment.combine(
        forward,  # (B, K, L, M)
        backward,
        (asked.weight.unsqueeze(1), weight.unsqueeze(0)),
        (asked.valid.unsqueeze(1), valid.unsqueeze(0)),
    )
    return levels @ asked.level_weight


def _multiply(asked: Asked, items: CodedTokens) -> tuple[Tensor, Tensor, Tensor]:
    """Which tokens (K, L, M) are real, cosines (L, K, M, R), and Gram matrices (L, K, M, M)."""
    # Moved as bytes first: to move and convert at once is slower on a CPU.
    codes = items.codes.transpose(0, 1).contiguous().to(asked.flat.dtype)  # (L, K, M, d)
    # One tall product a level, whatever the number of queries and items.
    cosine = torch.bmm(codes.flatten(1, 2), asked.flat).view(*codes.shape[:3], -1)
    gram = codes @ codes.mT
    squares = gram.diagonal(dim1=-2, dim2=-1)  # (L, K, M)
    valid = (squares > 0) & (items.scales.transpose(0, 1) > 0)
    inverse = squares.clamp(min=1).rsqrt() * valid
    cosine *= inverse.unsqueeze(-1)
    gram *= inverse.unsqueeze(-1)
    gram *= inverse.unsqueeze(-2)
    return valid.transpose(0, 1), cosine, gram


def _look_back(asked: Asked, cosine: Tensor, share: Tensor) -> Tensor:
    """Cosines of the items' tokens with what they attend in the queries: (B, K, L, M)."""
    shape = *cosine.shape[:3], *asked.weight.shape[::2]  # (L, K, M, B, M)
    cosine, share = (x.view(shape).movedim(-2, 0) for x in (cosine, share))
    gram = asked.gram.unsqueeze(2)  # (B, L, 1, M, M)
    found = _divide((share * cosine).sum(-1), ((share @ gram) * share).sum(-1))  # (B, L, K, M)
    return found.transpose(1, 2)


def _divide(product: Tensor, square: Tensor) -> Tensor:
    """Eq. 5: inner product over length; 0 where nothing is attended."""
    return (product * square.clamp(min=torch.finfo(square.dtype).tiny).rsqrt()).clamp(-1, 1)
