"""A small residual network that learns from nothing in minutes on a CPU.

Dense 3x3 convolutions only: a CPU's matrix units run them in bfloat16 several times
faster than float32, and depthwise ones hardly.

B images, S pixels a side, C channels of a stage.
"""

import torch.nn.functional as F
from torch import Tensor, nn

STEM = 16
STAGES = (32, 64, 128, 256)  # of strides 4, 8, 16, 32


class SmallResNet(nn.Module):
    """Four residual blocks, strides 4 to 32; hands out maps as timm's networks do."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_unit(3, STEM, 2), *_unit(STEM, STAGES[0], 2))
        before = (STAGES[0], *STAGES[:-1])
        self.stages = nn.ModuleList(
            Block(narrow, wide, stride=1 if narrow == wide else 2)
            for narrow, wide in zip(before, STAGES, strict=True)
        )
        self.feature_info = [
            {"num_chs": wide, "reduction": 4 * 2**number} for number, wide in enumerate(STAGES)
        ]
        self.num_features = STAGES[-1]
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_intermediates(
        self, x: Tensor, indices: list[int] | None = None, **_: object
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the last map (B, 256, S/32, S/32) and the maps of `indices`, fine to coarse."""
        x, maps = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return x, [maps[i] for i in (range(len(maps)) if indices is None else indices)]


class Block(nn.Module):
    """Two convolutions and a shortcut; starts as the shortcut alone."""

    def __init__(self, narrow: int, wide: int, stride: int) -> None:
        super().__init__()
        norm = nn.BatchNorm2d(wide)
        nn.init.zeros_(norm.weight)
        second = nn.Conv2d(wide, wide, 3, padding=1, bias=False)
        self.residual = nn.Sequential(*_unit(narrow, wide, stride), second, norm)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or narrow != wide:
            widen = nn.Conv2d(narrow, wide, 1, stride, bias=False)
            self.shortcut = nn.Sequential(widen, nn.BatchNorm2d(wide))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H/stride, W/stride)."""
        return F.relu(self.residual(x) + self.shortcut(x))


def _unit(narrow: int, wide: int, stride: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(narrow, wide, 3, stride, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(wide), nn.ReLU(inplace=True)
