"""Dense feature distillation: each cell of a student's maps foretells the teacher's cell.

B images, C and K channels of a student's and a teacher's map, N cells of their common grid.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.backbone import Backbone, Features
from model.errors import CheckpointError

ERROR_WEIGHT = 0.1
EPS = 1e-6


class CellLoss(nn.Module):
    """One map: a 1x1 convolution from the student's cells onto the teacher's.

    Those are centred on their mean, and in units of their spread: with the teacher's own,
    often small, the first squared errors would be hundreds and drown the cosines. A cell
    counts by its length around the mean: what is like the mean is mostly background.
    """

    def __init__(self, channels: int, wanted_channels: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(channels, wanted_channels, 1)
        self.register_buffer("mean", torch.zeros(wanted_channels))
        self.register_buffer("spread", torch.ones(()))
        self.mean: Tensor
        self.spread: Tensor

    def forward(self, found: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Compare (B, C, ...) with (B, K, ...) maps, on the coarser of both grids.

        Returns the loss and its first term, the weighted mean of 1 - cosine: 0 is equal.
        """
        height, width = (min(found.shape[k], wanted.shape[k]) for k in (2, 3))
        maps = (F.adaptive_avg_pool2d(x.float(), (height, width)) for x in (found, wanted))
        pooled, target = maps
        cells = self.head(pooled).flatten(2).mT  # (B, N, K)
        target = (target.flatten(2).mT - self.mean) / self.spread  # (B, N, K)
        length = target.norm(dim=-1)  # (B, N)
        away = 1.0 - F.cosine_similarity(cells, target, dim=-1)  # (B, N)
        distance = (length * away).sum() / length.sum().clamp(min=EPS)
        error = F.mse_loss(cells, target) / target.square().mean().clamp(min=EPS)
        return distance + ERROR_WEIGHT * error, distance


class ImitationLoss(nn.Module):
    """The sum over the levels both networks have, and over the student's final map.

    A student whose final map is a level already is not asked twice.
    """

    def __init__(self, student: Backbone, teacher: Backbone) -> None:
        super().__init__()
        ours, theirs = student.options.strides, teacher.options.strides
        common = [stride for stride in ours if stride in theirs]
        if not common:
            raise CheckpointError(
                f"the teacher {teacher.options.name} has levels of strides {_list(theirs)}, the "
                f"student {student.options.name} of {_list(ours)}: none in common, so there is "
                "nothing to imitate; choose another --preset or another teacher"
            )
        self._places = [(ours.index(stride), theirs.index(stride)) for stride in common]
        self._with_final = _has_own_final(student)
        self.names = [f"stride {stride}" for stride in common]
        sizes = [(student.level_channels[i], teacher.level_channels[j]) for i, j in self._places]
        if self._with_final:
            self.names.append("final")
            sizes.append((student.final_channels, teacher.final_channels))
        self.parts = nn.ModuleList(CellLoss(*size) for size in sizes)

    def forward(self, student: Features, teacher: Features) -> tuple[Tensor, Tensor]:
        """Return the loss, and 1 - cosine of each map in the order of `names`."""
        found = [student.levels[i] for i, _ in self._places]
        found += [student.final] if self._with_final else []
        wanted = self._wanted(teacher)
        both = [part(*maps) for part, *maps in zip(self.parts, found, wanted, strict=True)]
        losses, distances = (torch.stack(x) for x in zip(*both, strict=True))
        return losses.sum(), distances.detach()

    @torch.no_grad()
    def measure(self, seen: Sequence[Features]) -> None:
        """Take mean and spread of the teacher's cells from what it made of some batches."""
        maps = zip(*(self._wanted(features) for features in seen), strict=True)
        for part, batches in zip(self.parts, maps, strict=True):
            cells = torch.cat([batch.float().transpose(0, 1).flatten(1) for batch in batches], 1)
            mean = cells.mean(1)
            part.get_buffer("mean").copy_(mean)
            spread = (cells - mean[:, None]).square().mean().sqrt()
            part.get_buffer("spread").copy_(spread.clamp(min=EPS))

    def _wanted(self, teacher: Features) -> list[Tensor]:
        final = [teacher.final] if self._with_final else []
        return [teacher.levels[j] for _, j in self._places] + final


@torch.no_grad()
def _has_own_final(backbone: Backbone) -> bool:
    """Whether the final map is another than the coarsest level."""
    device = next(backbone.parameters()).device
    side = 4 * max(backbone.options.strides)
    training = backbone.training
    features = backbone.eval()(torch.zeros(1, 3, side, side, device=device))
    backbone.train(training)
    return features.final is not features.levels[0]


def _list(strides: Sequence[int]) -> str:
    return ", ".join(map(str, strides))
