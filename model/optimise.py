"""The optimiser, its learning rate over time, and one step of it."""

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from model.recipes import Recipe

# Named parameters, and the factor on their learning rate.
Part = tuple[Iterable[tuple[str, nn.Parameter]], float]


def build_optimiser(
    parts: Iterable[Part], kind: Literal["adam", "adamw"], *, rate: float, weight_decay: float
) -> Optimizer:
    """Adam over the parameters that learn, those of each part with and without weight decay.

    Biases, norms and centres are not decayed.
    """
    groups = []
    for named, factor in parts:
        trained = [(name, p) for name, p in named if p.requires_grad]
        for decay, decays in ((weight_decay, True), (0.0, False)):
            chosen = [p for name, p in trained if _decays(name, p) is decays]
            if chosen:
                base = rate * factor
                groups.append({"params": chosen, "lr": base, "base": base, "weight_decay": decay})
    # foreach: many parameters a call. fused is faster still, but goes wrong after a resume: it
    # reads states as if they lay in memory as their parameters do (channels last).
    return (torch.optim.Adam if kind == "adam" else torch.optim.AdamW)(groups, foreach=True)


def rate_factor(recipe: Recipe, epoch: float) -> float:
    """Learning rate over its base at a fractional epoch: warm-up, then steps or a cosine.

    >>> paper = Recipe(name="x", preset="mga-s")
    >>> [round(rate_factor(paper, epoch), 4) for epoch in (0, 5, 10, 39, 40, 70)]
    [0.0, 0.5, 1.0, 1.0, 0.1, 0.01]
    """
    if recipe.schedule == "cosine" or epoch < recipe.warmup_epochs:
        return cosine_factor(epoch, recipe.epochs, recipe.warmup_epochs)
    return recipe.decay ** sum(epoch >= milestone for milestone in recipe.milestones)


def cosine_factor(epoch: float, epochs: int, warmup_epochs: float) -> float:
    """Rise over the warm-up, then half a cosine down to nothing.

    >>> [round(cosine_factor(epoch, 9, 1.0), 4) for epoch in (0, 0.5, 1, 5, 9)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if epoch < warmup_epochs:
        return epoch / warmup_epochs
    left = (epoch - warmup_epochs) / max(1e-9, epochs - warmup_epochs)
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, left)))


def set_rate(optimiser: Optimizer, factor: float) -> None:
    """Give every group its base rate times `factor`."""
    for group in optimiser.param_groups:
        group["lr"] = group["base"] * factor


def descend(loss: Tensor, optimiser: Optimizer, clip_norm: float) -> float:
    """Backward and one step; returns the loss. One that is not finite moves nothing."""
    value = float(loss.detach())
    if math.isfinite(value):
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, clip_norm, foreach=True)
        optimiser.step()
    return value


def _decays(name: str, parameter: Tensor) -> bool:
    return parameter.ndim > 1 and "centres" not in name
