"""An ASEN++ checkpoint: one safetensors file with weights, config and record, as MGA's.

No pickle is ever loaded.
"""

from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from model.attributes.asen.config import AsenConfig
from model.attributes.asen.network import Asen, build_asen
from model.checkpoint import ASEN_KEY, KEY
from model.errors import CheckpointError
from model.tensor_file import read_tensors, write_tensors

FORMAT: Literal["selvedge-asen-1"] = "selvedge-asen-1"


class AsenRecord(BaseModel):
    """Where the weights come from, in words, and what was measured on the validation set."""

    model_config = ConfigDict(frozen=True, extra="allow")

    weights: str
    # query-weighted and plain mean mAP, and the mAP of each attribute, 0..1.
    metrics: dict[str, float] = {}
    # As `model.attributes.asen.recipes.AsenRecipe` wrote it.
    recipe: dict[str, Any] = {}
    epochs: int = 0


class _Story(BaseModel):
    model_config = ConfigDict(frozen=True)

    format: Literal["selvedge-asen-1"]
    config: AsenConfig
    record: AsenRecord


class AsenCheckpoint(NamedTuple):
    """A loaded checkpoint; the network is in eval mode on the CPU."""

    network: Asen
    record: AsenRecord


def save_asen(path: Path, network: Asen, record: AsenRecord) -> None:
    """Write `path` atomically.

    Raises:
        CheckpointError: the disk is full, or the folder cannot be written.
    """
    tensors = {name: x.detach().cpu().contiguous() for name, x in network.state_dict().items()}
    story = _Story(format=FORMAT, config=network.config, record=record)
    write_tensors(path, tensors, {ASEN_KEY: story.model_dump_json()})


def load_asen(path: Path) -> AsenCheckpoint:
    """Read a checkpoint of ASEN++ or of its baseline.

    Raises:
        CheckpointError: missing, damaged, of another kind, or weights that do not fit.
    """
    tensors, metadata = read_tensors(path)
    if ASEN_KEY not in metadata:
        kind = "an MGA checkpoint; leave --method asen out" if KEY in metadata else (
            "bare network weights; those are given to training, with --init"
        )  # fmt: skip
        raise CheckpointError(f"{path} is not an ASEN++ checkpoint but {kind}")
    try:
        story = _Story.model_validate_json(metadata[ASEN_KEY])
    except ValidationError as error:
        raise CheckpointError(
            f"{path} has a damaged config or record, or is of another format than {FORMAT} "
            f"({error.error_count()} faults); use the version that wrote it"
        ) from error
    network = build_asen(story.config)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights in {path} do not fit its own config: {str(error).splitlines()[-1]}; "
            "fetch it again"
        ) from error
    return AsenCheckpoint(network.eval(), story.record)
