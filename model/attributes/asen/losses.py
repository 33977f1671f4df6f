"""The losses of ASEN++ (docs/math.md, Eq. 24-26); cosines in float32.

T triplets, D width of an embedding; the roles are anchor x, positive p and negative n.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def triplet_loss(embeddings: Tensor, margin: float) -> Tensor:
    """Eq. 24: mean over (3, T, D) embeddings, roles x, p, n."""
    x, p, n = embeddings.float()
    same, other = F.cosine_similarity(x, p, dim=-1), F.cosine_similarity(x, n, dim=-1)
    return F.relu(margin - same + other).mean()


def alignment_loss(global_embeddings: Tensor, local_embeddings: Tensor) -> Tensor:
    """Eq. 25: 1 - cosine of (3, T, D) global and local embeddings; roles are added, not averaged.

    Gradients reach both branches.
    """
    cosine = F.cosine_similarity(global_embeddings.float(), local_embeddings.float(), dim=-1)
    return torch.sum((1.0 - cosine).mean(dim=-1))
