"""One safetensors file: weights, and in its metadata the config and the record.

No pickle is ever loaded. The fingerprint covers what changes results (config and
tensors) and not the story of how they came about (the record).
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from model.config import ModelConfig
from model.errors import CheckpointError
from model.evaluation.calibration import Calibration
from model.mga import MGA, build_mga
from model.tensor_file import first_line, read_tensors, write_tensors

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
            f"({first_line(error)}); fetch it again, or use the version that wrote it"
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


def _fit_weights(model: MGA, tensors: dict[str, Tensor], path: Path) -> None:
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights in {path} do not fit its own config: {first_line(error)}; fetch it again"
        ) from error


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
