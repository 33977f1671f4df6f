"""What goes in and out over HTTP, with examples; /docs is made from these."""

from typing import Annotated, Any

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from indexer.requests import GroupBy, SearchRequest
from indexer.results import MAX_CANDIDATES, MAX_K, EngineInfo, GalleryStamp, Hit, Item, SearchResult
from service.json_safe import to_finite, to_json_safe

ITEM_EXAMPLE: JsonDict = {
    "item_id": "images/mh01-black_main.jpg",
    "product_id": "MH01",
    "uri": "images/mh01-black_main.jpg",
    "metadata": {"name": "Chaz Kangeroo Hoodie", "price": 52},
}
STAMP_EXAMPLE: JsonDict = {"version": 3, "items": 673, "fingerprint": "5f0c2a41"}
HIT_EXAMPLE: JsonDict = {
    "rank": 1,
    **ITEM_EXAMPLE,
    "scores": {"global": 0.83, "token": 0.71, "fused": 0.77},
    "confidence": 0.93,
}
INFO_EXAMPLE: JsonDict = {
    "gallery": STAMP_EXAMPLE,
    "products": 186,
    "metadata_columns": {"name": "string", "price": "double"},
    "preset": "mga-b0",
    "backbone": "tf_efficientnetv2_b0",
    "weights": "ImageNet, fitted on the gallery",
    "trained_for_retrieval": False,
    "image_size": 224,
    "levels": 3,
    "tokens_per_level": 16,
    "token_dim": 128,
    "global_dim": 192,
    "recall": "joint",
    "recall_dim": 512,
    "alpha": 0.5,
    "calibrated": False,
    "device": "cpu",
    "limits": {
        "max_upload_mb": 20,
        "max_pixels": 64_000_000,
        "max_k": MAX_K,
        "max_candidates": MAX_CANDIDATES,
        "default_k": 10,
    },
}


class SearchOptions(BaseModel):
    """Tuning of one query; left out, each value is the service's or the checkpoint's default."""

    model_config = ConfigDict(extra="forbid")

    k: Annotated[int, Field(ge=1, le=MAX_K)] | None = Field(
        default=None,
        description="How many hits; left out, the service's SELVEDGE_DEFAULT_K.",
        examples=[5],
    )
    candidates: Annotated[int, Field(ge=1, le=MAX_CANDIDATES)] | None = Field(
        default=None,
        description="How many of the globally nearest items are re-ranked; more finds more and "
        "takes longer. Never fewer than k.",
        examples=[100],
    )
    alpha: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Share of the global score: 1 ranks by the whole look, 0 by the details. "
        "Left out, the checkpoint's own value.",
        examples=[0.5],
    )
    group_by: GroupBy = Field(
        default="item",
        description="`product` returns the best item of each product.",
        examples=["product"],
    )
    min_confidence: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Leave out hits less probably of the same product; `no_confident_match` says "
        "when none is left. Refused where /info says `calibrated: false`.",
        examples=[0.8],
    )

    def to_request(self, default_k: int) -> SearchRequest:
        """Translate to what the engine takes."""
        return SearchRequest(
            k=self.k or default_k,
            candidates=self.candidates,
            alpha=self.alpha,
            group_by=self.group_by,
            min_confidence=self.min_confidence,
        )


class SearchForm(SearchOptions):
    """The multipart form of POST /search."""

    image: UploadFile = Field(
        description="The photo: JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF.", examples=["photo.jpg"]
    )


class ItemAnswer(BaseModel):
    """One gallery image."""

    model_config = ConfigDict(json_schema_extra={"example": ITEM_EXAMPLE})

    item_id: str
    product_id: str
    uri: str
    metadata: dict[str, Any] = Field(
        description="The gallery's own columns: dates are ISO 8601, bytes are base64, "
        "numbers that JSON lacks (NaN, infinity) are null."
    )

    @classmethod
    def from_item(cls, item: Item) -> "ItemAnswer":
        """Translate the engine's item."""
        return cls(**_item_fields(item))


class ScoresAnswer(BaseModel):
    """Higher is better; `global` and `token` lie in [-1, 1]."""

    global_score: float | None = Field(serialization_alias="global", description="The whole look.")
    token_score: float | None = Field(serialization_alias="token", description="The details.")
    fused: float | None = Field(description="alpha x global + (1 - alpha) x token.")


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
        "not calibrated, or not for the alpha that was sent."
    )

    @classmethod
    def from_hit(cls, hit: Hit) -> "HitAnswer":
        """Translate the engine's hit."""
        scores = ScoresAnswer(
            global_score=to_finite(hit.scores.global_score),
            token_score=to_finite(hit.scores.token_score),
            fused=to_finite(hit.scores.fused),
        )
        fields = _item_fields(hit.item)
        return cls(rank=hit.rank, scores=scores, confidence=hit.confidence, **fields)


class GalleryAnswer(BaseModel):
    """Which state of which gallery answered."""

    model_config = ConfigDict(json_schema_extra={"example": STAMP_EXAMPLE})

    version: int = Field(description="Grows with every change of the gallery.")
    items: int
    fingerprint: str = Field(description="Ties the gallery to the checkpoint that made it.")

    @classmethod
    def from_stamp(cls, stamp: GalleryStamp) -> "GalleryAnswer":
        """Translate the gallery's stamp."""
        return cls(version=stamp.version, items=stamp.items, fingerprint=stamp.fingerprint)


class SearchAnswer(BaseModel):
    """Hits best first, milliseconds per stage, and the gallery that answered."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "hits": [HIT_EXAMPLE],
                "no_confident_match": False,
                "timings_ms": {"decode": 4.1, "encode": 31.0, "recall": 0.3, "total": 42.7},
                "gallery": STAMP_EXAMPLE,
            }
        }
    )

    hits: list[HitAnswer]
    no_confident_match: bool = Field(
        description="`min_confidence` was sent, and no hit reaches it."
    )
    timings_ms: dict[str, float]
    gallery: GalleryAnswer

    @classmethod
    def from_result(cls, result: SearchResult) -> "SearchAnswer":
        """Translate the engine's result."""
        return cls(
            hits=[HitAnswer.from_hit(hit) for hit in result.hits],
            no_confident_match=result.no_confident_match,
            timings_ms={stage: round(ms, 3) for stage, ms in result.timings_ms.items()},
            gallery=GalleryAnswer.from_stamp(result.gallery),
        )


class LimitsAnswer(BaseModel):
    """What a query may ask for."""

    max_upload_mb: int
    max_pixels: int
    max_k: int = MAX_K
    max_candidates: int = MAX_CANDIDATES
    default_k: int


class InfoAnswer(BaseModel):
    """The gallery, the network behind it, and the limits of the service."""

    model_config = ConfigDict(json_schema_extra={"example": INFO_EXAMPLE})

    gallery: GalleryAnswer
    products: int
    metadata_columns: dict[str, str] = Field(description="Column name to type.")
    preset: str
    backbone: str
    weights: str = Field(description="Where the weights come from.")
    trained_for_retrieval: bool
    image_size: int
    levels: int
    tokens_per_level: int
    token_dim: int
    global_dim: int
    recall: str = Field(
        description="The vector that finds the candidates: global, granular or joint."
    )
    recall_dim: int
    alpha: float
    calibrated: bool = Field(description="Whether hits carry a confidence.")
    device: str
    limits: LimitsAnswer

    @classmethod
    def from_info(cls, info: EngineInfo, limits: LimitsAnswer) -> "InfoAnswer":
        """Translate the engine's description of itself."""
        stamp = GalleryAnswer.from_stamp(info.gallery)
        fields = {key: value for key, value in vars(info).items() if key in cls.model_fields}
        return cls(**{**fields, "gallery": stamp, "limits": limits})


class StatusAnswer(BaseModel):
    """`ok`, or `ready`."""

    model_config = ConfigDict(json_schema_extra={"example": {"status": "ok"}})

    status: str


class ErrorBody(BaseModel):
    """`code` is for programs and stays stable; `message` is for people."""

    code: str
    message: str
    request_id: str


class ErrorAnswer(BaseModel):
    """The shape of every answer that is not 2xx or 3xx."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "error": {
                    "code": "image_unreadable",
                    "message": "The image is empty (0 bytes); send a JPEG, PNG or WebP photo.",
                    "request_id": "9f3c1b7a52e84b0c",
                }
            }
        }
    )

    error: ErrorBody


def _item_fields(item: Item) -> dict[str, Any]:
    return {
        "item_id": item.item_id,
        "product_id": item.product_id,
        "uri": item.uri,
        "metadata": to_json_safe(item.metadata),
    }
