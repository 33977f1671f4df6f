"""ASEN++ before its first step: backbones from given weights, heads from nothing."""

from pathlib import Path
from typing import NamedTuple

import torch

from model.attributes.asen.config import (
    AsenConfig,
    BranchOptions,
    RegionOptions,
    describe_attributes,
)
from model.attributes.asen.network import Asen, build_asen, cut_off
from model.attributes.asen.recipes import AsenRecipe
from model.attributes.records import AttributeData
from model.backbone import Backbone
from model.checkpoint import is_checkpoint, load_checkpoint
from model.config import PRESETS, BackboneOptions, ModelConfig, get_preset
from model.errors import CheckpointError, ParameterError
from model.initialise import initialise

# No map is compared with an attribute in a greater width, as published.
MAX_COMMON_WIDTH = 512


class Started(NamedTuple):
    """A network, and where its weights come from in words."""

    network: Asen
    weights: str


class _Trunk(NamedTuple):
    backbone: Backbone
    options: BranchOptions
    words: str


def start_network(
    recipe: AsenRecipe, data: AttributeData, init: str = "random", local_init: str | None = None
) -> Started:
    """Build the network of a recipe for the attributes of a data set.

    Args:
        recipe: its seed decides what starts from nothing; the caller's random state is kept.
        data: names the attributes.
        init: what the global trunk starts from: "random", "imagenet", a safetensors file, or
            an MGA checkpoint with the same backbone.
        local_init: the local trunk; None: `init` where both trunks are the same network, else
            "random".

    Raises:
        CheckpointError: weights that cannot be had, or do not fit; a backbone there is not.
    """
    name = get_preset(recipe.preset).backbone.name
    whole = _start_trunk(recipe, name, recipe.image_size, init, recipe.seed)
    local = None
    if recipe.network == "asen":
        local_name = _name_local(recipe, name)
        if recipe.local_start == "global" and local_name != name:
            raise ParameterError(
                f"recipe {recipe.name} starts the local branch as a copy of the global one, but "
                f"they are {local_name} and {name}; give both the same network, or local_start own"
            )
        chosen = local_init or (init if local_name == name else "random")
        local = _start_trunk(recipe, local_name, recipe.local_size, chosen, recipe.seed + 1)
    config = AsenConfig(
        network=recipe.network,
        attributes=describe_attributes(data.attributes),
        attribute_dim=recipe.attribute_dim,
        global_branch=whole.options,
        local_branch=local.options if local else None,
        region=RegionOptions(threshold=recipe.threshold, largest_part=recipe.largest_part),
        framing=recipe.framing,
        source_size=recipe.source_size,
        beta=recipe.beta,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = build_asen(config, whole.backbone, local.backbone if local else None)
    words = whole.words if local is None else f"{whole.words}; local branch {local.words}"
    return Started(network, words)


def _start_trunk(recipe: AsenRecipe, name: str, size: int, init: str, seed: int) -> _Trunk:
    options = BackboneOptions(name=name, strides=(recipe.stride,))
    if init not in ("random", "imagenet") and is_checkpoint(Path(init)):
        backbone, mean, std, words = _take_from_checkpoint(options, Path(init))
    else:
        wanted = ModelConfig(preset=name, backbone=options)
        found = initialise(wanted, init, seed)
        backbone, words = found.model.backbone, found.weights
        mean, std = found.model.config.preprocessing.mean, found.model.config.preprocessing.std
    branch = BranchOptions(
        backbone=options,
        image_size=size,
        common_width=min(MAX_COMMON_WIDTH, backbone.level_channels[0]),
        embedding_dim=recipe.embedding_dim,
        mean=mean,
        std=std,
    )
    return _Trunk(cut_off(backbone), branch, words)


def _take_from_checkpoint(
    options: BackboneOptions, path: Path
) -> tuple[Backbone, tuple[float, float, float], tuple[float, float, float], str]:
    found = load_checkpoint(path)
    has = found.model.config.backbone.name
    if has != options.name:
        raise CheckpointError(
            f"{path} has the backbone {has}, and the recipe wants {options.name}; choose the "
            "preset that fits, or weights of that network"
        )
    served = found.model.config.preprocessing
    backbone = Backbone(found.model.backbone.net, options)
    return backbone, served.mean, served.std, f"{has}, {path.name} ({found.fingerprint[:12]})"


def _name_local(recipe: AsenRecipe, whole: str) -> str:
    name = recipe.local_backbone
    if name == "global":
        return whole
    return PRESETS[name].backbone.name if name in PRESETS else name
