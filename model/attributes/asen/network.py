"""ASEN++: two branches that share a table of attributes (docs/math.md, section 10).

B photos, A attributes, S pixels a side of a source photo, C channels of a map, D width of
an attribute's vector, E width of an embedding.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.attributes.asen.channel import ChannelAttention
from model.attributes.asen.config import AsenConfig, BranchOptions
from model.attributes.asen.roi import cut_regions, find_regions, whole_boxes
from model.attributes.asen.spatial import SpatialAttention
from model.backbone import Backbone, build_backbone
from model.errors import CheckpointError


class Attended(NamedTuple):
    """embedding: (B, A, E), not normalised; attention: (B, A, H, W), or None without any."""

    embedding: Tensor
    attention: Tensor | None


class Embedded(NamedTuple):
    """Of B photos and A attributes: embeddings (B, A, E) of both branches, and regions (B, A, 4).

    Embeddings are not normalised. `local` and `regions` are None where only the global
    branch was asked, and (B, 1, ...) where the local one was asked for one attribute a photo.
    """

    whole: Tensor
    local: Tensor | None
    regions: Tensor | None


class AttributeHead(nn.Module):
    """ASA, ACA and the output layer, on a map of any network."""

    def __init__(
        self,
        channels: int,
        *,
        attribute_dim: int,
        common_width: int,
        reduction: int,
        embedding_dim: int,
    ) -> None:
        super().__init__()
        self.spatial = SpatialAttention(channels, attribute_dim, common_width)
        self.channel = ChannelAttention(channels, attribute_dim, reduction)
        self.output = nn.Linear(channels, embedding_dim)

    def forward(self, features: Tensor, attributes: Tensor) -> Attended:
        """Embed (B, C, H, W) maps for (B, A, D) attribute vectors; the map is read once."""
        pooled, attention = self.spatial(features, attributes)  # (B, A, C)
        return Attended(self.output(self.channel(pooled, attributes)), attention)


class PooledHead(nn.Module):
    """One embedding for all attributes: the mean over the map, and a linear layer."""

    def __init__(self, channels: int, embedding_dim: int) -> None:
        super().__init__()
        self.output = nn.Linear(channels, embedding_dim)

    def forward(self, features: Tensor, attributes: Tensor) -> Attended:
        """Embed (B, C, H, W) maps; which attributes are asked for changes nothing."""
        embedding = self.output(features.float().mean(dim=(2, 3)))  # (B, E)
        return Attended(embedding[:, None].expand(-1, attributes.shape[1], -1), None)


class Branch(nn.Module):
    """A backbone and a head on its only level."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, options: BranchOptions, backbone: Backbone, head: AttributeHead | PooledHead
    ) -> None:
        super().__init__()
        self.options = options
        self.backbone = backbone
        self.head = head
        for name, values in (("mean", options.mean), ("std", options.std)):
            # In the config already, so not in the file's tensors as well.
            pixel = 255.0 * torch.tensor(values).view(1, 3, 1, 1)
            self.register_buffer(name, pixel, persistent=False)

    def forward(self, pixels: Tensor, attributes: Tensor, *, half: bool = False) -> Attended:
        """Embed (B, 3, H, W) pixels, 0..255, for (B, A, D) vectors; `half`: trunk in bfloat16."""
        normal = ((pixels - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=half):
            features = self.backbone(normal).levels[0]
        attended: Attended = self.head(features.float(), attributes)
        return attended


class Asen(nn.Module):
    """The table of attributes, the global branch, and the local one where there is one."""

    def __init__(self, config: AsenConfig, whole: Branch, local: Branch | None) -> None:
        super().__init__()
        self.config = config
        self.table = nn.Embedding(len(config.attributes), config.attribute_dim)
        self.global_branch = whole
        self.local_branch = local

    def forward(
        self,
        photos: Tensor,
        attributes: Tensor,
        *,
        local_only: Tensor | None = None,
        half: bool = False,
    ) -> Embedded:
        """Embed photos for attributes.

        The global branch looks once at every photo; the local one, where the config says
        `fused`, once at every photo and attribute.

        Args:
            photos: (B, 3, S, S), 0..255, uint8 or float, framed.
            attributes: (B, A) indices, or (A,) the same for all photos.
            local_only: (B,) columns of `attributes`: the one that the local branch looks at.
            half: trunks in bfloat16; attention, embeddings and regions are float32.
        """
        options = self.config.global_branch
        count = len(photos)
        vectors = self.table(attributes.expand(count, attributes.shape[-1]))  # (B, A, D)
        source = photos.float()
        pixels = cut_regions(source, whole_boxes(count, source.device), options.image_size)
        whole: Attended = self.global_branch(pixels, vectors, half=half)
        if not self.config.fused or whole.attention is None:
            return Embedded(whole.embedding, None, None)
        assert self.local_branch is not None
        attention = whole.attention.detach()
        if local_only is not None:
            rows = torch.arange(count, device=source.device)
            attention = attention[rows, local_only][:, None]
            vectors = vectors[rows, local_only][:, None]
        regions = self._find(attention)  # (B, A, 4)
        parts = self._cut(source, regions)  # (B * A, 3, O, O)
        local: Attended = self.local_branch(parts, vectors.flatten(0, 1)[:, None], half=half)
        return Embedded(whole.embedding, local.embedding.view(*regions.shape[:2], -1), regions)

    def fuse(self, embedded: Embedded) -> Tensor:
        """Unit vectors (B, A, 2 E) whose inner product mixes both cosines by beta (Eq. 25).

        Without a local embedding, the global one alone: (B, A, E).
        """
        whole = F.normalize(embedded.whole.float(), dim=-1)
        if embedded.local is None:
            return whole
        local = F.normalize(embedded.local.float(), dim=-1)
        beta = self.config.beta
        return torch.cat([beta**0.5 * whole, (1.0 - beta) ** 0.5 * local], dim=-1)

    def _find(self, attention: Tensor) -> Tensor:
        """Regions of (B, A, H, W) maps, with the frame as fine as what the global branch saw."""
        frame = self.config.global_branch.image_size
        found = find_regions(attention.flatten(0, 1), frame, self.config.region)
        return found.view(*attention.shape[:2], 4)

    def _cut(self, source: Tensor, regions: Tensor) -> Tensor:
        assert self.local_branch is not None
        each = source.repeat_interleave(regions.shape[1], dim=0)
        return cut_regions(each, regions.flatten(0, 1), self.local_branch.options.image_size)


def build_asen(
    config: AsenConfig, whole: Backbone | None = None, local: Backbone | None = None
) -> Asen:
    """Build the network with random weights, around given backbones where there are any.

    Raises:
        CheckpointError: a backbone there is not, or one whose maps do not fit.
    """
    local_branch = None
    if config.local_branch is not None:
        local_branch = _build_branch(config, config.local_branch, local)
    return Asen(config, _build_branch(config, config.global_branch, whole), local_branch)


def _build_branch(config: AsenConfig, options: BranchOptions, backbone: Backbone | None) -> Branch:
    backbone = backbone or build_trunk(options)
    (channels,) = backbone.level_channels
    if config.network == "plain":
        return Branch(options, backbone, PooledHead(channels, options.embedding_dim))
    head = AttributeHead(
        channels,
        attribute_dim=config.attribute_dim,
        common_width=options.common_width,
        reduction=config.reduction,
        embedding_dim=options.embedding_dim,
    )
    return Branch(options, backbone, head)


def build_trunk(options: BranchOptions, *, pretrained: bool = False) -> Backbone:
    """The backbone up to the stage whose map the head reads, and nothing after it."""
    if len(options.backbone.strides) != 1:
        raise CheckpointError(
            f"a branch reads one map, and {options.backbone.name} is asked for strides "
            f"{options.backbone.strides}; name one"
        )
    return cut_off(build_backbone(options.backbone, pretrained=pretrained))


def cut_off(backbone: Backbone) -> Backbone:
    """Drop the stages after the only level, in place: they would compute for nobody."""
    prune = getattr(backbone.net, "prune_intermediate_layers", None)
    if prune is not None:
        prune(backbone.indices, prune_norm=False, prune_head=True)
    return backbone
