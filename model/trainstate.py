"""What a training run leaves on disk: a state to resume from, a log, a batch that failed.

The state is one safetensors file (no pickles): network, criterion, optimiser, averaged
copy, and the recipe they belong to. It is replaced atomically after each epoch.
"""

import csv
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from model.data import Loaded
from model.errors import TrainingError
from model.mga import MGA
from model.recipes import Choices

STATE, LOG, FAILED = "state.safetensors", "log.csv", "failed_batch.safetensors"
KEY = "run"


class Resumable(Protocol):
    """What a state is made of; `averaged` may be missing."""

    epoch: int
    origin: str

    @property
    def model(self) -> nn.Module: ...

    @property
    def criterion(self) -> nn.Module: ...

    @property
    def optimiser(self) -> Optimizer: ...

    @property
    def averaged(self) -> nn.Module | None: ...


@dataclass
class Run:
    """What changes from step to step; with EMA, `averaged` is what is validated and saved."""

    model: MGA
    criterion: nn.Module
    optimiser: Optimizer
    averaged: MGA | None
    epoch: int = 0
    # What the weights started from and what they learn from, in words.
    origin: str = ""


def claim_folder(out: Path, *, resume: bool) -> None:
    """Make the run's folder; one that holds a run already is only entered to resume it."""
    if (out / STATE).exists() and not resume:
        raise TrainingError(
            f"{out} holds a training run already; go on with --resume, or choose another folder"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(out, error) from error


def save_state(out: Path, recipe: Choices, run: Resumable) -> None:
    """Write everything the next epoch depends on."""
    tensors = {"epoch": torch.tensor(run.epoch)}
    for prefix, module in _modules(run).items():
        tensors.update({f"{prefix}.{name}": x for name, x in module.state_dict().items()})
    for place, values in run.optimiser.state_dict()["state"].items():
        tensors.update({f"optimiser.{place}.{name}": x for name, x in values.items()})
    story = {"recipe": recipe.model_dump(mode="json"), "origin": run.origin}
    _write(out / STATE, tensors, {KEY: json.dumps(story)})


def load_state(out: Path, recipe: Choices, run: Resumable) -> None:
    """Bring a run back to its last finished epoch.

    Raises:
        TrainingError: nothing to resume in `out`, or a run of another recipe, start or data.
    """
    path = out / STATE
    try:
        with safe_open(path, framework="pt") as file:
            story = json.loads((file.metadata() or {})[KEY])
            kept = _read_choices(story["recipe"], recipe)
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
    except FileNotFoundError as error:
        raise TrainingError(
            f"there is no {STATE} in {out}, so nothing to resume; start without --resume"
        ) from error
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise TrainingError(f"{path} cannot be read ({error}); start anew in another folder") from (
            error
        )
    _require_same(path, kept, recipe)
    if story["origin"] != run.origin:
        raise TrainingError(
            f"{path} belongs to a run of {story['origin']}; now it is {run.origin}. Resume "
            "with the same --init and --data, or start anew in another folder"
        )
    try:
        for prefix, module in _modules(run).items():
            module.load_state_dict(_below(tensors, prefix))
        _load_optimiser(run.optimiser, _below(tensors, "optimiser"))
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            f"{path} does not fit this data set or network ({str(error).splitlines()[0]}); "
            "resume with the data the run was started with"
        ) from error
    run.epoch = int(tensors["epoch"])


def write_log(
    out: Path, epoch: int, loss: float, rate_factor: float, figures: dict[str, float]
) -> None:
    """Append one line to `log.csv`; an epoch that is run again replaces its line."""
    path, line = out / LOG, {"epoch": epoch + 1, "loss": loss, "rate_factor": rate_factor}
    rows: list[dict[str, object]] = []
    if path.exists():
        with path.open(newline="") as file:
            rows = [dict(row) for row in csv.DictReader(file) if int(row["epoch"]) <= epoch]
    rows.append({**line, **figures})
    columns = list(dict.fromkeys(name for row in rows for name in row))
    partial = path.with_suffix(".partial")
    try:
        with partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
        partial.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error


def require_finite(loss: float, out: Path, loaded: Loaded, epoch: int) -> None:
    """Stop a run whose loss is not a number any more, and keep the batch that broke it."""
    if not math.isfinite(loss):
        path = write_failed_batch(out, loaded)
        raise TrainingError(
            f"the loss became {loss} at epoch {epoch + 1}, step {loaded.batch.step + 1}; the "
            f"batch is in {path}. Lower the learning rate, and go on from the epoch before "
            "with --resume"
        )


def write_failed_batch(out: Path, loaded: Loaded) -> Path:
    """Keep the batch that broke a run: its pixels, items and places in the photo list."""
    batch = loaded.batch
    tensors = {
        "pixels": torch.from_numpy(loaded.pixels),
        "items": torch.from_numpy(batch.items),
        "photos": torch.from_numpy(batch.photos),
    }
    _write(out / FAILED, tensors, {})
    return out / FAILED


def _modules(run: Resumable) -> dict[str, nn.Module]:
    modules: dict[str, nn.Module] = {"model": run.model, "criterion": run.criterion}
    if run.averaged is not None:
        modules["averaged"] = run.averaged
    return modules


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {name.removeprefix(start): x for name, x in tensors.items() if name.startswith(start)}


def _load_optimiser(optimiser: Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        place, kind = name.split(".")
        state.setdefault(int(place), {})[kind] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def _read_choices(kept: dict[str, object], recipe: Choices) -> dict[str, object]:
    """What a run was started with; what was not yet a choice then has its default."""
    if kept["name"] != recipe.name:
        return kept
    return type(recipe).model_validate(kept).model_dump()


def _require_same(path: Path, kept: dict[str, object], recipe: Choices) -> None:
    changed = [name for name, now in recipe.model_dump().items() if kept.get(name) != now]
    if changed:
        name = changed[0]
        raise TrainingError(
            f"{path} belongs to a run with {name} = {kept.get(name)}, now it is "
            f"{getattr(recipe, name)}; "
            "resume with the same options, or start anew in another folder"
        )


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = {name: x.detach().cpu().contiguous().clone() for name, x in tensors.items()}
        save_file(whole, partial, metadata)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: Exception) -> TrainingError:
    return TrainingError(
        f"cannot write {path}: {error}; free some space, then go on with --resume "
        "(what was there before is untouched)"
    )
