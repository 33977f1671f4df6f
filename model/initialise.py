"""A network before any training: random weights, ImageNet's, or a file's."""

import json
from pathlib import Path
from typing import NamedTuple

import timm
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from model.backbone import OWN_NAMES, Backbone, build_backbone, input_statistics
from model.checkpoint import is_checkpoint, load_checkpoint
from model.config import ModelConfig
from model.errors import CheckpointError
from model.mga import MGA, build_mga

# Heads that a retrieval backbone has no use for.
_CLASSIFIERS = ("classifier.", "head.", "fc.")


class Initialised(NamedTuple):
    """A network in eval mode, where its weights come from in words, and whether all do."""

    model: MGA
    weights: str
    complete: bool = False


def initialise(config: ModelConfig, init: str = "random", seed: int = 0) -> Initialised:
    """Build the network of `config`.

    Args:
        config: mean and std in it are replaced by those the weights expect.
        init: "random", "imagenet" (fetched through timm: needs a network) or the
            path of a safetensors file with the backbone's weights, or of a whole
            checkpoint of the same preset: nothing is left to fit then.
        seed: for whatever stays random; the caller's random state is untouched.

    Raises:
        CheckpointError: weights that cannot be had, read or fitted.
    """
    if init not in ("random", "imagenet") and is_checkpoint(Path(init)):
        return _continue(config, Path(init))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = _pretrained(config) if init == "imagenet" else build_backbone(config.backbone)
        mean, std = input_statistics(backbone.net)
        words = f"random (seed {seed})" if init == "random" else "ImageNet, through timm"
        if init not in ("random", "imagenet"):
            mean, std, words = _load_file(backbone, Path(init), mean, std)
        preprocessing = config.preprocessing.model_copy(update={"mean": mean, "std": std})
        model = build_mga(config.model_copy(update={"preprocessing": preprocessing}), backbone)
    return Initialised(model.eval(), f"{config.backbone.name}, {words}")


def _continue(config: ModelConfig, path: Path) -> Initialised:
    """Go on from a checkpoint; its own config counts."""
    found = load_checkpoint(path)
    if found.model.config.preset != config.preset:
        raise CheckpointError(
            f"{path} is a checkpoint of preset {found.model.config.preset}, but {config.preset} "
            f"is asked for; give --preset {found.model.config.preset}"
        )
    return Initialised(found.model, found.record.weights, complete=True)


def _pretrained(config: ModelConfig) -> Backbone:
    if not timm.is_model(OWN_NAMES.get(config.backbone.name, config.backbone.name)):
        raise CheckpointError(
            f"timm has no ImageNet weights of {config.backbone.name}; give a file with --init FILE"
        )
    try:
        return build_backbone(config.backbone, pretrained=True)
    # timm and the hub's client raise a dozen unrelated classes when there is no network.
    except Exception as error:
        raise CheckpointError(
            f"the ImageNet weights of {config.backbone.name} cannot be fetched "
            f"({type(error).__name__}); go online once, or give a local file with --init FILE"
        ) from error


def _load_file(
    backbone: Backbone, path: Path, mean: tuple[float, ...], std: tuple[float, ...]
) -> tuple[tuple[float, ...], tuple[float, ...], str]:
    """Fill the backbone from `path`; its metadata may name mean, std and source."""
    tensors, metadata = _read(path)
    wanted = backbone.net.state_dict()
    tensors = {k: v for k, v in tensors.items() if k in wanted or not k.startswith(_CLASSIFIERS)}
    problem = _misfit(tensors, wanted)
    if problem:
        raise CheckpointError(
            f"the weights in {path} do not fit {backbone.options.name}: {problem}; "
            "choose the preset they were made for"
        )
    backbone.net.load_state_dict(tensors, strict=False)
    stated = (json.loads(metadata[key]) if key in metadata else None for key in ("mean", "std"))
    found_mean, found_std = stated
    words = metadata.get("source", f"weights from {path.name}")
    return tuple(found_mean or mean), tuple(found_std or std), words


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except FileNotFoundError as error:
        raise CheckpointError(
            f"--init names {path}, but there is no such file; "
            "use random, imagenet or a safetensors file"
        ) from error
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {error}") from error


def _misfit(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> str | None:
    """The first thing that does not fit, in words; batch counters may be missing."""
    for name, value in wanted.items():
        if name not in found:
            if name.endswith("num_batches_tracked"):
                continue
            return f"{name} is missing"
        if found[name].shape != value.shape:
            return f"{name} is {tuple(found[name].shape)}, expected {tuple(value.shape)}"
    extra = sorted(set(found) - set(wanted))
    return f"{extra[0]} is unknown" if extra else None
