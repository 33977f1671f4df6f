"""The losses of ASEN++ (docs/math.md, Eq. 22-26); cosines in float32.

T triplets, B photos, A attributes, D width of an embedding; the roles are anchor x,
positive p and negative n.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def triplet_loss(embeddings: Tensor, margin: float) -> Tensor:
    """Eq. 22: mean over (3, T, D) embeddings, roles x, p, n."""
    x, p, n = embeddings.float()
    same, other = F.cosine_similarity(x, p, dim=-1), F.cosine_similarity(x, n, dim=-1)
    return F.relu(margin - same + other).mean()


def alignment_loss(global_embeddings: Tensor, local_embeddings: Tensor) -> Tensor:
    """Eq. 23: 1 - cosine of (3, T, D) global and local embeddings; roles are added, not averaged.

    Gradients reach both branches.
    """
    cosine = F.cosine_similarity(global_embeddings.float(), local_embeddings.float(), dim=-1)
    return torch.sum((1.0 - cosine).mean(dim=-1))


def batch_triplet_loss(embeddings: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Eq. 26: every triplet of a batch that the labels allow, for every attribute.

    Args:
        embeddings: (B, A, D).
        labels: (B, A) values; below 0 where a photo's value is not known.
        margin: of the hinge.

    Returns:
        The mean over attributes of the mean over their triplets that the hinge is not done
        with; an attribute without any counts 0.
    """
    unit = F.normalize(embeddings.float(), dim=-1).transpose(0, 1)  # (A, B, D)
    cosine = unit @ unit.mT  # (A, B, B)
    values = labels.T
    known = values >= 0
    both = known[:, :, None] & known[:, None, :]
    equal = values[:, :, None] == values[:, None, :]
    itself = torch.eye(values.shape[1], dtype=torch.bool, device=values.device)
    same, other = both & equal & ~itself, both & ~equal
    hinge = F.relu(margin - cosine[..., None] + cosine[:, :, None])  # (A, B, B, B)
    hinge = hinge * (same[..., None] & other[:, :, None])
    open_ones = (hinge > 0).sum(dim=(1, 2, 3)).clamp(min=1)
    return torch.mean(hinge.sum(dim=(1, 2, 3)) / open_ones)
