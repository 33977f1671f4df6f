"""The backbone in OpenVINO, on the CPU; the optional extra `fast` brings it.

B photos, S pixels a side, N streams.
"""

import importlib
import importlib.util
import sys
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

import numpy as np
import torch
from torch import Tensor, nn

from model.backbone import Backbone, Features
from model.errors import DeviceError
from model.runtime.trunks import COLOURS


def is_installed() -> bool:
    """Say whether OpenVINO can be imported, without importing it."""
    return importlib.util.find_spec("openvino") is not None


class OpenVino:
    """A backbone compiled for each of some sides, on N one-thread streams.

    N is PyTorch's number of threads. One photo a thread keeps every core busy with its own
    cache: larger batches and more threads a photo were slower. bfloat16 where the CPU
    computes in it, float32 elsewhere and in the convolution that reads the photo.

    Raises DeviceError when OpenVINO is not installed.
    """

    def __init__(self, backbone: Backbone, sides: Sequence[int]) -> None:
        if not is_installed():
            raise DeviceError(
                "runtime openvino was asked for, but OpenVINO is not installed; install "
                "`selvedge[fast]`, or use runtime auto"
            )
        core = _import_openvino().Core()
        self._by_side = {side: _OneSide(core, backbone, side) for side in sides}

    def __call__(self, pixels: Tensor) -> Features:
        return self._by_side[pixels.shape[-1]](pixels)


class _OneSide:
    """One size of photos; takes one at a time on each stream."""

    def __init__(self, core: Any, backbone: Backbone, side: int) -> None:
        can_narrow = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self._streams = torch.get_num_threads()
        self._compiled = core.compile_model(
            _convert(core, backbone, side),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "bf16" if can_narrow else "f32",
                "NUM_STREAMS": self._streams,
                "INFERENCE_NUM_THREADS": self._streams,
                # A pinned thread waits for whoever else uses its core.
                "ENABLE_CPU_PINNING": False,
            },
        )
        self._requests = threading.local()

    def __call__(self, pixels: Tensor) -> Features:
        photos = pixels.numpy()  # (B, 3, S, S)
        requests = self._own_requests()
        maps = [torch.empty(len(photos), *list(port.shape)[1:]) for port in self._compiled.outputs]

        def collect(place: int) -> None:
            request = requests[place % len(requests)]
            request.wait()
            for number, whole in enumerate(maps):
                whole[place] = torch.from_numpy(request.get_output_tensor(number).data[0])

        for place in range(len(photos)):
            if place >= len(requests):
                collect(place - len(requests))
            one = np.ascontiguousarray(photos[place : place + 1])
            requests[place % len(requests)].start_async([one], share_inputs=True)
        for place in range(max(0, len(photos) - len(requests)), len(photos)):
            collect(place)
        return Features(tuple(maps[:-1]), maps[-1])

    def _own_requests(self) -> list[Any]:
        """A thread's own requests: their outputs are overwritten by the next photo."""
        if not hasattr(self._requests, "all"):
            streams = range(self._streams)
            self._requests.all = [self._compiled.create_infer_request() for _ in streams]
        own: list[Any] = self._requests.all
        return own


class _Flat(nn.Module):
    """Levels and final map as one tuple: what the converter understands."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        levels, final = self.backbone(pixels)
        return (*levels, final)


def _import_openvino() -> Any:
    """Import OpenVINO without its telemetry, which is on unless somebody declined it.

    With it, every conversion of a network is reported to a web address. OpenVINO does
    without the module when it cannot be imported.
    """
    name = "openvino_telemetry"
    known = sys.modules.pop(name, None)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        import openvino

        importlib.import_module("openvino.tools.ovc")
    finally:
        del sys.modules[name]
        if known is not None:
            sys.modules[name] = known
    return openvino


def _convert(core: Any, backbone: Backbone, side: int) -> Any:
    openvino = _import_openvino()
    shape = [1, COLOURS, side, side]
    with warnings.catch_warnings(), torch.no_grad(), TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # the tracer's, about sizes that are the same for all
        net = openvino.convert_model(
            _Flat(backbone).eval(), example_input=torch.zeros(shape), input=shape
        )
        file = Path(folder) / "backbone.xml"
        openvino.save_model(net, file, compress_to_fp16=False)
        keep_first_convolution(file)
        return core.read_model(file)


def keep_first_convolution(file: Path) -> None:
    """Mark the first convolution of a stored network as one that stays in float32.

    OpenVINO's own mark for it; only a stored network can be given it from Python.
    """
    tree = ElementTree.parse(file)
    first = next(tree.iterfind("layers/layer[@type='Convolution']"))
    info = first.find("rt_info")
    if info is None:
        info = ElementTree.Element("rt_info")
        first.insert(1, info)  # after the layer's data
    ElementTree.SubElement(info, "attribute", name="precise", version="0")
    tree.write(file)
