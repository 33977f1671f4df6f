"""How to train: every choice with its default, and named recipes.

A recipe is not part of a checkpoint's config: it says how weights came about, and is
kept in the checkpoint's record.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from model.devices import Amp
from model.errors import ParameterError

Frozen = Literal["none", "backbone", "all"]
Loss = Literal["identity", "triplet", "multi-granular", "contrastive"]


class Choices(BaseModel):
    """What every kind of run chooses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    preset: str
    seed: int = 0

    def changed(self, **changes: object) -> Self:
        """Return this recipe with the changes that are not None, checked."""
        try:
            given = {name: value for name, value in changes.items() if value is not None}
            return type(self).model_validate({**self.model_dump(), **given})
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"]))
            what = f"{name} is {first['input']!r}: " if name else "recipe: "
            raise ParameterError(what + first["msg"]) from error


class Recipe(Choices):
    """One training run. `steps` are optimiser steps; an epoch sees every item once or more."""

    # The rows of the paper's Table 2: identity loss alone, with the plain triplet loss
    # on S_global, or with the multi-granular triplet loss on the fused score. contrastive:
    # each query of the batch against every item, by tokens, by level and by S_global, without
    # a classifier; for pairs of a query and an item (batch_photos 2).
    loss: Loss = "multi-granular"
    epochs: int = Field(default=130, ge=1)
    # A batch is items x photos of each: 12 x 4 = 48 in the paper.
    batch_items: int = Field(default=12, ge=2)
    batch_photos: int = Field(default=4, ge=2)
    optimiser: Literal["adam", "adamw"] = "adam"
    learning_rate: float = Field(default=1e-4, gt=0)
    # New parts (classifier, FGA, ATA) start from nothing and may learn faster.
    head_rate_factor: float = Field(default=1.0, gt=0)
    weight_decay: float = Field(default=5e-4, ge=0)
    warmup_epochs: float = Field(default=10.0, ge=0)
    schedule: Literal["steps", "cosine"] = "steps"
    milestones: tuple[int, ...] = (40, 70)
    decay: float = Field(default=0.1, gt=0, le=1)
    # Epochs with the identity loss alone before triplets join: random tokens mislead mining.
    identity_epochs: int = Field(default=5, ge=0)
    identity_weight: float = Field(default=1.0, ge=0)
    # Epochs in which triplets are formed on S_global alone before tokens join: all pairs of a
    # batch through ATA can cost more than a small backbone.
    global_epochs: int = Field(default=0, ge=0)
    triplet_weight: float = Field(default=1.0, ge=0)
    # hinge: the hardest triplet of each anchor (the paper); softmax: every pair against all
    # negatives of the batch, which learns faster from random weights.
    triplet: Literal["hinge", "softmax"] = "hinge"
    # Of the hinge.
    margin: float = Field(default=0.2, ge=0)
    # Of the softmax: scores times this are logits.
    sharpness: float = Field(default=16.0, gt=0)
    alpha: float = Field(default=0.5, ge=0, le=1)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    # 0: plain classifier; above: CosFace margin on cosines.
    identity_margin: float = Field(default=0.0, ge=0, lt=1)
    clip_norm: float = Field(default=1.0, gt=0)
    # Batches of 12 items are no fair sample: their statistics would replace ImageNet's.
    # all: those of FGA and the neck too, whose statistics were fitted on many photos.
    freeze_batch_norm: Frozen = "backbone"
    # alignment: only ATA's blocks learn; the rest stays as it started.
    trains: Literal["all", "alignment"] = "all"
    # Pixels a side in training; None: the preset's. Smaller is faster, and served larger.
    image_size: int | None = Field(default=None, ge=32)
    # Items that look alike, as the start sees them, put into a batch together.
    together: int = Field(default=1, ge=1)
    # Decay of an averaged copy of the weights, which is then what is saved; None: off.
    ema: float | None = Field(default=None, gt=0, lt=1)
    # bfloat16 in the backbone; similarities stay float32. auto: on a GPU, and on a CPU whose
    # matrix units make it faster (AMX); networks of depthwise convolutions gain little there.
    amp: Amp = "auto"
    # Fit projections and centres on training photos before the first step.
    fit_centres: bool = True
    # paper: flip, shift, erase; instance: also close-ups, backgrounds, light, angle;
    # pair: the first half of an item's photos as strangers take them, the other as a shop does;
    # auto: instance for unlabelled photos, else paper.
    augment: Literal["auto", "none", "paper", "instance", "pair"] = "auto"
    validate_every: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _pairs_for_contrast(self) -> Self:
        if self.loss == "contrastive" and self.batch_photos != 2:
            raise ValueError(f"contrastive needs batch_photos 2; found {self.batch_photos}")
        return self


class Distillation(Choices):
    """One run in which a student learns to see as its teacher does, without labels."""

    name: str = "distil"
    preset: str = "mga-b0"
    # An epoch sees one crop of every photo.
    epochs: int = Field(default=20, ge=1)
    batch_photos: int = Field(default=24, ge=2)
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_epochs: float = Field(default=0.5, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    # Pixels a side of a crop.
    image_size: int = Field(default=192, ge=32)
    amp: Amp = "auto"


DISTIL = Distillation()

# How the shipped checkpoint was made (docs/model-card.md). `alignment` may follow it.
_CONTRASTIVE = Recipe(
    name="contrastive",
    preset="mga-r50",
    loss="contrastive",
    epochs=2,
    batch_items=30,
    batch_photos=2,
    optimiser="adamw",
    learning_rate=5e-5,
    head_rate_factor=4.0,
    weight_decay=0.01,
    warmup_epochs=0.1,
    schedule="cosine",
    identity_epochs=0,
    alpha=0.1,
    freeze_batch_norm="all",
    ema=0.99,
    image_size=224,
    together=4,
    augment="pair",
    validate_every=10,
)

_MINI = Recipe(
    name="mini",
    preset="mga-mini",
    epochs=9,
    batch_items=32,
    batch_photos=2,
    optimiser="adamw",
    learning_rate=3e-3,
    warmup_epochs=0.5,
    schedule="cosine",
    identity_epochs=0,
    identity_weight=0.1,
    global_epochs=6,
    triplet="softmax",
    label_smoothing=0.0,
    freeze_batch_norm="none",
    augment="none",
    validate_every=3,
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(name="paper", preset="mga-s"),
        Recipe(
            name="shop",
            preset="mga-b0",
            epochs=30,
            optimiser="adamw",
            head_rate_factor=10.0,
            warmup_epochs=2.0,
            schedule="cosine",
            identity_epochs=1,
        ),
        _CONTRASTIVE,
        _CONTRASTIVE.changed(
            name="alignment",
            trains="alignment",
            learning_rate=1e-3,
            head_rate_factor=1.0,
            epochs=1,
        ),
        _MINI,
        # The losses of the paper on the network of `mini`: hinge, the hardest triplet of each
        # anchor, both losses at full weight, tokens from the second epoch on.
        _MINI.changed(
            name="mini-paper",
            epochs=12,
            batch_items=16,
            batch_photos=4,
            identity_epochs=1,
            identity_weight=1.0,
            global_epochs=0,
            triplet="hinge",
            label_smoothing=0.1,
            validate_every=3,
        ),
        Recipe(
            name="quick",
            preset="tiny",
            epochs=12,
            batch_items=8,
            optimiser="adamw",
            learning_rate=2e-3,
            warmup_epochs=0.5,
            schedule="cosine",
            identity_epochs=1,
            freeze_batch_norm="none",
            amp="off",
        ),
    )
}


def get_recipe(name: str) -> Recipe:
    """Look a recipe up by name.

    >>> get_recipe("paper").milestones
    (40, 70)
    """
    try:
        return RECIPES[name]
    except KeyError:
        known = ", ".join(RECIPES)
        raise ParameterError(f"there is no recipe {name!r}; choose one of {known}") from None
