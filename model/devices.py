"""The one `device` setting: auto, cpu, cuda or cuda:N; who computes in bfloat16, and when."""

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Concatenate, Literal, ParamSpec, Protocol, TypeVar

import torch

from model.errors import DeviceError, ParameterError

Amp = Literal["auto", "on", "off"]
P = ParamSpec("P")
R = TypeVar("R")

_turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


class OnDevice(Protocol):
    """Something that computes on a device, named as in `Encoder.device`."""

    @property
    def device(self) -> str: ...


S = TypeVar("S", bound=OnDevice)


def one_at_a_time(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Let one thread at a time compute on a GPU, whoever asks: a batch or the ranking of a search.

    Its memory is then that of one call, however many searches run; more threads would only queue
    in the one stream that they share. On a CPU threads compute side by side. Such methods must not
    call each other.
    """

    @wraps(method)
    def wait_and_call(owner: S, /, *args: P.args, **options: P.kwargs) -> R:
        if owner.device == "cpu":
            return method(owner, *args, **options)
        with _turns[owner.device]:
            return method(owner, *args, **options)

    return wait_and_call


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
