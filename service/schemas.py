"""What goes in and out over HTTP, with examples; /docs is made from these."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from indexer.requests import MAX_EXPLAIN, MAX_PHOTOS
from indexer.results import (
    MAX_CANDIDATES,
    MAX_K,
    EngineInfo,
    GalleryStamp,
    Item,
    Status,
    WriteReport,
)
from service.json_safe import to_json_safe
from service.options import MAX_BATCH

ITEM_EXAMPLE: JsonDict = {
    "item_id": "images/mh01-black_main.jpg",
    "product_id": "MH01",
    "uri": "images/mh01-black_main.jpg",
    "metadata": {"name": "Chaz Kangeroo Hoodie", "price": 52},
}
STAMP_EXAMPLE: JsonDict = {"version": 3, "items": 673, "fingerprint": "5f0c2a41"}
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
    "writable": False,
    "limits": {
        "max_upload_mb": 20,
        "max_items_upload_mb": 100,
        "max_pixels": 64_000_000,
        "max_k": MAX_K,
        "max_candidates": MAX_CANDIDATES,
        "max_photos": MAX_PHOTOS,
        "max_batch": MAX_BATCH,
        "max_explain": MAX_EXPLAIN,
        "default_k": 10,
        "query_ttl_s": 600,
        "fetches_urls": False,
    },
}


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
        return cls(**item_fields(item))


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


class LimitsAnswer(BaseModel):
    """What a query may ask for."""

    max_upload_mb: int
    max_items_upload_mb: int
    max_pixels: int
    max_k: int = MAX_K
    max_candidates: int = MAX_CANDIDATES
    max_photos: int = MAX_PHOTOS
    max_batch: int = MAX_BATCH
    max_explain: int = MAX_EXPLAIN
    default_k: int
    query_ttl_s: int
    fetches_urls: bool


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
    writable: bool = Field(description="Whether items can be changed over HTTP, with a write key.")
    limits: LimitsAnswer

    @classmethod
    def from_info(cls, info: EngineInfo, limits: LimitsAnswer, writable: bool) -> "InfoAnswer":
        """Translate the engine's description of itself."""
        stamp = GalleryAnswer.from_stamp(info.gallery)
        fields = {key: value for key, value in vars(info).items() if key in cls.model_fields}
        return cls(**{**fields, "gallery": stamp, "limits": limits, "writable": writable})


class OutcomeAnswer(BaseModel):
    """What became of one item."""

    item_id: str
    status: Status
    reason: str | None = Field(description="Why it failed.")


class WriteAnswer(BaseModel):
    """What a write did; it is on disk, and searches from `version` on see it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "version": 4,
                "items": 674,
                "outcomes": [{"item_id": "new/1.jpg", "status": "added", "reason": None}],
            }
        }
    )

    version: int = Field(description="Of the gallery.")
    items: int = Field(description="Of the gallery.")
    outcomes: list[OutcomeAnswer] = Field(description="One an item, in the order sent.")

    @classmethod
    def from_report(cls, report: WriteReport) -> "WriteAnswer":
        """Translate the gallery's report."""
        outcomes = [OutcomeAnswer(**vars(outcome)) for outcome in report.outcomes]
        return cls(version=report.version, items=report.items, outcomes=outcomes)


class ReloadAnswer(BaseModel):
    """Whether there was something new, and the state that is served now."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"changed": True, "gallery": STAMP_EXAMPLE}}
    )

    changed: bool
    gallery: GalleryAnswer


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


def item_fields(item: Item) -> dict[str, Any]:
    """Translate what every answer says of an item."""
    return {
        "item_id": item.item_id,
        "product_id": item.product_id,
        "uri": item.uri,
        "metadata": to_json_safe(item.metadata),
    }
