"""Which pairs of tokens make up S_token: its exact sum, pair by pair (docs/math.md, Eq. 16).

K candidates of one query, L levels, M tokens a level; i counts the query's tokens of a
level, j the candidate's. P pairs of images, S = 2 their sides.
"""

from typing import Generic, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from model.aggregator import EPS
from model.alignment import Attended, TokenAlignment, TokenSet, pair_up
from model.blocks import is_real

Array = TypeVar("Array")


class Decomposition(NamedTuple, Generic[Array]):
    """S_token of K candidates as a sum: shares over (L, M, M), plus `constant`, is S_token.

    share: (K, L, M, M), what query token i and candidate token j add, both ways together;
        negative where they speak against each other, zero for padding.
    similarity: (K, L, M, M), their cosine in [-1, 1], of the refined tokens at the coarse level.
    constant: (K,), what belongs to no pair: zero, except with reduction "lse".

    `Array` is a tensor, or numpy's array on the host.
    """

    share: Array
    similarity: Array
    constant: Array


@torch.no_grad()
def decompose(
    alignment: TokenAlignment, query: TokenSet, candidates: TokenSet
) -> Decomposition[Tensor]:
    """Take S_token of one query (1, L, M, d) and its candidates (1, K, L, M, d) apart.

    With compare "coarse", the finer levels' shares are zero.
    """
    with torch.autocast(query.tokens.device.type, enabled=False):
        pair = pair_up(alignment.prepare(query), alignment.prepare(candidates))
        shape = (len(pair.tokens), *pair.tokens.shape[2:4])  # (P, L, M)
        share = pair.tokens.new_zeros((*shape, shape[-1]))
        similarity, constant = torch.zeros_like(share), share.new_zeros(shape[0])
        for level, weight in enumerate(alignment.level_weight):
            if level and alignment.options.compare == "coarse":
                break
            tokens = pair.tokens[:, :, level] if level else alignment.refine_tokens(pair)
            found = _decompose_level(alignment, tokens, pair.mass[:, :, level])
            share[:, level], similarity[:, level] = weight * found.share, found.similarity
            constant += weight * found.constant
    return Decomposition(share, similarity, constant)


def _decompose_level(
    alignment: TokenAlignment, tokens: Tensor, mass: Tensor
) -> Decomposition[Tensor]:
    """One level: (P, S, M, d) tokens to (P, M, M) shares."""
    unit, valid = F.normalize(tokens, dim=-1, eps=EPS), is_real(tokens)
    weight = alignment.token_weight(mass, valid)
    forward = alignment.attend(unit[:, 0], unit[:, 1], valid[:, 1])
    backward = alignment.attend(unit[:, 1], unit[:, 0], valid[:, 0])
    ways = _sum_terms(forward), _sum_terms(backward)  # (P, M, M) each, rows sum to R
    counts = _count_tokens(alignment, [way.sum(-1) for way in ways], weight, valid)
    parts = [count.unsqueeze(-1) * way for count, way in zip(counts.ways, ways, strict=True)]
    both = valid[:, 0].unsqueeze(-1) & valid[:, 1].unsqueeze(-2)
    return Decomposition(
        parts[0] + parts[1].mT, forward.similarity.clamp(-1, 1) * both, counts.constant
    )


class _Counts(NamedTuple):
    """How much each token's relevance counts (P, M), for both ways; and what is left (P,)."""

    ways: tuple[Tensor, Tensor]
    constant: Tensor


def _sum_terms(attended: Attended) -> Tensor:
    """Eq. 5 before its sum: what each token of the other image adds to R."""
    return attended.share * attended.similarity / attended.length.unsqueeze(-1)


def _count_tokens(
    alignment: TokenAlignment, relevance: list[Tensor], weight: Tensor, valid: Tensor
) -> _Counts:
    """Eq. 6 as a weighted sum of relevances: exact for mean and max, lse leaves a constant."""
    options = alignment.options
    if options.direction == "query":
        count, constant = _reduce_to_sum(alignment, relevance[0], weight[:, 0], valid[:, 0])
        return _Counts((count, torch.zeros_like(count)), constant)
    if options.pairing == "same_index" and options.reduction != "mean":
        middle = (relevance[0] + relevance[1]) / 2
        count, constant = _reduce_to_sum(alignment, middle, weight.mean(1), valid.all(1))
        return _Counts((count / 2, count / 2), constant)
    one, other = (
        _reduce_to_sum(alignment, relevance[side], weight[:, side], valid[:, side])
        for side in (0, 1)
    )
    return _Counts((one[0] / 2, other[0] / 2), (one[1] + other[1]) / 2)


def _reduce_to_sum(
    alignment: TokenAlignment, relevance: Tensor, weight: Tensor, valid: Tensor
) -> tuple[Tensor, Tensor]:
    """Counts pi (P, M) and a constant (P,) with reduce(R) = sum_i pi_i R_i + constant."""
    options = alignment.options
    nothing = relevance.new_zeros(len(relevance))
    if options.reduction == "mean":
        return weight, nothing
    some = valid.any(-1, keepdim=True)
    if options.reduction == "max":
        best = relevance.masked_fill(~valid, -torch.inf).argmax(-1)
        return F.one_hot(best, relevance.shape[-1]) * some.to(relevance.dtype), nothing
    prior = weight.clamp(min=EPS).log()
    logits = (options.lse_scale * relevance + prior).masked_fill(~valid, -torch.inf)
    logits = logits.masked_fill(~some, 0.0)
    count = logits.softmax(-1) * some
    # log-sum-exp is the mean under the counts less their divergence from the weights.
    divergence = (count * (logits.log_softmax(-1) - prior).masked_fill(~valid, 0.0)).sum(-1)
    return count, -divergence / options.lse_scale
