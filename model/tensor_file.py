"""Named tensors and a few words in one safetensors file, written whole or not at all."""

import os
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from model.errors import CheckpointError


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str], what: str = "checkpoint"
) -> None:
    """Write a safetensors file atomically, as readable as any new file; `what` it holds, in words.

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
            f"cannot write the {what} {path}: {error}; "
            "free some space or choose another folder (an older file there is untouched)"
        ) from error


def read_tensors(
    path: Path, missing: str = "there is no checkpoint"
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read all tensors of a safetensors file, and its metadata; `missing` begins the sentence.

    Raises:
        CheckpointError: missing, or not readable as safetensors.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except FileNotFoundError as error:
        raise CheckpointError(f"{missing} at {path}; check the path") from error
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} cannot be read as safetensors ({first_line(error)}); "
            "it may be truncated or of another kind"
        ) from error


def first_line(error: Exception) -> str:
    """What an error says, without what surrounds it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300]
