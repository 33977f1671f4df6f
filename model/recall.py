"""The vector of stage one: global, granular, or both in one (docs/math.md, Eq. 13-14).

B images, L levels, M tokens a level, d token width, D global width, R width of the
granular vector, P photos.
"""

from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.aggregator import EPS
from model.alignment import TokenSet
from model.config import ModelConfig, RecallName

NAMES: tuple[RecallName, ...] = get_args(RecallName)


class RecallVector(nn.Module):
    """Turns what is known of an image into one vector of unit length, for an ordinary index.

    Only a checkpoint that recalls by tokens carries a mean and a projection; random until
    they are fitted, which keeps inner products roughly. Without them the granular vector
    is the bare concatenation in its full width.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.options = config.recall
        if self.options.vector != "global":
            tokens = config.num_levels * config.aggregator.num_tokens
            width = tokens * config.aggregator.token_dim
            start = torch.randn(self.options.dim, width) / width**0.5
            self.register_buffer("mean", torch.zeros(width))
            self.register_buffer("projection", start)
            self.mean: Tensor
            self.projection: Tensor

    def forward(self, global_feature: Tensor, tokens: TokenSet) -> Tensor:
        """The checkpoint's own vector of (B, D) features and (B, L, M, d) tokens."""
        return self.compute(self.options.vector, global_feature, tokens)

    def compute(self, name: RecallName, global_feature: Tensor, tokens: TokenSet) -> Tensor:
        """Any of the three vectors: (B, D), (B, R) or (B, D + R)."""
        if name == "global":
            return global_feature
        with torch.autocast(tokens.tokens.device.type, enabled=False):
            granular = self.granular(tokens)
            if name == "granular":
                return granular
            share = self.options.global_weight
            return torch.cat((share**0.5 * global_feature, (1 - share) ** 0.5 * granular), dim=-1)

    def granular(self, tokens: TokenSet) -> Tensor:
        """Centre and project the joined tokens: (B, R), unit length.  Eq. 13"""
        joined = join_tokens(tokens)
        if self.options.vector == "global":
            return F.normalize(joined, dim=-1, eps=EPS)
        centred = F.normalize(joined - self.mean, dim=-1, eps=EPS)
        return F.normalize(centred @ self.projection.mT, dim=-1, eps=EPS)

    @torch.no_grad()
    def fit(self, joined: Tensor, generator: torch.Generator) -> None:
        """Fit mean and projection to (P, L * M * d) joined tokens of photos.

        The projection holds the principal directions. P photos have fewer than P; where
        more are asked for, random directions at right angles to them fill up, so that a
        photo unlike all of them still has a place. A single photo has no directions at all.
        """
        if self.options.vector == "global" or len(joined) < 2:
            return
        mean = joined.mean(0)
        centred = F.normalize(joined - mean, dim=-1, eps=EPS)
        size, width = self.projection.shape
        directions = _principal(centred)[: min(size, width)]
        if missing := min(size, width) - len(directions):
            random = torch.randn(missing, width, generator=generator)
            both = torch.linalg.qr(torch.cat((directions, random)).mT).Q.mT
            directions = torch.cat((directions, both[len(directions) :]))
        self.mean.copy_(mean)
        # Tokens narrower than the vector leave its last dimensions empty.
        self.projection.zero_()[: len(directions)] = directions


def join_tokens(tokens: TokenSet) -> Tensor:
    """Concatenate all tokens, each times the root of its share of its level: (B, L * M * d)."""
    share = tokens.mass / tokens.mass.sum(-1, keepdim=True).clamp(min=EPS)
    weighted = share.clamp(min=0).sqrt().unsqueeze(-1) * tokens.tokens
    return weighted.flatten(1)


def _principal(rows: Tensor) -> Tensor:
    """Directions (K, C) of (P, C) rows in which they extend, the longest first; K < P."""
    _, lengths, directions = torch.linalg.svd(rows, full_matrices=False)
    found = int((lengths > 1e-4 * lengths[0].clamp(min=EPS)).sum())
    # The sign of a direction is arbitrary; the largest entry decides, so that runs agree.
    top = directions[:found]
    sign = top.gather(1, top.abs().argmax(1, keepdim=True)).sign()
    signed: Tensor = top * sign
    return signed
