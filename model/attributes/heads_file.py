"""Attributes as one safetensors file, half precision; the facts are in its metadata. No pickle."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model.attributes.slot_heads import AttributeHeads, AttributeInfo, Scaling
from model.errors import CheckpointError
from model.tensor_file import read_tensors, write_tensors

# The first had no roots.
Format = Literal["selvedge-attributes-1", "selvedge-attributes-2"]
FORMAT: Format = "selvedge-attributes-2"
# One key: safetensors writes several in random order, and equal content should be equal bytes.
KEY = "selvedge"


class _Info(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str = Field(min_length=1)
    values: tuple[str, ...]
    quality: float | None = Field(default=None, ge=0, le=1)
    num_examples: int = Field(ge=0)
    source: str


class _Story(BaseModel):
    model_config = ConfigDict(frozen=True)

    format: Format
    fingerprint: str = Field(min_length=1)
    attributes: tuple[_Info, ...] = Field(min_length=1)


def save_heads(heads: AttributeHeads, path: Path) -> None:
    """Write `path` atomically, in float16: embeddings differ in the fourth digit.

    Raises:
        CheckpointError: the file cannot be written.
    """
    tensors = {"mean": heads.scaling.mean, "scale": heads.scaling.scale}
    tensors |= {f"map.{number}": heads.maps[name] for number, name in enumerate(heads.names)}
    tensors |= {
        f"roots.{number}": heads.roots[name]
        for number, name in enumerate(heads.names)
        if name in heads.roots
    }
    halves = {key: torch.from_numpy(np.ascontiguousarray(x)).half() for key, x in tensors.items()}
    infos = tuple(_Info(**vars(info)) for info in heads.infos)
    story = _Story(format=FORMAT, fingerprint=heads.fingerprint, attributes=infos)
    write_tensors(path, halves, {KEY: story.model_dump_json()}, "attributes")


def load_heads(path: Path) -> AttributeHeads:
    """Read attributes.

    Raises:
        CheckpointError: missing, not safetensors, not attributes, damaged, or of another format.
    """
    stored, metadata = read_tensors(path, "there are no attributes")
    tensors = {name: x.float().numpy() for name, x in stored.items()}
    if KEY not in metadata or "scale" not in tensors:
        raise CheckpointError(
            f"{path} does not hold attributes, though it is safetensors; "
            "expected what `python -m model attributes train` writes"
        )
    try:
        story = _Story.model_validate_json(metadata[KEY])
    except ValidationError as error:
        raise CheckpointError(
            f"{path} has damaged facts, or is of another format than {FORMAT} "
            f"({error.error_count()} of them do not fit); fetch it again, or make it anew"
        ) from error
    infos = [AttributeInfo(**info.model_dump()) for info in story.attributes]
    try:
        scaling = Scaling(tensors["mean"], tensors["scale"])
        maps = {info.name: tensors[f"map.{number}"] for number, info in enumerate(infos)}
        roots = {
            info.name: tensors[f"roots.{number}"]
            for number, info in enumerate(infos)
            if f"roots.{number}" in tensors
        }
    except KeyError as error:
        raise CheckpointError(f"{path} lacks the tensor {error}; fetch it again") from error
    if not all(np.isfinite(x).all() for x in tensors.values()):
        raise CheckpointError(f"{path} holds a weight that is no number; make it anew")
    return AttributeHeads(story.fingerprint, infos, scaling, maps, roots)
