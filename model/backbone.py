"""Any timm network as a source of levels, coarse to fine, and a final map.

B images, C channels of a level, D channels of the final map.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import timm
import torch.nn.functional as F
from timm.layers import BatchNormAct2d, create_conv2d
from timm.models.resnetv2 import ResNetV2
from torch import Tensor, nn

from model.config import BackboneOptions
from model.errors import CheckpointError
from model.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from model.smallnet import SmallResNet

# Names that are not timm's own.
OWN_NAMES = {"tiny": "test_efficientnet"}


class Features(NamedTuple):
    """levels: (B, C, H, W) maps, coarse to fine; final: (B, D, H, W)."""

    levels: tuple[Tensor, ...]
    final: Tensor


class Backbone(nn.Module):
    """Runs `net` once and hands out the maps of the wanted strides."""

    def __init__(self, net: nn.Module, options: BackboneOptions) -> None:
        super().__init__()
        self.net = net
        self.options = options
        info = {f["reduction"]: (i, f["num_chs"]) for i, f in enumerate(_feature_info(net))}
        missing = [stride for stride in options.strides if stride not in info]
        if missing:
            raise CheckpointError(
                f"{options.name} has no feature map of stride {missing[0]}; "
                f"it has {sorted(info)}: choose strides among them"
            )
        self.indices = [info[stride][0] for stride in options.strides]
        self.level_channels = [info[stride][1] for stride in options.strides]
        self.final_channels: int = getattr(net, "num_features")  # noqa: B009

    def forward(self, pixels: Tensor) -> Features:
        """Map normalised (B, 3, H, W) pixels to features."""
        read: Callable[..., tuple[Tensor, list[Tensor]]] = self.net.forward_intermediates  # type: ignore[assignment]
        final, maps = read(pixels, indices=sorted(self.indices))
        by_index = dict(zip(sorted(self.indices), maps, strict=True))
        levels = tuple(self._pool(by_index[index], s) for index, s in self._level_strides())
        return Features(levels, final)

    def _level_strides(self) -> list[tuple[int, int]]:
        return list(zip(self.indices, self.options.strides, strict=True))

    def _pool(self, level: Tensor, stride: int) -> Tensor:
        """Average cells up to the common grid, where the preset wants one."""
        factor = (self.options.grid_stride or stride) // stride
        return F.avg_pool2d(level, factor) if factor > 1 else level


def build_backbone(options: BackboneOptions, *, pretrained: bool = False) -> Backbone:
    """Create the network; `pretrained` fetches ImageNet weights through timm."""
    if options.name in _OWN_NETWORKS:
        return Backbone(_OWN_NETWORKS[options.name](), options)
    name = OWN_NAMES.get(options.name, options.name)
    if not timm.is_model(name):
        raise CheckpointError(
            f"timm has no network {name!r}; see `timm.list_models()` for the names it has"
        )
    net = timm.create_model(name, pretrained=pretrained, num_classes=0)
    if not hasattr(net, "forward_intermediates"):
        raise CheckpointError(f"timm's {name} cannot hand out feature maps; choose another network")
    return Backbone(net, options)


def input_statistics(net: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation (units of 0..1) that the network's own weights expect."""
    config = getattr(net, "pretrained_cfg", None) or {}
    return tuple(config.get("mean", IMAGENET_MEAN)), tuple(config.get("std", IMAGENET_STD))


def _feature_info(net: nn.Module) -> list[dict[str, int]]:
    info: Any = net.feature_info
    return list(getattr(info, "info", info))


class PreActivationTrunk(ResNetV2):  # type: ignore[misc]
    """ResNet-50 v2 without its last stage: the trunk ASEN++ uses, stride 16, 1,024 channels.

    The raw sums that leave a pre-activation stage are not rectified; the maps handed
    out are, as those of any other ResNet. The last map also passes the final norm.
    """

    def __init__(self) -> None:
        super().__init__(
            layers=[3, 4, 6],
            channels=(256, 512, 1024),
            num_classes=0,
            global_pool="",
            preact=True,
            conv_layer=create_conv2d,
            norm_layer=BatchNormAct2d,
        )
        stem = OrderedDict(self.get_submodule("stem").named_children())
        # The public weights normalise right after the first convolution; timm's stem does not.
        parts = [("conv", stem.pop("conv")), ("norm", BatchNormAct2d(64)), *stem.items()]
        self.stem = nn.Sequential(OrderedDict(parts))

    def forward_intermediates(
        self, x: Tensor, indices: list[int] | None = None, **_: object
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the last map and the maps of `indices` (1-based stages), all rectified."""
        maps = []
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
            maps.append(F.relu(x))
        maps[-1] = self.norm(x)
        return maps[-1], [maps[i - 1] for i in indices or range(1, len(maps) + 1)]


_OWN_NETWORKS: dict[str, type[nn.Module]] = {
    "resnet50v2_trunk": PreActivationTrunk,
    "small_resnet": SmallResNet,
}
