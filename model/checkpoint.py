"""One safetensors file: weights, and in its metadata the config and the record.

No pickle is ever loaded. The fingerprint covers what changes results (config and
tensors) and not the story of how they came about (the record).
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from model.config import ModelConfig
from model.errors import CheckpointError
from model.evaluation.calibration import Calibration
from model.mga import MGA, build_mga

FORMAT: Literal["selvedge-checkpoint-1"] = "selvedge-checkpoint-1"
# One key: safetensors writes several in random order, and equal content should be equal bytes.
KEY = "selvedge"
# Of checkpoints of ASEN++ (`model.attributes.asen.checkpoint`).
ASEN_KEY = "selvedge-asen"


class Record(BaseModel):
    """Where the weights come from, in words a user is shown, and what was measured."""

    model_config = ConfigDict(frozen=True, extra="allow")

    weights: str
    trained_for_retrieval: bool = False
    # The network whose maps the backbone learned to foretell, if there was one.
    taught_by: str = ""
    metrics: dict[str, float] = {}
    # The training run, as `model.recipes.Recipe` wrote it; empty where nothing was trained.
    recipe: dict[str, Any] = {}
    epochs: int = 0
    # A fused score at the config's alpha as a probability, and the photos it was fitted on.
    # It orders nothing, so it is part of the story: the fingerprint stays.
    calibration: Calibration | None = None
    calibrated_on: str = ""


class Story(BaseModel):
    """What the file's metadata holds besides the tensors."""

    model_config = ConfigDict(frozen=True)

    format: Literal["selvedge-checkpoint-1"]
    config: ModelConfig
    record: Record


class Checkpoint(NamedTuple):
    """A loaded checkpoint; `model` is in eval mode on the CPU, in float32.

    `half`: its file holds half precision.
    """

    model: MGA
    record: Record
    fingerprint: str
    half: bool = False


def save_checkpoint(path: Path, model: MGA, record: Record, *, half: bool = False) -> str:
    """Write `path` atomically and return the fingerprint.

    `half` stores float16: half the size, and results that differ in the third digit.
    """
    tensors = {name: x.detach().cpu().contiguous() for name, x in model.state_dict().items()}
    if half:
        tensors = {name: x.half() if x.is_floating_point() else x for name, x in tensors.items()}
    story = Story(format=FORMAT, config=model.config, record=record)
    write_tensors(path, tensors, {KEY: story.model_dump_json()})
    return compute_fingerprint(model.config, tensors)


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file atomically, as readable as any new file.

    Raises:
        CheckpointError: it cannot be written; what was there before is untouched.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.touch()
        mode = partial.stat().st_mode  # safetensors leaves files only their owner can read
        save_file(tensors, partial, metadata)
        partial.chmod(mode)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise CheckpointError(
            f"cannot write the checkpoint {path}: {error}; "
            "free some space or choose another folder (an older file there is untouched)"
        ) from error


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: missing, not safetensors, not one of ours, or weights that do not fit.
    """
    tensors, metadata = read_tensors(path)
    if ASEN_KEY in metadata:
        raise CheckpointError(f"{path} is an ASEN++ checkpoint, not MGA's; give --method asen")
    if KEY not in metadata:
        raise CheckpointError(
            f"{path} is not a Selvedge checkpoint, though it is safetensors; "
            "plain network weights are given with --init"
        )
    try:
        story = Story.model_validate_json(metadata[KEY])
    except ValidationError as error:
        raise CheckpointError(
            f"{path} has a damaged config or record, or is of another format than {FORMAT} "
            f"({_first_line(error)}); fetch it again, or use the version that wrote it"
        ) from error
    model = build_mga(story.config)
    _fit_weights(model, tensors, path)
    fingerprint = compute_fingerprint(story.config, tensors)
    half = any(x.dtype == torch.float16 for x in tensors.values())
    return Checkpoint(model.eval(), story.record, fingerprint, half)


def is_checkpoint(path: Path) -> bool:
    """Say whether a readable safetensors file is a whole checkpoint and not bare weights."""
    try:
        return KEY in read_tensors(path)[1]
    except CheckpointError:
        return False


def compute_fingerprint(config: ModelConfig, tensors: dict[str, Tensor]) -> str:
    """Hash (64 hex digits) of everything that a gallery's content depends on."""
    facts = config.model_dump(mode="json", exclude={"query_scales"})
    if config.recall.vector == "global":
        # Changes nothing, and checkpoints from before this option keep their fingerprint.
        del facts["recall"]
    digest = hashlib.sha256(_canonical(facts).encode())
    for name in sorted(tensors):
        x = tensors[name].contiguous()
        digest.update(f"{name} {x.dtype} {tuple(x.shape)}".encode())
        digest.update(x.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read all tensors of a safetensors file, and its metadata.

    Raises:
        CheckpointError: missing, or not readable as safetensors.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint at {path}; check the path") from error
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} cannot be read as safetensors ({_first_line(error)}); "
            "it may be truncated or of another kind"
        ) from error


def _fit_weights(model: MGA, tensors: dict[str, Tensor], path: Path) -> None:
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights in {path} do not fit its own config: {_first_line(error)}; fetch it again"
        ) from error


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300]
