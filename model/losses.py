"""What training minimises (docs/math.md, Eq. 10-12).

B images, D width of the global feature, I items (identities).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.errors import ParameterError


class IdentityLoss(nn.Module):
    """Classify each image as its item; the classifier is thrown away after training.  Eq. 10

    With `margin` 0 the logits are those of a plain linear layer without bias (BNNeck
    practice); above 0, cosines with an additive margin on the right class (CosFace),
    times `scale`.
    """

    def __init__(
        self,
        num_items: int,
        width: int,
        *,
        smoothing: float = 0.1,
        margin: float = 0.0,
        scale: float = 32.0,
    ) -> None:
        super().__init__()
        if num_items < 2:
            raise ParameterError(f"training has {num_items} item(s); at least 2 are needed")
        self.smoothing, self.margin, self.scale = smoothing, margin, scale
        self.weight = nn.Parameter(torch.randn(num_items, width) * 0.001)

    def forward(self, features: Tensor, items: Tensor) -> Tensor:
        """Mean cross entropy of (B, D) features after the neck, not normalised, and (B,) items."""
        if not self.margin:
            logits = features @ self.weight.mT  # (B, I)
        else:
            cosine = F.normalize(features, dim=-1) @ F.normalize(self.weight, dim=-1).mT
            right = F.one_hot(items, len(self.weight)).to(cosine.dtype)
            logits = self.scale * (cosine - self.margin * right)
        return F.cross_entropy(logits, items, label_smoothing=self.smoothing)


def hardest(scores: Tensor, items: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Batch-hard mining over a (B, B) score matrix.

    Returns each anchor's lowest score with its own item and its highest with another,
    for the anchors that have both. Images that are not `valid` (padding of small
    items) neither search nor are found.
    """
    valid = torch.ones_like(items, dtype=torch.bool) if valid is None else valid
    seen = valid[:, None] & valid[None]
    same = items[:, None] == items[None]
    itself = torch.eye(len(items), dtype=torch.bool, device=items.device)
    positive, negative = seen & same & ~itself, seen & ~same
    usable = positive.any(1) & negative.any(1)
    nearest = scores.masked_fill(~negative, -math.inf).amax(1)
    furthest = scores.masked_fill(~positive, math.inf).amin(1)
    return furthest[usable], nearest[usable]


def triplet_loss(
    scores: Tensor, items: Tensor, *, margin: float = 0.2, valid: Tensor | None = None
) -> Tensor:
    """Hinge on the hardest triplet of each anchor.  Eq. 11-12

    With the fused score this is the multi-granular triplet loss, with S_global the
    plain one. 0 when no anchor has both a positive and a negative.
    """
    positive, negative = hardest(scores, items, valid)
    if not len(positive):
        return scores.sum() * 0.0
    return F.relu(margin - positive + negative).mean()


def softmax_loss(
    scores: Tensor, items: Tensor, *, scale: float = 16.0, valid: Tensor | None = None
) -> Tensor:
    """Cross entropy of each pair of one item against all negatives of its anchor.

    Where `triplet_loss` looks at one triplet an anchor, this weighs every pair of the batch
    by its score: from random weights it learns several times faster. 0 when no anchor has
    both a positive and a negative.
    """
    valid = torch.ones_like(items, dtype=torch.bool) if valid is None else valid
    seen = valid[:, None] & valid[None]
    same = items[:, None] == items[None]
    itself = torch.eye(len(items), dtype=torch.bool, device=items.device)
    negative = seen & ~same
    positive = seen & same & ~itself & negative.any(1, keepdim=True)
    if not bool(positive.any()):
        return scores.sum() * 0.0
    logits = scale * scores
    # Not -inf: rows of invalid anchors have no negative, and would be NaN backward.
    against = logits.masked_fill(~negative, -1e9).logsumexp(1, keepdim=True)  # (B, 1)
    return F.softplus(against - logits)[positive].mean()
