"""What all pairs of a batch cost through ATA, measured in a process of its own."""

import json
import os
import resource
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from model.alignment import TokenAlignment, TokenSet
from model.config import AlignmentOptions


@dataclass(frozen=True)
class PairMemory:
    """ATA over all pairs of a batch, forward and backward, beyond what the process had."""

    pairs: int
    mebibytes: float
    seconds: float


def measure_pairs(
    batch: int = 48, num_tokens: int = 16, width: int = 128, levels: int = 3
) -> PairMemory:
    """Peak memory on the CPU of all pairs of a batch, in a process of its own."""
    call = f"score_pairs({batch}, {num_tokens}, {width}, {levels})"
    code = f"from benchmarks.pairs import score_pairs; {call}"
    paths = os.pathsep.join(filter(None, (os.getcwd(), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    return PairMemory(**json.loads(done.stdout))


def score_pairs(batch: int, num_tokens: int, width: int, levels: int) -> None:
    """Score all pairs forward and backward; writes a `PairMemory` as JSON to stdout."""
    torch.manual_seed(0)
    alignment = TokenAlignment(levels, width, AlignmentOptions())

    def step(count: int) -> None:
        tokens = torch.nn.functional.normalize(
            torch.randn(count, levels, num_tokens, width), dim=-1
        ).requires_grad_()
        mass = torch.full((count, levels, num_tokens), 1.0 / num_tokens)
        torch.autograd.backward(alignment.score_among(TokenSet(tokens, mass)).sum())

    step(3)  # libraries and gradients take their place
    before, start = _reset_peak(), time.perf_counter()
    step(batch)
    seconds = time.perf_counter() - start
    found = PairMemory(batch * (batch - 1) // 2, (_peak() - before) / 2**20, seconds)
    sys.stdout.write(json.dumps(asdict(found)))


def _reset_peak() -> int:
    """Bytes in use now; on Linux the peak starts anew, so that importing torch does not count."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    """Largest resident size so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        if "VmHWM" in lines:
            return int(lines["VmHWM"].split()[0]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
