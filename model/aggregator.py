"""Fine-Granular Aggregator: one feature map to M tokens (docs/math.md, Eq. 1-2).

B images, C channels, N = H*W cells, M tokens, G ghosts, d token width.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.config import AggregatorOptions

MAX_SCALE = 100.0
# 1e-12, the usual epsilon, is 0 in half precision; a masked image would become NaN.
EPS = 1e-6
# Here everything is float32, and a token that holds a millionth of a cell still has a direction.
TINY = 1e-12


class LevelTokens(NamedTuple):
    """Tokens of one level.

    tokens: (B, M, d), unit length, or all zero where no cell was assigned.
    mass: (B, M) in [0, 1], the share of the level's cells each token holds.
    geometry: (B, M, 5): centre x, y, standard deviations x, y (fractions of the
        input's side) and correlation in [-1, 1] of the cells in a token.
    """

    tokens: Tensor
    mass: Tensor
    geometry: Tensor


class FineGranularAggregator(nn.Module):
    """Soft assignment of cells to M learned centres, then one vector per centre.

    The G ghost centres take part in the softmax and are then dropped: background
    has somewhere to go (GhostVLAD).
    """

    def __init__(self, in_channels: int, options: AggregatorOptions) -> None:
        super().__init__()
        width, num_centres = options.token_dim, options.num_tokens + options.num_ghosts
        self.options = options
        self.project = nn.Conv2d(in_channels, width, 1)
        self.norm = _make_norm(options.projection_norm, width)
        self.centres = nn.Parameter(F.normalize(torch.randn(num_centres, width), dim=-1))
        self.bias = nn.Parameter(torch.zeros(num_centres))
        self.scale = nn.Parameter(torch.tensor(options.scale))
        if options.aggregate == "residual" and options.residual_centres == "separate":
            start = self.centres[: options.num_tokens]
            self.residual_centres = nn.Parameter(start.detach().clone())

    def forward(self, features: Tensor) -> LevelTokens:
        """Aggregate (B, C, H, W) features, always in at least float32.

        Half precision ends here: eq. 2 subtracts nearly equal sums.
        """
        with torch.autocast(features.device.type, enabled=False):
            grid = self.embed(features)  # (B, d, H, W)
            return self._aggregate(grid)

    def embed(self, features: Tensor) -> Tensor:
        """Project (B, C, H, W) features to (B, d, H, W) cells in full precision."""
        dtype = self.centres.dtype
        out: Tensor = self.norm(self.project(features.to(dtype)))
        return out

    def assign(self, cells: Tensor) -> Tensor:
        """Share of each cell in each centre, ghosts dropped: (B, N, d) -> (B, N, M).  Eq. 1"""
        if self.options.assignment == "cosine":
            # A bare cosine cannot decide among 16 centres: the scale makes it sharp.
            scale = self.scale.clamp(max=MAX_SCALE)
            logits = scale * _unit(cells) @ _unit(self.centres).mT + self.bias
        else:
            logits = cells @ self.centres.mT + self.bias  # (B, N, M + G)
        return logits.softmax(dim=-1)[..., : self.options.num_tokens]

    def _aggregate(self, grid: Tensor) -> LevelTokens:
        cells = grid.flatten(2).mT  # (B, N, d)
        weight = self._cell_weight(cells)  # (B, N, 1), mean 1
        share = self.assign(cells) * weight  # (B, N, M)
        if self.options.assignment == "cosine":
            cells = _unit(cells)  # residuals to unit centres need unit cells
        held = share.sum(1)  # (B, M)
        summed = share.mT @ cells  # (B, M, d)
        if self.options.aggregate == "residual":
            summed = summed - held.unsqueeze(-1) * self._residual_centres()  # Eq. 2
        mass = held / weight.sum(1).clamp(min=EPS)  # (B, M)
        return LevelTokens(_unit(summed), mass, _ellipses(share, grid.shape[-2:]))

    def _residual_centres(self) -> Tensor:
        if self.options.residual_centres == "separate":
            return self.residual_centres
        return self.centres[: self.options.num_tokens]

    def _cell_weight(self, cells: Tensor) -> Tensor:
        if self.options.cell_weight == "uniform":
            return torch.ones_like(cells[..., :1])
        length = cells.norm(dim=-1, keepdim=True)
        relative: Tensor = length / length.mean(dim=1, keepdim=True).clamp(min=EPS)
        return relative


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x, dim=-1, eps=TINY)


def _make_norm(kind: str, width: int) -> nn.Module:
    if kind == "batch":
        return nn.BatchNorm2d(width)
    if kind == "layer":
        return nn.GroupNorm(1, width)
    return nn.Identity()


def _ellipses(share: Tensor, size: torch.Size) -> Tensor:
    """Mean and spread of the cell centres under each token's share: (B, N, M) -> (B, M, 5)."""
    height, width = size
    # Measured from the middle, so that the difference of squares below stays exact.
    steps = (torch.arange(n, device=share.device, dtype=share.dtype) for n in (height, width))
    y, x = ((step + 0.5) / n - 0.5 for step, n in zip(steps, (height, width), strict=True))
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    x, y = columns.flatten(), rows.flatten()
    moments = share.mT @ torch.stack((x, y, x * x, y * y, x * y), dim=-1)  # (B, M, 5)
    # An empty token has no place: it reads as the input's centre with no spread.
    moments = moments / share.sum(1).clamp(min=EPS).unsqueeze(-1)
    cx, cy, xx, yy, xy = moments.unbind(-1)
    sx, sy = ((m - c * c).clamp(min=EPS).sqrt() for m, c in ((xx, cx), (yy, cy)))
    rho = ((xy - cx * cy) / (sx * sy)).clamp(-1, 1)
    return torch.stack((cx + 0.5, cy + 0.5, sx, sy, rho), dim=-1)
