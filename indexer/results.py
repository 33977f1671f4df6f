"""What a search returns. Plain values: no tensors, no HTTP."""

from dataclasses import dataclass, field
from typing import Any

MAX_K = 1000
MAX_CANDIDATES = 1000


@dataclass(frozen=True)
class Item:
    """One gallery image, without its vectors."""

    item_id: str
    product_id: str
    uri: str
    metadata: dict[str, Any] = field(default_factory=dict)
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class Scores:
    """Higher is better. `global_score` and `token_score` lie in [-1, 1]; `fused` joins them."""

    global_score: float
    token_score: float
    fused: float


@dataclass(frozen=True)
class Hit:
    """One returned result; `rank` counts from 1.

    `confidence` is the probability, 0 to 1, that it shows the same product; None where the
    checkpoint is not calibrated, or not for the alpha of this search.
    """

    rank: int
    item: Item
    scores: Scores
    confidence: float | None = None


@dataclass(frozen=True)
class GalleryStamp:
    """Which state of which gallery answered: `version` grows with every committed change."""

    version: int
    items: int
    fingerprint: str


@dataclass(frozen=True)
class SearchResult:
    """Hits best first, milliseconds per stage in the order they ran, and the gallery's stamp.

    `no_confident_match`: a least confidence was asked for, and no hit has it.
    """

    hits: list[Hit]
    timings_ms: dict[str, float]
    gallery: GalleryStamp
    no_confident_match: bool = False


@dataclass(frozen=True)
class EngineInfo:
    """What `/info` and `indexer info` show."""

    gallery: GalleryStamp
    products: int
    metadata_columns: dict[str, str]
    preset: str
    backbone: str
    weights: str
    trained_for_retrieval: bool
    image_size: int
    levels: int
    tokens_per_level: int
    token_dim: int
    global_dim: int
    recall: str
    recall_dim: int
    alpha: float
    calibrated: bool
    device: str
