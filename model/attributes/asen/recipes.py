"""How to train ASEN++: the paper's schedule, and one for a CPU.

Stage one trains the global branch, stage two both. A recipe is kept in the checkpoint's record.
"""

from typing import Literal

from pydantic import Field

from model.attributes.asen.config import Framing, Network
from model.devices import Amp
from model.errors import ParameterError
from model.recipes import Choices


class AsenRecipe(Choices):
    """One training run; the defaults are the paper's, to the letter where nothing is said."""

    # The MGA preset whose backbone the global branch has.
    preset: str = "mga-r50"
    network: Network = "asen"
    # A network of timm, or of a preset; global: the same as the global branch's.
    local_backbone: str = "resnet34"
    # Of the maps that the heads read. ResNets have stage 3 there.
    stride: int = Field(default=16, ge=2)
    image_size: int = Field(default=224, ge=32)
    local_size: int = Field(default=112, ge=32)
    # The paper cuts regions from the photo as it is stored; here, from a framed copy of this side.
    source_size: int = Field(default=448, ge=32)
    framing: Framing = "crop"
    embedding_dim: int = Field(default=1024, ge=1)
    attribute_dim: int = Field(default=512, ge=1)
    threshold: float = Field(default=0.1, ge=0, lt=1)
    largest_part: bool = False
    beta: float = Field(default=0.6, ge=0, le=1)

    # global: the local branch starts stage two as a copy of the global one, which has to be the
    # same network then. own: from its own weights, as published.
    local_start: Literal["own", "global"] = "own"
    # Epochs of stage one and of stage two. `plain` has no stage two: all are its stage one.
    global_epochs: int = Field(default=50, ge=1)
    both_epochs: int = Field(default=20, ge=0)
    # An epoch.
    triplets: int = Field(default=100_000, ge=1)
    batch_triplets: int = Field(default=16, ge=1)
    # What the global branch learns from. sampled: the triplets that were drawn, one attribute
    # each. batch: every triplet that the labels of the batch's photos allow, for every
    # attribute: many times more from the same forward pass. The local branch has the sampled.
    learns_from: Literal["sampled", "batch"] = "sampled"
    # Start the output layers with a mean of zero over some training photos. Rectified maps
    # give cosines near 1 for any two photos, and hinges that hardly differ.
    centre: bool = False
    learning_rate: float = Field(default=1e-4, gt=0)
    # Of heads and table, which start from nothing.
    head_rate_factor: float = Field(default=1.0, gt=0)
    # Of the global branch and the table in stage two.
    settled_rate_factor: float = Field(default=0.1, gt=0)
    decay: float = Field(default=0.9, gt=0, le=1)
    # Epochs between two decays.
    decay_every: int = Field(default=3, ge=1)
    both_decay_every: int = Field(default=1, ge=1)
    clip_norm: float | None = Field(default=None, gt=0)
    # Trunks keep the batch statistics of the weights they start from.
    freeze_batch_norm: bool = False

    margin: float = Field(default=0.2, ge=0)
    local_weight: float = Field(default=0.1, ge=0)
    alignment_weight: float = Field(default=0.1, ge=0)
    # bfloat16 in the trunks; attention, embeddings and losses stay float32.
    amp: Amp = "auto"
    validate_every: int = Field(default=1, ge=1)

    @property
    def epochs(self) -> int:
        """Of both stages."""
        return self.global_epochs + self.both_epochs

    def trains_both(self, epoch: int) -> bool:
        """Say whether an epoch, counted from 0, belongs to stage two."""
        return self.network == "asen" and epoch >= self.global_epochs

    def starts_stage(self, epoch: int) -> bool:
        """Say whether an epoch is the first of a stage."""
        return epoch == 0 or (self.trains_both(epoch) and epoch == self.global_epochs)

    def rates(self, epoch: int) -> tuple[float, float]:
        """Learning rates of the global branch and of the local one, in an epoch.

        >>> [round(rate * 1e6, 1) for epoch in (0, 3, 51) for rate in PAPER.rates(epoch)]
        [100.0, 0.0, 90.0, 0.0, 9.0, 90.0]
        """
        if not self.trains_both(epoch):
            return self.learning_rate * self.decay ** (epoch // self.decay_every), 0.0
        steps = (epoch - self.global_epochs) // self.both_decay_every
        rate = self.learning_rate * self.decay**steps
        return rate * self.settled_rate_factor, rate

    def shortened(self, epochs: int | None) -> "AsenRecipe":
        """Return the recipe with this many epochs in all, divided as before.

        >>> short = PAPER.shortened(7)
        >>> short.global_epochs, short.both_epochs
        (5, 2)
        """
        if epochs is None:
            return self
        least = 2 if self.both_epochs else 1
        if epochs < least:
            raise ParameterError(
                f"recipe {self.name} has {least} stages, so --epochs {epochs} is too few; "
                f"give {least} or more"
            )
        both = max(1, round(epochs * self.both_epochs / self.epochs)) if self.both_epochs else 0
        return self.changed(global_epochs=epochs - both, both_epochs=both)


PAPER = AsenRecipe(name="paper")

_SMALL = AsenRecipe(
    name="small",
    local_backbone="global",
    image_size=128,
    local_size=64,
    source_size=224,
    framing="letterbox",
    global_epochs=8,
    both_epochs=2,
    triplets=1_600,
    learns_from="batch",
    centre=True,
    local_start="global",
    learning_rate=3e-5,
    head_rate_factor=20.0,
    decay_every=1,
    clip_norm=1.0,
    freeze_batch_norm=True,
    validate_every=2,
)

_QUICK = _SMALL.changed(
    name="quick",
    preset="tiny",
    image_size=64,
    local_size=32,
    source_size=64,
    embedding_dim=32,
    attribute_dim=32,
    global_epochs=2,
    both_epochs=1,
    triplets=64,
    freeze_batch_norm=False,
    amp="off",
    validate_every=1,
)

ASEN_RECIPES: dict[str, AsenRecipe] = {
    recipe.name: recipe
    for base in (PAPER, _SMALL, _QUICK)
    for recipe in (base, base.changed(name=f"{base.name}-triplet", network="plain"))
}


def get_asen_recipe(name: str) -> AsenRecipe:
    """Look a recipe up by name.

    >>> get_asen_recipe("paper").batch_triplets
    16
    """
    try:
        return ASEN_RECIPES[name]
    except KeyError:
        known = ", ".join(ASEN_RECIPES)
        raise ParameterError(
            f"there is no recipe {name!r} for --method asen; choose one of {known}"
        ) from None
