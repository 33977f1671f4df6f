"""Attributes as one safetensors file, half precision; the facts are in its metadata. No pickle."""

import os
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from model.attributes.features import Floats
from model.attributes.slot_heads import AttributeHeads, AttributeInfo, Scaling
from model.errors import CheckpointError

FORMAT: Literal["selvedge-attributes-1"] = "selvedge-attributes-1"
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

    format: Literal["selvedge-attributes-1"]
    fingerprint: str = Field(min_length=1)
    attributes: tuple[_Info, ...] = Field(min_length=1)


def save_heads(heads: AttributeHeads, path: Path) -> None:
    """Write `path` atomically, in float16: embeddings differ in the fourth digit.

    Raises:
        CheckpointError: the file cannot be written.
    """
    tensors = {"mean": heads.scaling.mean, "scale": heads.scaling.scale}
    tensors |= {f"map.{number}": heads.maps[name] for number, name in enumerate(heads.names)}
    halves = {key: np.ascontiguousarray(x, dtype=np.float16) for key, x in tensors.items()}
    infos = tuple(_Info(**vars(info)) for info in heads.infos)
    story = _Story(format=FORMAT, fingerprint=heads.fingerprint, attributes=infos)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.touch()
        mode = partial.stat().st_mode  # safetensors leaves files only their owner can read
        save_file(halves, partial, {KEY: story.model_dump_json()})
        partial.chmod(mode)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise CheckpointError(
            f"cannot write the attributes {path}: {error}; "
            "free some space or choose another folder (an older file there is untouched)"
        ) from error


def load_heads(path: Path) -> AttributeHeads:
    """Read attributes.

    Raises:
        CheckpointError: missing, not safetensors, not attributes, damaged, or of another format.
    """
    tensors, metadata = _read(path)
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
    except KeyError as error:
        raise CheckpointError(f"{path} lacks the tensor {error}; fetch it again") from error
    if not all(np.isfinite(x).all() for x in tensors.values()):
        raise CheckpointError(f"{path} holds a weight that is no number; make it anew")
    return AttributeHeads(story.fingerprint, infos, scaling, maps)


def _read(path: Path) -> tuple[dict[str, Floats], dict[str, str]]:
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            names = list(file.keys())
            return {name: file.get_tensor(name).astype(np.float32) for name in names}, metadata
    except FileNotFoundError as error:
        raise CheckpointError(f"there are no attributes at {path}; check the path") from error
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} cannot be read as safetensors ({str(error)[:200]}); "
            "it may be truncated or of another kind"
        ) from error
