"""Attribute-aware channel attention (ACA): which channels speak of an attribute (Eq. 19).

B images, A attributes, C channels, D width of an attribute's vector.
"""

import torch
from torch import Tensor, nn


class ChannelAttention(nn.Module):
    """Gates the pooled channels by what was found there and by what was asked for."""

    def __init__(self, channels: int, attribute_dim: int, reduction: int) -> None:
        super().__init__()
        self.attribute_side = nn.Linear(attribute_dim, attribute_dim)
        self.squeeze = nn.Linear(channels + attribute_dim, channels // reduction)
        self.excite = nn.Linear(channels // reduction, channels)

    def forward(self, pooled: Tensor, attributes: Tensor) -> Tensor:
        """Gate I_s, (B, A, C), by (B, A, D) attribute vectors: I_c, (B, A, C)."""
        asked = torch.relu(self.attribute_side(attributes))  # (B, A, D)
        hidden = torch.relu(self.squeeze(torch.cat([pooled, asked], dim=-1)))
        return pooled * torch.sigmoid(self.excite(hidden))
