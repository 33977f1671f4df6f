"""Why a hit was found, over HTTP: matched regions, and where attributes look."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from indexer.results import AttributeRegions, Ellipse, Explanation, Region, RegionPair

PAIR_EXAMPLE: JsonDict = {
    "photo": 0,
    "level": 1,
    "similarity": 0.83,
    "share": 0.041,
    "query": {"x": 0.52, "y": 0.31, "rx": 0.2, "ry": 0.11, "angle": -12.5},
    "item": {"x": 0.48, "y": 0.3, "rx": 0.19, "ry": 0.12, "angle": 4.0},
}
REGION_EXAMPLE: JsonDict = {
    "x": 0.5,
    "y": 0.17,
    "rx": 0.14,
    "ry": 0.08,
    "angle": 3.5,
    "share": 0.62,
    "photo": 0,
}
EXPLANATION_EXAMPLE: JsonDict = {
    "pairs": [PAIR_EXAMPLE],
    "remainder": 0.669,
    "constant": 0.0,
    "attributes": {},
}


class EllipseAnswer(BaseModel):
    """A region, in fractions of the upright photo: the unit square, stretched over it."""

    x: float = Field(description="Centre, from the left.")
    y: float = Field(description="Centre, from the top.")
    rx: float = Field(description="The longer half-axis.")
    ry: float = Field(description="The shorter half-axis.")
    angle: float = Field(description="Of the longer half-axis, in degrees from x towards y.")

    @classmethod
    def from_ellipse(cls, ellipse: Ellipse) -> "EllipseAnswer":
        """Translate the engine's ellipse."""
        return cls(**_round_ellipse(ellipse))


class RegionAnswer(EllipseAnswer):
    """A region that an attribute looks at."""

    model_config = ConfigDict(json_schema_extra={"example": REGION_EXAMPLE})

    share: float = Field(description="Part of its attention, 0 to 1.")
    photo: int = Field(description="Which of the query's photos, from 0; of the item always 0.")

    @classmethod
    def from_region(cls, region: Region) -> "RegionAnswer":
        """Translate the engine's region."""
        ellipse = _round_ellipse(region.ellipse)
        return cls(share=round(region.share, 4), photo=region.photo, **ellipse)


class AttributeRegionsAnswer(BaseModel):
    """Where an attribute looks, largest share first."""

    query: list[RegionAnswer]
    item: list[RegionAnswer]

    @classmethod
    def from_regions(cls, regions: AttributeRegions) -> "AttributeRegionsAnswer":
        """Translate the engine's regions."""
        return cls(
            query=[RegionAnswer.from_region(region) for region in regions.query],
            item=[RegionAnswer.from_region(region) for region in regions.item],
        )


def _round_ellipse(ellipse: Ellipse) -> dict[str, Any]:
    place = {"x": ellipse.x, "y": ellipse.y, "rx": ellipse.major, "ry": ellipse.minor}
    return {name: round(at, 4) for name, at in place.items()} | {"angle": round(ellipse.angle, 1)}


class PairAnswer(BaseModel):
    """A region of the query and one of the item that were matched."""

    model_config = ConfigDict(json_schema_extra={"example": PAIR_EXAMPLE})

    photo: int = Field(description="Which of the query's photos, from 0.")
    level: int = Field(description="From 0, the coarsest.")
    similarity: float = Field(description="Cosine of the two tokens, -1 to 1.")
    share: float = Field(description="What the pair adds to the token score.")
    query: EllipseAnswer
    item: EllipseAnswer

    @classmethod
    def from_pair(cls, pair: RegionPair) -> "PairAnswer":
        """Translate the engine's pair."""
        return cls(
            photo=pair.photo,
            level=pair.level,
            similarity=pair.similarity,
            share=pair.share,
            query=EllipseAnswer.from_ellipse(pair.query),
            item=EllipseAnswer.from_ellipse(pair.item),
        )


class ExplanationAnswer(BaseModel):
    """Matched regions, largest share first; shares, remainder and constant are the token score."""

    pairs: list[PairAnswer]
    remainder: float = Field(description="Shares of all pairs that are not shown.")
    constant: float = Field(description="What belongs to no pair; usually 0.")
    attributes: dict[str, AttributeRegionsAnswer] = Field(
        description="Where each attribute asked for looks, on both photos.",
        examples=[{"collar": {"query": [REGION_EXAMPLE], "item": [REGION_EXAMPLE]}}],
    )

    @classmethod
    def from_explanation(cls, found: Explanation | None) -> "ExplanationAnswer | None":
        """Translate the engine's explanation."""
        if found is None:
            return None
        pairs = [PairAnswer.from_pair(pair) for pair in found.pairs]
        attributes = {
            name: AttributeRegionsAnswer.from_regions(regions)
            for name, regions in found.attributes.items()
        }
        return cls(
            pairs=pairs,
            remainder=found.remainder,
            constant=found.constant,
            attributes=attributes,
        )
