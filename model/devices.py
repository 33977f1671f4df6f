"""The one `device` setting: auto, cpu, cuda or cuda:N; and who computes in bfloat16."""

from collections.abc import Mapping
from typing import Literal

import torch

from model.errors import DeviceError, ParameterError

Amp = Literal["auto", "on", "off"]


def resolve_device(device: str = "auto") -> torch.device:
    """Turn the setting into a device; auto takes the first GPU, or the CPU.

    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise ParameterError(
            f"{device!r} is not a device; use auto, cpu, cuda or cuda:N"
        ) from error
    if wanted.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"{device} was asked for, but PyTorch sees no GPU; use auto or cpu")
    if wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise DeviceError(f"{device} was asked for, but there are {count} GPUs, counted from 0")
    if wanted.type not in ("cpu", "cuda"):
        raise ParameterError(f"device {device!r} is not supported; use auto, cpu, cuda or cuda:N")
    return wanted


def in_bfloat16(amp: Amp, kind: str) -> bool:
    """Whether a backbone on a device of this kind ("cpu", "cuda") trains in bfloat16.

    auto: on GPUs, and on CPUs with AMX, where dense convolutions become up to four times faster.
    Elsewhere the CPU emulates it, slower than float32.
    """
    if amp == "auto":
        return kind == "cuda" or _has_matrix_units()
    return amp == "on"


def _has_matrix_units() -> bool:
    # torch before 2.10 cannot say; it then counts as no.
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16", False))
