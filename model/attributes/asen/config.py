"""Every choice an ASEN++ checkpoint carries; the defaults are the paper's."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from model.attributes.records import Attribute, AttributeData
from model.config import BackboneOptions
from model.errors import DataError
from model.preprocessing import IMAGENET_MEAN, IMAGENET_STD

Network = Literal["asen", "plain"]
Framing = Literal["crop", "letterbox"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AttributeName(_Frozen):
    """One attribute of the table, and the names of its values in the order of their indices."""

    name: str
    values: tuple[str, ...]


class BranchOptions(_Frozen):
    """A backbone, the map that is taken from it (its only stride), and the head on that map."""

    backbone: BackboneOptions
    # Pixels a side of what the branch looks at.
    image_size: int = Field(ge=32, le=2048)
    # c', the width in which pixels and attribute are compared.
    common_width: int = Field(ge=1)
    embedding_dim: int = Field(default=1024, ge=1)
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


class RegionOptions(_Frozen):
    """How an attention map becomes a square on the photo."""

    # tau: of the map brought to 0..1, what is strictly above belongs to the region.
    threshold: float = Field(default=0.1, ge=0, lt=1)
    # Of the frame's side. The published code has no such guard.
    least_side: float = Field(default=32 / 224, gt=0, le=1)
    # A map whose largest and smallest value differ by less, relative to the largest, is flat:
    # the region is the whole frame then.
    flat: float = Field(default=1e-4, ge=0)
    # Only the largest connected part of the map counts; the paper takes all of it.
    largest_part: bool = False


class AsenConfig(_Frozen):
    """All that is needed to rebuild the network and its input."""

    # plain: one embedding for all attributes, from the pooled map: the baseline.
    network: Network = "asen"
    attributes: tuple[AttributeName, ...] = Field(min_length=1)
    attribute_dim: int = Field(default=512, ge=1)
    # ACA's bottleneck is the map's width over this.
    reduction: int = Field(default=2, ge=1)
    global_branch: BranchOptions
    local_branch: BranchOptions | None = None
    region: RegionOptions = RegionOptions()
    # crop: the middle square of the photo (the paper); letterbox: all of it, padded with white.
    framing: Framing = "crop"
    # Pixels a side that are kept of the framed photo; regions are cut from these.
    source_size: int = Field(default=448, ge=32, le=4096)
    # False until stage two has begun: the local branch knows nothing yet and is not asked.
    fused: bool = False
    # Weight of the global cosine in the fused embedding.
    beta: float = Field(default=0.6, ge=0, le=1)

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes in the order of their indices."""
        return tuple(attribute.name for attribute in self.attributes)


def describe_attributes(attributes: tuple[Attribute, ...]) -> tuple[AttributeName, ...]:
    """What a checkpoint remembers of a data set's attributes."""
    return tuple(AttributeName(name=a.name, values=a.values) for a in attributes)


def match_attributes(config: AsenConfig, data: AttributeData) -> dict[int, int]:
    """Map each attribute of `data` that the network knows to its index in the network.

    Raises:
        DataError: the network knows none of them.
    """
    known = {name: index for index, name in enumerate(config.names)}
    found = {i: known[a.name] for i, a in enumerate(data.attributes) if a.name in known}
    if not found:
        raise DataError(
            f"{data.name} has the attributes {', '.join(a.name for a in data.attributes)}, and the "
            f"checkpoint knows {', '.join(config.names)}: none in common. Evaluate it on data "
            "whose attributes have the names it was trained with"
        )
    return found
