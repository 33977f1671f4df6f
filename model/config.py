"""Every choice a checkpoint carries, with its meaning and its default.

Rows mentioned here are the papers' ambiguities as numbered in
docs/math.md, section 9. The defaults are the recommended readings.
"""

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from model.errors import ParameterError
from model.preprocessing import Preprocessing


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BackboneOptions(_Frozen):
    """A timm network and which of its feature maps become levels, coarse to fine."""

    name: str
    strides: tuple[int, ...] = (32, 16, 8)
    # All levels are average-pooled to this stride before FGA; None keeps each level's own grid.
    grid_stride: int | None = None
    global_pool: Literal["avg", "gem"] = "avg"

    @model_validator(mode="after")
    def _coarse_to_fine(self) -> Self:
        if not self.strides or list(self.strides) != sorted(set(self.strides), reverse=True):
            raise ValueError(f"strides must fall, coarse to fine; found {self.strides}")
        return self


class AggregatorOptions(_Frozen):
    """Fine-Granular Aggregator, eq. 1-2."""

    num_tokens: int = Field(default=16, ge=1, le=256)
    token_dim: int = Field(default=128, ge=4, le=1024)
    num_ghosts: int = Field(default=1, ge=0, le=16)
    # Row 1. cosine: unit vectors times a learned scale plus bias; dot: eq. 1 to the letter.
    assignment: Literal["cosine", "dot"] = "cosine"
    scale: float = Field(default=30.0, gt=0, le=100.0)
    # Eq. 2 sums residuals to the centre c*; mean sums the cells themselves.
    aggregate: Literal["residual", "mean"] = "residual"
    # Row 4. separate: c* is its own parameter; shared: c* = c.
    residual_centres: Literal["separate", "shared"] = "separate"
    # uniform: as in the paper; norm: a cell counts by its feature's length.
    cell_weight: Literal["uniform", "norm"] = "uniform"
    # Row 6. What follows the 1x1 projection to token_dim.
    projection_norm: Literal["batch", "layer", "none"] = "batch"


class AlignmentOptions(_Frozen):
    """Attention-based Token Alignment, eq. 4-6."""

    num_heads: int = Field(default=4, ge=1)
    ffn_ratio: int = Field(default=2, ge=1, le=8)
    joint_blocks: int = Field(default=1, ge=0, le=8)
    # Row 16. Keys and values of a finer level: the image's own, or both images'.
    refine_from: Literal["own", "both"] = "own"
    # Row 20. Role embeddings for query and candidate; they give up S(a,b) = S(b,a).
    segments: bool = False
    temperature: float = Field(default=9.0, gt=0, le=100.0)
    learn_temperature: bool = False
    # Row 10. How the relevances of the M tokens become one number.
    reduction: Literal["mean", "max", "lse"] = "mean"
    lse_scale: float = Field(default=6.0, gt=0, le=100.0)
    # Row 11. For max and lse: reduce each direction alone, or their sum at the same index.
    pairing: Literal["per_direction", "same_index"] = "per_direction"
    # symmetric: both images' tokens are looked up; query: only the query's (detail shots).
    direction: Literal["symmetric", "query"] = "symmetric"
    # uniform: every token counts alike (eq. 6); mass: by its share of the image;
    # root_mass: by the root of that share, so that a small logo is not drowned.
    token_weight: Literal["uniform", "mass", "root_mass"] = "uniform"
    # coarse: only the refined coarse tokens are compared (the paper);
    # all: finer levels' own tokens are compared too, weighted by a stored weight a level.
    compare: Literal["coarse", "all"] = "coarse"


RecallName = Literal["global", "granular", "joint"]


class RecallOptions(_Frozen):
    """The vector of stage one, eq. 3, 13 and 14.

    global: the global feature (the paper). granular: all tokens joined and projected.
    joint: both, so that the inner product is the weighted sum of their cosines.
    """

    vector: RecallName = "global"
    # Width of the granular part.
    dim: int = Field(default=256, ge=1, le=4096)
    # Weight of the global cosine in the joint one.
    global_weight: float = Field(default=0.5, ge=0, le=1)


class ModelConfig(_Frozen):
    """All that is needed to rebuild the network and its input."""

    preset: str
    backbone: BackboneOptions
    aggregator: AggregatorOptions = AggregatorOptions()
    alignment: AlignmentOptions = AlignmentOptions()
    recall: RecallOptions = RecallOptions()
    preprocessing: Preprocessing = Preprocessing()
    # Weight of S_global in the fused score, used when a search does not give its own.
    alpha: float = Field(default=0.5, ge=0, le=1)
    # A query photo is encoded at these fractions of image_size, and scores are means over
    # them: what fills a close-up is small in a photo of the whole garment (eq. 9a).
    query_scales: tuple[float, ...] = Field(default=(1.0,), min_length=1, max_length=4)

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        width, heads = self.aggregator.token_dim, self.alignment.num_heads
        if width % heads:
            raise ValueError(f"token_dim {width} is not a multiple of num_heads {heads}")
        return self

    @model_validator(mode="after")
    def _scales_are_fractions(self) -> Self:
        if not all(0 < scale <= 1 for scale in self.query_scales):
            raise ValueError(
                f"query_scales must be above 0 and at most 1; found {self.query_scales}"
            )
        return self

    @property
    def num_levels(self) -> int:
        """L, the number of token levels."""
        return len(self.backbone.strides)


# What was best without training (docs/experiments.md).
_UNTRAINED_TOKENS = AggregatorOptions(aggregate="mean", cell_weight="norm", num_ghosts=0)
_UNTRAINED_ALIGNMENT = AlignmentOptions(token_weight="mass", compare="all", temperature=20.0)
# Lost neither whole views, as granular does, nor detail shots, as global does.
_UNTRAINED_RECALL = RecallOptions(vector="joint")


# A detail shot shows a part: its tokens are looked for in the item, not the other way round.
_FIND_THE_QUERY = _UNTRAINED_ALIGNMENT.model_copy(
    update={"direction": "query", "token_weight": "root_mass"}
)


def _fine(
    preset: str, name: str, size: int, alignment: AlignmentOptions = _UNTRAINED_ALIGNMENT
) -> ModelConfig:
    """Levels down to stride 4 on one stride-16 grid: they carry colour, print and seams."""
    return ModelConfig(
        preset=preset,
        backbone=BackboneOptions(name=name, strides=(16, 8, 4), grid_stride=16),
        aggregator=_UNTRAINED_TOKENS,
        alignment=alignment,
        recall=_UNTRAINED_RECALL,
        preprocessing=Preprocessing(image_size=size),
    )


def with_query_scales(config: ModelConfig, scales: Sequence[float]) -> ModelConfig:
    """Encode query photos at other scales; ParameterError when one is not in (0, 1]."""
    try:
        return ModelConfig.model_validate({**config.model_dump(), "query_scales": tuple(scales)})
    except ValidationError as error:
        raise ParameterError(
            f"the query scales are {', '.join(f'{x:g}' for x in scales)}; expected one to four "
            "fractions of the image size, above 0 and at most 1"
        ) from error


PRESETS: dict[str, ModelConfig] = {
    config.preset: config
    for config in (
        ModelConfig(preset="mga-s", backbone=BackboneOptions(name="tf_efficientnetv2_s")),
        _fine("mga-b0", "tf_efficientnetv2_b0", 224),
        with_query_scales(_fine("mga-r50", "resnet50v2_trunk", 320, _FIND_THE_QUERY), (1.0, 0.5)),
        _fine("mga-mobile", "mobilenetv2_100", 320),
        ModelConfig(
            preset="mga-mini",
            backbone=BackboneOptions(name="small_resnet", strides=(16, 8, 4), grid_stride=16),
            aggregator=AggregatorOptions(num_tokens=4, token_dim=32),
            alignment=AlignmentOptions(num_heads=2),
            preprocessing=Preprocessing(image_size=96),
        ),
        ModelConfig(
            preset="tiny",
            backbone=BackboneOptions(name="tiny"),
            aggregator=AggregatorOptions(num_tokens=4, token_dim=16),
            alignment=AlignmentOptions(num_heads=2),
            preprocessing=Preprocessing(image_size=64),
        ),
    )
}


def get_preset(name: str) -> ModelConfig:
    """Look a preset up by name.

    >>> get_preset("mga-s").backbone.strides
    (32, 16, 8)
    """
    try:
        return PRESETS[name]
    except KeyError:
        known = ", ".join(PRESETS)
        raise ParameterError(f"there is no preset {name!r}; choose one of {known}") from None
