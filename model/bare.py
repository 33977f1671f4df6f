"""Token alignment without its first stage, by a few matrix products (docs/math.md, Eq. 4-6).

B queries and K items, all with all, L levels, M tokens a level, d token width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from model.aggregator import EPS
from model.alignment import MAX_TEMPERATURE, TokenAlignment, TokenSet, masked_softmax
from model.blocks import is_real


def can_compare_bare(alignment: TokenAlignment) -> bool:
    """Whether `compare_bare` gives this alignment's scores: bare tokens, averaged."""
    return alignment.options.reduction == "mean" and not alignment.has_stage_one()


def compare_bare(alignment: TokenAlignment, queries: TokenSet, items: TokenSet) -> Tensor:
    """Eq. 4-6 on bare tokens, of all (B, L, M, d) with all (K, L, M, d): (B, K, L).

    The length of what a token attends follows from the other image's inner products, so
    that no attended token is ever built. For reduction "mean"; with compare "coarse", L is 1.
    """
    if alignment.options.compare == "coarse":
        queries, items = (TokenSet(x.tokens[:, :1], x.mass[:, :1]) for x in (queries, items))
    # A token that hardly any cell belongs to is shorter than 1.
    queries, items = (
        TokenSet(F.normalize(x.tokens, dim=-1, eps=EPS), x.mass) for x in (queries, items)
    )
    temperature = alignment.temperature.clamp(max=MAX_TEMPERATURE)
    count, _, width = queries.mass.shape
    rows = queries.tokens.transpose(0, 1).flatten(1, 2)  # (L, B M, d)
    # One matrix product a level, whatever the number of items.
    similarity = torch.einsum("lpd,klnd->klpn", rows, items.tokens).contiguous()
    found = _relevance(similarity, _gram(items), is_real(items.tokens), temperature)
    found = _split(found, -1, count, width)  # (B, K, L, M)
    one: Tensor = (found * _weights(alignment, queries)[:, None]).sum(-1)
    if alignment.options.direction == "query":
        return one
    similarity = _split(similarity, -2, count, width)  # (B, K, L, M, M)
    gram, valid = _gram(queries)[:, None], is_real(queries.tokens)[:, None]
    found = _relevance(similarity.mT, gram, valid, temperature)
    other: Tensor = (found * _weights(alignment, items)[None]).sum(-1)
    return (one + other) / 2


def _split(rows: Tensor, axis: int, count: int, width: int) -> Tensor:
    """(K, L, B M, ...) to (B, K, L, M, ...): `axis`, from the end, holds queries' tokens."""
    shape = list(rows.shape)
    shape[axis : axis + 1 or None] = [count, width]
    return rows.reshape(shape).movedim(2, 0)


def _gram(images: TokenSet) -> Tensor:
    return images.tokens @ images.tokens.mT  # (..., L, M, M)


def _relevance(similarity: Tensor, gram: Tensor, valid: Tensor, temperature: Tensor) -> Tensor:
    """(..., P, M) similarities to (..., P) cosines with what each token attends.

    gram (..., M, M) and valid (..., M) are the other image's.
    """
    logits = temperature * similarity
    if bool(valid.all()):
        share = logits.softmax(dim=-1)
    else:
        share = masked_softmax(logits, valid.unsqueeze(-2).expand_as(similarity))
    length = ((share @ gram) * share).sum(-1).clamp(min=EPS**2).sqrt()
    return (share * similarity).sum(-1) / length


def _weights(alignment: TokenAlignment, images: TokenSet) -> Tensor:
    return alignment.token_weight(images.mass, is_real(images.tokens))
