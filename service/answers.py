"""What a search returns over HTTP, with examples.

Why a hit was found is in `service.explanations`, the rest in `service.schemas`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from indexer.results import Facet, Hit, Scores, SearchResult
from service.explanations import EXPLANATION_EXAMPLE, ExplanationAnswer
from service.json_safe import to_finite, to_json_safe
from service.schemas import ITEM_EXAMPLE, STAMP_EXAMPLE, GalleryAnswer, item_fields

HIT_EXAMPLE: JsonDict = {
    "rank": 1,
    **ITEM_EXAMPLE,
    "scores": {"global": 0.83, "token": 0.71, "fused": 0.77, "attributes": {}},
    "confidence": 0.93,
    "explanation": EXPLANATION_EXAMPLE,
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
    """Higher is better; `global`, `token` and the likeness in attributes lie in [-1, 1]."""

    global_score: float | None = Field(serialization_alias="global", description="The whole look.")
    token_score: float | None = Field(
        serialization_alias="token", description="The details; null without re-ranking."
    )
    fused: float | None = Field(
        description="alpha x global + (1 - alpha) x token; null without re-ranking."
    )
    attributes: dict[str, float | None] = Field(
        description="Likeness in each attribute asked for: a cosine, and no probability.",
        examples=[{"collar": 0.91}],
    )
    combined: float | None = Field(
        description="(overall x fused + the sum of weight x likeness) / (overall + the sum of "
        "weights), which orders the hits; null where no attribute was asked for.",
        examples=[0.91],
    )

    @classmethod
    def from_scores(cls, scores: Scores) -> "ScoresAnswer":
        """Translate the engine's scores."""
        return cls(
            global_score=to_finite(scores.global_score),
            token_score=to_finite(scores.token_score),
            fused=to_finite(scores.fused),
            attributes={name: to_finite(value) for name, value in scores.attributes.items()},
            combined=to_finite(scores.combined),
        )


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
        "not calibrated, or not for the alpha that was sent, or without re-ranking, or where "
        "`attributes` were asked for."
    )
    explanation: ExplanationAnswer | None = Field(
        description="Why it was found, where `explain` asked for it."
    )

    @classmethod
    def from_hit(cls, hit: Hit) -> "HitAnswer":
        """Translate the engine's hit."""
        return cls(
            rank=hit.rank,
            scores=ScoresAnswer.from_scores(hit.scores),
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
