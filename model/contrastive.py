"""Contrastive training: every query of a batch against every item (docs/math.md, Eq. 17).

B queries and as many items, L levels, M tokens a level, d token width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.alignment import TokenAlignment, TokenSet
from model.bare import can_compare_bare, compare_bare
from model.mga import MGA, ImageFeatures

# Cosines lie close together: logits need a scale, learned from here.
START_SCALE = 25.0
MAX_SCALE = 100.0
# Weight of the single levels together, and of the global score, beside the token score.
SIDE_WEIGHT = 0.5


class ContrastiveLoss(nn.Module):
    """Symmetric cross entropy (InfoNCE; as in CLIP) over a batch of matching pairs.

    On the token score, and with half the weight on each level alone and on the global
    score; each kind of score has its own learned scale. With `stage_one`, pairs go through
    ATA's blocks, even while those change nothing yet: so they can learn.
    """

    def __init__(self, num_levels: int, *, stage_one: bool = False) -> None:
        super().__init__()
        self.stage_one = stage_one
        self.log_scale = nn.Parameter(torch.full((num_levels + 2,), START_SCALE).log())

    def forward(self, model: MGA, queries: ImageFeatures, items: ImageFeatures) -> Tensor:
        """Mean loss of B queries and B items; the same place is the same garment."""
        sides = queries.token_set, items.token_set
        levels = score_levels(model.alignment, *sides, stage_one=self.stage_one)
        tokens = levels @ model.alignment.level_weight[: levels.shape[-1]]
        whole = queries.global_feature @ items.global_feature.mT
        scales = self.log_scale.exp().clamp(max=MAX_SCALE)
        kinds = (tokens, whole, *levels.unbind(-1))
        losses = [match_loss(s * scores) for s, scores in zip(scales, kinds, strict=False)]
        return losses[0] + SIDE_WEIGHT * (losses[1] + torch.stack(losses[2:]).mean())


def match_loss(logits: Tensor) -> Tensor:
    """Cross entropy of (B, B) logits towards their diagonal, by rows and by columns."""
    right = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, right) + F.cross_entropy(logits.mT, right)) / 2


def score_levels(
    alignment: TokenAlignment, queries: TokenSet, items: TokenSet, *, stage_one: bool = False
) -> Tensor:
    """Level scores of all (B, L, M, d) queries with all (K, L, M, d) items: (B, K, L).

    While stage one changes nothing, tokens are compared as they are, by a few matrix
    products; otherwise, or with `stage_one`, every pair goes through the blocks.
    """
    bare = not stage_one and can_compare_bare(alignment)
    with torch.autocast(queries.tokens.device.type, enabled=False):
        if bare:
            return compare_bare(alignment, queries, items)
        prepared = alignment.prepare(items).map(lambda x: x.expand(len(queries.tokens), *x.shape))
        return alignment.level_scores(alignment.prepare(queries), prepared)
