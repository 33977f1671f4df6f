"""Runtime `auto`: the fastest that agrees with eager float32, measured once and remembered.

B photos, S pixels a side.
"""

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model.mga import MGA
from model.runtime.names import NAMES, RuntimeName
from model.runtime.trunks import Trunk

logger = logging.getLogger(__name__)

# Cosine with eager float32 of the global feature, the recall vector and the tokens. Photos are
# harder than the drawn probes: 0.9999 here was 0.9995 on the worst photo (docs/performance.md).
AGREEMENT = 0.9999
ROUNDS = 5
PHOTOS = 4
PACKAGES = ("torch", "timm", "openvino")


class Measured(NamedTuple):
    """One runtime on probe photos: the least cosine with eager, and milliseconds a photo."""

    cosine: float
    ms: float


def choose_runtime(
    model: MGA,
    trunks: Mapping[RuntimeName, Callable[[], Trunk]],
    facts: Mapping[str, Any],
    folder: Path | None = None,
) -> RuntimeName:
    """Name the fastest of `trunks` that agrees; `eager` is one of them, and the reference.

    What was chosen for the same `facts` before is read from `folder` (the user's cache folder),
    where it is also written; a folder that cannot be written costs a measurement a start.
    """
    file = (folder or find_cache_folder()) / f"runtime-{hash_facts(facts)}.json"
    known = _read(file)
    if known is not None and known in trunks:
        return known
    found = measure_trunks(model, trunks)
    chosen = pick(found)
    told = ", ".join(
        f"{name} {one.ms:.1f} ms, cosine {one.cosine:.5f}" for name, one in found.items()
    )
    logger.info("Runtime %s was chosen by a measurement of this checkpoint: %s.", chosen, told)
    _write(file, {"runtime": chosen, "facts": dict(facts), "measured": _plain(found)})
    return chosen


def pick(found: Mapping[RuntimeName, Measured]) -> RuntimeName:
    """The fastest that agrees; eager always does.

    >>> pick({"eager": Measured(1.0, 90), "half": Measured(0.99, 9)})
    'eager'
    """
    agreeing = {name: one for name, one in found.items() if one.cosine >= AGREEMENT}
    return min(agreeing, key=lambda name: agreeing[name].ms, default="eager")


@torch.inference_mode()
def measure_trunks(
    model: MGA, trunks: Mapping[RuntimeName, Callable[[], Trunk]]
) -> dict[RuntimeName, Measured]:
    """Compare and time them in turns, so that other work on the machine hits all alike."""
    pixels = model.normalise(draw_probes(model.config.preprocessing.image_size, PHOTOS))
    pixels = pixels.to(model.mean.device)
    made = {name: make() for name, make in trunks.items()}
    reference = _describe(model, made["eager"], pixels)
    cosines = {
        name: min(
            _cosine(x, y) for x, y in zip(_describe(model, trunk, pixels), reference, strict=True)
        )
        for name, trunk in made.items()
    }
    times: dict[RuntimeName, list[float]] = {name: [] for name in made}
    for _ in range(ROUNDS):
        for name, trunk in made.items():
            times[name].append(_time(trunk, pixels[:1]))
    return {name: Measured(cosines[name], 1000 * min(times[name])) for name in made}


def draw_probes(side: int, count: int) -> Tensor:
    """(B, S, S, 3) uint8 pictures with soft shapes and sharp edges on white, always the same."""
    rng = np.random.default_rng(0)
    photos = np.full((count, 3, side, side), 255.0, dtype=np.float32)
    for photo in photos:
        for cells in (3, 8, 24):
            coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, cells, cells)).astype(np.float32))
            mode = "nearest" if cells == 8 else "bilinear"
            inner = F.interpolate(coarse, size=(side, side * 2 // 3), mode=mode)[0]
            left = side // 6
            photo[:, :, left : left + inner.shape[-1]] *= inner.numpy() / 255 * 0.6 + 0.4
    return torch.from_numpy(photos).permute(0, 2, 3, 1).to(torch.uint8)


def collect_facts(fingerprint: str, device: torch.device) -> dict[str, Any]:
    """What the choice depends on: checkpoint, machine, threads and versions."""
    on_gpu = device.type == "cuda"
    return {
        "fingerprint": fingerprint,
        "device": torch.cuda.get_device_name(device) if on_gpu else "cpu",
        "machine": platform.node(),
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        **{name: _find_version(name) for name in PACKAGES},
    }


def hash_facts(facts: Mapping[str, Any]) -> str:
    """16 hex digits; equal facts, equal digits."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def find_cache_folder() -> Path:
    """`$XDG_CACHE_HOME/selvedge`, or `~/.cache/selvedge`."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path(os.path.expanduser("~")) / ".cache") / "selvedge"


def _describe(model: MGA, trunk: Trunk, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Global features, recall vectors and an image's tokens joined: (B, any) each."""
    features = model.describe(trunk(pixels))
    return features.global_feature, model.recall_vector(features), features.tokens.flatten(1)


def _cosine(x: Tensor, y: Tensor) -> float:
    return float(F.cosine_similarity(x, y, dim=-1).min())


def _time(trunk: Trunk, pixels: Tensor) -> float:
    start = time.perf_counter()
    trunk(pixels)
    if pixels.is_cuda:
        torch.cuda.synchronize(pixels.device)
    return time.perf_counter() - start


def _find_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _read(file: Path) -> RuntimeName | None:
    """What was chosen before; a damaged file counts as none, and is written anew."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))["runtime"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return next((name for name in NAMES if name == said), None)


def _write(file: Path, content: dict[str, Any]) -> None:
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        logger.warning(
            "The chosen runtime cannot be kept in %s (%s); it is measured at every start until "
            "that folder can be written or a runtime is set.", file.parent, error,
        )  # fmt: skip


def _plain(found: Mapping[RuntimeName, Measured]) -> dict[str, dict[str, float]]:
    return {name: one._asdict() for name, one in found.items()}
