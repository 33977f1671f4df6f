"""Attribute-aware spatial attention (ASA): where to look for an attribute (docs/math.md, Eq. 18).

B images, A attributes, C channels, N = H*W locations, D width of an attribute's vector,
c' common width.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SpatialAttention(nn.Module):
    """Compares every location with the attribute, in a common width."""

    def __init__(self, channels: int, attribute_dim: int, common_width: int) -> None:
        super().__init__()
        self.image_side = nn.Conv2d(channels, common_width, 1)
        self.attribute_side = nn.Linear(attribute_dim, common_width)

    def forward(self, features: Tensor, attributes: Tensor) -> tuple[Tensor, Tensor]:
        """Pool (B, C, H, W) maps by each of (B, A, D) attribute vectors.

        Returns:
            I_s, (B, A, C), and the attention maps (B, A, H, W): shares >= 0 that sum to 1,
            in float32.
        """
        height, width = features.shape[-2:]
        keys = torch.tanh(self.image_side(features)).flatten(2)  # (B, c', N)
        queries = torch.tanh(self.attribute_side(attributes))  # (B, A, c')
        scores = queries.float() @ keys.float() / math.sqrt(keys.shape[1])  # (B, A, N)
        share = F.softmax(scores, dim=-1)
        pooled = share @ features.float().flatten(2).mT  # (B, A, C)
        return pooled, share.view(*share.shape[:2], height, width)
