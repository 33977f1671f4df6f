"""What a search returns over HTTP, with examples; the rest is in `service.schemas`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from indexer.results import Ellipse, Explanation, Facet, Hit, RegionPair, SearchResult
from service.json_safe import to_finite, to_json_safe
from service.schemas import ITEM_EXAMPLE, STAMP_EXAMPLE, GalleryAnswer, item_fields

PAIR_EXAMPLE: JsonDict = {
    "photo": 0,
    "level": 1,
    "similarity": 0.83,
    "share": 0.041,
    "query": {"x": 0.52, "y": 0.31, "rx": 0.2, "ry": 0.11, "angle": -12.5},
    "item": {"x": 0.48, "y": 0.3, "rx": 0.19, "ry": 0.12, "angle": 4.0},
}
HIT_EXAMPLE: JsonDict = {
    "rank": 1,
    **ITEM_EXAMPLE,
    "scores": {"global": 0.83, "token": 0.71, "fused": 0.77},
    "confidence": 0.93,
    "explanation": {"pairs": [PAIR_EXAMPLE], "remainder": 0.669, "constant": 0.0},
}
ANSWER_EXAMPLE: JsonDict = {
    "query_id": "q9Zb3vY6J0mTq1c2xw4ZQA",
    "expires_in_s": 600,
    "hits": [HIT_EXAMPLE],
    "reranked": True,
    "no_confident_match": False,
    "facets": {
        "category": {
            "kind": "values",
            "values": [{"value": "Jackets", "count": 12}],
            "more": 0,
            "missing": 3,
        }
    },
    "facet_candidates": 100,
    "cursor": "eJyrVipLLSrOzM9TsjLUUSrKz0tVsjIwqAUAVcIHIg",
    "timings_ms": {"decode": 4.1, "encode": 31.0, "recall": 0.3, "total": 42.7},
    "gallery": STAMP_EXAMPLE,
}


class ScoresAnswer(BaseModel):
    """Higher is better; `global` and `token` lie in [-1, 1]."""

    global_score: float | None = Field(serialization_alias="global", description="The whole look.")
    token_score: float | None = Field(
        serialization_alias="token", description="The details; null without re-ranking."
    )
    fused: float | None = Field(
        description="alpha x global + (1 - alpha) x token; null without re-ranking."
    )


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
        place = [round(value, 4) for value in (ellipse.x, ellipse.y, ellipse.major, ellipse.minor)]
        x, y, rx, ry = place
        return cls(x=x, y=y, rx=rx, ry=ry, angle=round(ellipse.angle, 1))


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

    @classmethod
    def from_explanation(cls, found: Explanation | None) -> "ExplanationAnswer | None":
        """Translate the engine's explanation."""
        if found is None:
            return None
        pairs = [PairAnswer.from_pair(pair) for pair in found.pairs]
        return cls(pairs=pairs, remainder=found.remainder, constant=found.constant)


class HitAnswer(BaseModel):
    """One result; `rank` counts from 1."""

    model_config = ConfigDict(json_schema_extra={"example": HIT_EXAMPLE})

    rank: int
    item_id: str
    product_id: str
    uri: str
    metadata: dict[str, Any]
    scores: ScoresAnswer
    confidence: float | None = Field(
        description="Probability that it shows the same product; null where the checkpoint is "
        "not calibrated, or not for the alpha that was sent, or without re-ranking."
    )
    explanation: ExplanationAnswer | None = Field(
        description="Why it was found, where `explain` asked for it."
    )

    @classmethod
    def from_hit(cls, hit: Hit) -> "HitAnswer":
        """Translate the engine's hit."""
        scores = ScoresAnswer(
            global_score=to_finite(hit.scores.global_score),
            token_score=to_finite(hit.scores.token_score),
            fused=to_finite(hit.scores.fused),
        )
        return cls(
            rank=hit.rank,
            scores=scores,
            confidence=hit.confidence,
            explanation=ExplanationAnswer.from_explanation(hit.explanation),
            **item_fields(hit.item),
        )


class ValueAnswer(BaseModel):
    """How many candidates have this value."""

    value: str | bool
    count: int


class BinAnswer(BaseModel):
    """How many candidates lie from `from` to `to`."""

    low: float = Field(serialization_alias="from")
    high: float = Field(serialization_alias="to", description="In the last bin only: included.")
    count: int


class ValuesFacet(BaseModel):
    """A column of texts or truth values: the most frequent ones among the candidates."""

    kind: Literal["values"] = "values"
    values: list[ValueAnswer]
    more: int = Field(description="Further values that are not listed.")
    missing: int = Field(description="Candidates without a value.")


class NumbersFacet(BaseModel):
    """A column of numbers: its range among the candidates, in at most ten bins."""

    kind: Literal["numbers"] = "numbers"
    min: float | None
    max: float | None
    bins: list[BinAnswer]
    missing: int = Field(description="Candidates without a value.")


class TimesFacet(BaseModel):
    """A column of dates or times: its range among the candidates, as ISO 8601."""

    kind: Literal["times"] = "times"
    min: str | None
    max: str | None
    missing: int = Field(description="Candidates without a value.")


FacetAnswer = Annotated[ValuesFacet | NumbersFacet | TimesFacet, Field(discriminator="kind")]


def to_facet(facet: Facet) -> FacetAnswer:
    """Translate the engine's facet."""
    if facet.kind in ("string", "bool"):
        values = [ValueAnswer(value=each.value, count=each.count) for each in facet.values]
        return ValuesFacet(values=values, more=facet.distinct - len(values), missing=facet.missing)
    low, high = to_json_safe(facet.minimum), to_json_safe(facet.maximum)
    if facet.kind not in ("int", "float"):
        return TimesFacet(min=low, max=high, missing=facet.missing)
    bins = [BinAnswer(low=each.low, high=each.high, count=each.count) for each in facet.bins]
    return NumbersFacet(min=low, max=high, bins=bins, missing=facet.missing)


class SearchAnswer(BaseModel):
    """Hits best first, milliseconds per stage, and the gallery that answered."""

    model_config = ConfigDict(json_schema_extra={"example": ANSWER_EXAMPLE})

    query_id: str | None = Field(
        description="Search again with it, without an upload; null for items of the gallery, and "
        "where the service keeps no photos."
    )
    expires_in_s: int | None = Field(
        description="How long `query_id` can be used, counted from its last use."
    )
    hits: list[HitAnswer]
    reranked: bool = Field(
        description="False: the deadline passed first, so the hits are in the order of stage one."
    )
    no_confident_match: bool = Field(
        description="`min_confidence` was sent, and no hit reaches it."
    )
    facets: dict[str, FacetAnswer] = Field(description="By column, where `facet` asked for it.")
    facet_candidates: int = Field(description="How many candidates were counted.")
    cursor: str | None = Field(description="The next page; null at the end.")
    timings_ms: dict[str, float]
    gallery: GalleryAnswer

    @classmethod
    def from_result(
        cls,
        result: SearchResult,
        query_id: str | None = None,
        expires_in_s: int | None = None,
        cursor: str | None = None,
    ) -> "SearchAnswer":
        """Translate the engine's result."""
        return cls(
            query_id=query_id,
            expires_in_s=expires_in_s,
            hits=[HitAnswer.from_hit(hit) for hit in result.hits],
            reranked=result.reranked,
            no_confident_match=result.no_confident_match,
            facets={name: to_facet(facet) for name, facet in result.facets.items()},
            facet_candidates=result.facet_candidates,
            cursor=cursor,
            timings_ms={stage: round(ms, 3) for stage, ms in result.timings_ms.items()},
            gallery=GalleryAnswer.from_stamp(result.gallery),
        )


class BatchAnswer(BaseModel):
    """One answer a photo, in order."""

    model_config = ConfigDict(json_schema_extra={"example": {"results": [ANSWER_EXAMPLE]}})

    results: list[SearchAnswer]
