"""From the setting to a trunk that runs."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import torch

from model.errors import ParameterError
from model.mga import MGA
from model.preprocessing import scale_side
from model.runtime import openvino
from model.runtime.choice import choose_runtime, collect_facts
from model.runtime.names import RuntimeName, check_runtime
from model.runtime.trunks import Compiled, Half, Trunk


class OpenTrunk(NamedTuple):
    """A trunk, and which runtime it is: never `auto`."""

    name: RuntimeName
    run: Trunk


def open_trunk(model: MGA, fingerprint: str, runtime: str = "auto") -> OpenTrunk:
    """Make the backbone of `model`, on its device, ready in the way the setting says.

    `auto` measures what is there once for each checkpoint, machine and version of the
    libraries (`model.runtime.choice`); `compile` is only used where it is asked for.

    Raises:
        ParameterError: no such runtime, or none for this device.
        DeviceError: OpenVINO or a C++ compiler is missing.
    """
    name, device = check_runtime(runtime), model.mean.device
    makers = list_makers(model)
    if name == "auto":
        candidates = list_candidates(makers, device)
        name = choose_runtime(model, candidates, collect_facts(fingerprint, device))
    if name == "openvino" and device.type != "cpu":
        raise ParameterError(
            f"runtime openvino computes on the CPU, but the device is {device}; use device cpu, "
            "or runtime auto, eager, half or compile"
        )
    return OpenTrunk(name, makers[name]())


def list_makers(model: MGA) -> dict[RuntimeName, Callable[[], Trunk]]:
    """How each runtime's trunk is made."""
    size = model.config.preprocessing.image_size
    sides = sorted({size, *(scale_side(size, scale) for scale in model.config.query_scales)})
    return {
        "eager": lambda: model.backbone,
        "half": partial(Half, model.backbone),
        "openvino": partial(openvino.OpenVino, model.backbone, sides),
        "compile": partial(Compiled, model.backbone, size),
    }


def list_candidates(
    makers: Mapping[RuntimeName, Callable[[], Trunk]], device: torch.device
) -> dict[RuntimeName, Callable[[], Trunk]]:
    """What `auto` measures; `compile` is left out, because it costs seconds a batch size."""
    names: list[RuntimeName] = ["eager", "half"]
    if device.type == "cpu" and openvino.is_installed():
        names.append("openvino")
    return {name: makers[name] for name in names}
