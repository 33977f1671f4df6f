"""PyTorch's ways to compute a backbone: eager float32 (the reference), 16 bits, compiled.

B photos, S pixels a side.
"""

import copy
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.backbone import Backbone, Features
from model.errors import DeviceError

COLOURS = 3


class Trunk(Protocol):
    """A backbone ready to run; safe to call from many threads."""

    def __call__(self, pixels: Tensor) -> Features:
        """Map normalised (B, 3, S, S) float32 pixels to float32 maps on the same device."""


class Half:
    """16-bit convolutions, channels last: bfloat16 on a CPU, float16 on a GPU.

    Convolutions of that shape are what matrix units (AMX, tensor cores) are made for. The
    weights are a rounded copy; the backbone itself is left as it is. Norms keep float32
    parameters, and the convolution that reads the photo stays in float32: rounding its input
    alone would cost most of the agreement.
    """

    def __init__(self, backbone: Backbone) -> None:
        on_gpu = next(backbone.parameters()).is_cuda
        self._backbone = copy.deepcopy(backbone).eval().to(memory_format=torch.channels_last)
        narrow_convolutions(self._backbone, torch.float16 if on_gpu else torch.bfloat16)

    def __call__(self, pixels: Tensor) -> Features:
        return to_float(self._backbone(pixels.contiguous(memory_format=torch.channels_last)))


class Compiled(Half):
    """The same, with `torch.compile`: faster than `Half`, but each batch size costs seconds.

    Batches are filled up to a power of two, so that few sizes are compiled.

    Raises DeviceError where nothing can be compiled, such as without a C++ compiler.
    """

    def __init__(self, backbone: Backbone, side: int) -> None:
        super().__init__(backbone)
        self._backbone.compile(dynamic=False)
        blank = torch.zeros(1, 3, side, side, device=next(backbone.parameters()).device)
        try:
            with torch.inference_mode():
                self(blank)
        except RuntimeError as error:  # what every back end of torch.compile raises
            reason = str(error).strip().splitlines()[0]
            raise DeviceError(
                f"torch.compile failed on this machine ({reason}); install a C++ compiler, or "
                "use runtime auto"
            ) from error

    def __call__(self, pixels: Tensor) -> Features:
        count = len(pixels)
        missing = next_power_of_two(count) - count
        found = super().__call__(F.pad(pixels, (0, 0, 0, 0, 0, 0, 0, missing)))
        return Features(tuple(level[:count] for level in found.levels), found.final[:count])


def narrow_convolutions(net: nn.Module, dtype: torch.dtype) -> None:
    """Round all weights of convolutions and linear layers, in place, but those that read pixels."""

    def narrow_output(_: nn.Module, __: object, output: Tensor) -> Tensor:
        return output.to(dtype)

    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.in_channels == COLOURS:
            module.register_forward_hook(narrow_output)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            module.to(dtype)


def to_float(features: Features) -> Features:
    """Every map in float32."""
    return Features(tuple(level.float() for level in features.levels), features.final.float())


def next_power_of_two(count: int) -> int:
    """The smallest power of two that is not below `count`.

    >>> [next_power_of_two(count) for count in (1, 2, 3, 8, 9)]
    [1, 2, 4, 8, 16]
    """
    return 1 << (count - 1).bit_length()
