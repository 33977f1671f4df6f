"""Multi-Granular Alignment: the whole network (docs/math.md).

B images, L levels, M tokens a level, d token width, D global width.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.aggregator import EPS, FineGranularAggregator
from model.alignment import TokenAlignment, TokenSet
from model.backbone import Backbone, Features, build_backbone
from model.config import ModelConfig
from model.recall import RecallVector

GEM_POWER = 3.0


class ImageFeatures(NamedTuple):
    """What the network says about each image.

    global_feature: (B, D), unit length.
    tokens: (B, L, M, d), unit length, levels coarse to fine.
    mass: (B, L, M) in [0, 1].
    geometry: (B, L, M, 5), see `model.aggregator.LevelTokens`.
    """

    global_feature: Tensor
    tokens: Tensor
    mass: Tensor
    geometry: Tensor

    @property
    def token_set(self) -> TokenSet:
        """What alignment needs."""
        return TokenSet(self.tokens, self.mass)

    def every(self, step: int, first: int) -> "ImageFeatures":
        """Every `step`-th image from `first` on."""
        return ImageFeatures(*(part[first::step] for part in self))


class MGA(nn.Module):
    """Backbone, one aggregator a level, alignment, recall vector. The parts are built outside."""

    def __init__(
        self,
        config: ModelConfig,
        backbone: Backbone,
        aggregators: Sequence[FineGranularAggregator],
        alignment: TokenAlignment,
        recall: RecallVector,
    ) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.aggregators = nn.ModuleList(aggregators)
        self.alignment = alignment
        self.recall = recall
        # BNNeck: centres and scales the global feature; without a bias, as in CTL.
        self.neck = nn.BatchNorm1d(backbone.final_channels)
        self.neck.bias.requires_grad_(False)
        mean, std = config.preprocessing.mean, config.preprocessing.std
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor

    def normalise(self, pixels: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 to (B, 3, H, W) in the range the weights expect."""
        # Row by row and in place: channel by channel it took eight times as long.
        rows = pixels.to(self.mean.dtype, copy=True).flatten(2)  # (B, H, 3W)
        mean, std = (x.flatten().repeat(pixels.shape[2]) for x in (self.mean, self.std))
        rows.div_(255.0).sub_(mean).div_(std)
        return rows.view(pixels.shape).permute(0, 3, 1, 2)

    def encode(self, pixels: Tensor) -> ImageFeatures:
        """Encode normalised (B, 3, H, W) pixels."""
        return self.describe(self.backbone(pixels))

    def describe(self, features: Features) -> ImageFeatures:
        """Turn the backbone's maps into the global feature and the tokens."""
        levels = [a(x) for a, x in zip(self.aggregators, features.levels, strict=True)]
        tokens, mass, geometry = (torch.stack(x, dim=1) for x in zip(*levels, strict=True))
        return ImageFeatures(self.global_feature(features.final), tokens, mass, geometry)

    def tokens(self, features: Features) -> TokenSet:
        """Tokens alone: (B, L, M, d) and their mass (B, L, M)."""
        return self.describe(features).token_set

    def global_feature(self, final: Tensor) -> Tensor:
        """Pool the final map, through the neck, to unit length: (B, D, H, W) -> (B, D)."""
        with torch.autocast(final.device.type, enabled=False):
            pooled = self.pool(final.to(self.neck.weight.dtype))
            return F.normalize(self.neck(pooled), dim=-1, eps=EPS)

    def pool(self, final: Tensor) -> Tensor:
        """Average (the paper) or generalised-mean pooling: (B, D, H, W) -> (B, D)."""
        if self.config.backbone.global_pool == "avg":
            return final.mean(dim=(2, 3))
        return final.clamp(min=EPS).pow(GEM_POWER).mean(dim=(2, 3)).pow(1.0 / GEM_POWER)

    def recall_vector(self, features: ImageFeatures) -> Tensor:
        """What stage one compares, unit length: (B, D), or (B, R) or (B, D + R) with tokens."""
        vector: Tensor = self.recall(features.global_feature, features.token_set)
        return vector

    def align(self, query: TokenSet, candidates: TokenSet) -> Tensor:
        """S_token of (B, L, M, d) queries with (B, K, L, M, d) candidates: (B, K) in [-1, 1]."""
        score: Tensor = self.alignment(query, candidates)
        return score

    def forward(self, pixels: Tensor) -> ImageFeatures:
        """Same as `encode`."""
        return self.encode(pixels)


def build_mga(config: ModelConfig, backbone: Backbone | None = None) -> MGA:
    """Build the network with random weights, around `backbone` when one is given."""
    backbone = backbone or build_backbone(config.backbone)
    aggregators = [
        FineGranularAggregator(channels, config.aggregator) for channels in backbone.level_channels
    ]
    width = config.aggregator.token_dim
    alignment = TokenAlignment(config.num_levels, width, config.alignment)
    return MGA(config, backbone, aggregators, alignment, RecallVector(config))
