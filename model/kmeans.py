"""Spherical k-means: cluster directions, for the centres of an untrained FGA."""

import torch
import torch.nn.functional as F
from torch import Tensor


def spherical_kmeans(
    points: Tensor, num_centres: int, *, iterations: int = 25, generator: torch.Generator
) -> Tensor:
    """Cluster (N, d) points by cosine into (num_centres, d) unit centres.

    Deterministic for a generator's state. A centre that loses all its points moves
    to the point that is worst served.

    >>> points = torch.tensor([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0]])
    >>> centres = spherical_kmeans(points, 2, generator=torch.Generator().manual_seed(0))
    >>> (centres @ F.normalize(points, dim=-1).T).max(0).values.min() > 0.99
    tensor(True)
    """
    unit = F.normalize(points, dim=-1)
    centres = _spread_out(unit, num_centres, generator)
    for _ in range(iterations):
        best, owner = (unit @ centres.mT).max(dim=-1)
        summed = torch.zeros_like(centres).index_add_(0, owner, unit)
        count = torch.bincount(owner, minlength=num_centres)
        for empty in (count == 0).nonzero().flatten().tolist():
            worst = best.argmin()
            summed[empty], best[worst] = unit[worst], 1.0
        centres = F.normalize(summed, dim=-1)
    return centres


def _spread_out(unit: Tensor, num_centres: int, generator: torch.Generator) -> Tensor:
    """k-means++: each next start is drawn in proportion to its squared distance."""
    first = int(torch.randint(len(unit), (1,), generator=generator))
    chosen = [unit[first]]
    nearest = unit @ chosen[0]
    while len(chosen) < num_centres:
        distance = (1.0 - nearest).clamp(min=1e-9)
        pick = int(torch.multinomial(distance, 1, generator=generator))
        chosen.append(unit[pick])
        nearest = torch.maximum(nearest, unit @ unit[pick])
    return torch.stack(chosen)
