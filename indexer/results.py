"""What a search or a write returns. Plain values: no tensors, no HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

MAX_K = 1000
MAX_CANDIDATES = 1000

Status = Literal["added", "updated", "unchanged", "removed", "failed"]


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
    """Higher is better. `global_score` and `token_score` lie in [-1, 1]; `fused` joins them.

    `token_score` and `fused` are None where time ran out before the candidates were
    re-ranked. `attributes` has the likeness in each attribute asked for, -1 to 1; `combined`
    joins them with `fused` and orders the hits then. It is None without attributes.
    """

    global_score: float
    token_score: float | None
    fused: float | None
    attributes: Mapping[str, float] = field(default_factory=dict)
    combined: float | None = None


@dataclass(frozen=True)
class Ellipse:
    """Where on the upright photo a token looks: the ellipse with its mean and covariance.

    x and y run from 0 to 1 over the photo's width and height, downwards; the half-axes (two
    standard deviations, `major` >= `minor`) and the angle (degrees from x towards y, -90 to
    90) hold in that unit square, which is stretched over the photo.
    """

    x: float
    y: float
    major: float
    minor: float
    angle: float


@dataclass(frozen=True)
class RegionPair:
    """A region of the query and one of the item that were matched.

    photo: which of the query's photos, from 0. level: from 0, the coarsest. similarity: cosine
    of the two tokens, -1 to 1. share: what the pair adds to the token score.
    """

    photo: int
    level: int
    query: Ellipse
    item: Ellipse
    similarity: float
    share: float


@dataclass(frozen=True)
class Region:
    """A region that an attribute looks at. share: 0 to 1, all regions of a photo sum to 1.

    photo: which of the query's photos, from 0; 0 on the item.
    """

    ellipse: Ellipse
    share: float
    photo: int = 0


@dataclass(frozen=True)
class AttributeRegions:
    """Where one attribute looks on the query's photos and on the item, largest share first."""

    query: tuple[Region, ...]
    item: tuple[Region, ...]


@dataclass(frozen=True)
class Explanation:
    """Matched regions, largest share first: their shares and the two rests are the token score.

    remainder: the shares of all pairs that are not shown. constant: what belongs to no pair;
    zero, except for checkpoints that reduce by log-sum-exp. attributes: by name, for the
    attributes asked for.
    """

    pairs: tuple[RegionPair, ...]
    remainder: float
    constant: float
    attributes: Mapping[str, AttributeRegions] = field(default_factory=dict)


@dataclass(frozen=True)
class ValueCount:
    """How many candidates have this value."""

    value: Any
    count: int


@dataclass(frozen=True)
class Bin:
    """How many candidates lie from `low` to `high`; the last bin holds its upper end too."""

    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Facet:
    """What a metadata column holds among the candidates.

    values: of texts and truth values the most frequent, with `distinct` of them in all.
    minimum, maximum: of numbers, dates and times. bins: of numbers, at most ten.
    missing: candidates without a value.
    """

    kind: str
    missing: int
    distinct: int
    values: tuple[ValueCount, ...] = ()
    minimum: Any = None
    maximum: Any = None
    bins: tuple[Bin, ...] = ()


@dataclass(frozen=True)
class Hit:
    """One returned result; `rank` counts from 1.

    `confidence` is the probability, 0 to 1, that it shows the same product; None where the
    checkpoint is not calibrated, or not for the alpha of this search, or was not used.
    `explanation` is there when it was asked for and the hits are re-ranked.
    """

    rank: int
    item: Item
    scores: Scores
    confidence: float | None = None
    explanation: Explanation | None = None


@dataclass(frozen=True)
class GalleryStamp:
    """Which state of which gallery answered: `version` grows with every committed change."""

    version: int
    items: int
    fingerprint: str


@dataclass(frozen=True)
class SearchResult:
    """Hits best first, milliseconds per stage in the order they ran, and the gallery's stamp.

    no_confident_match: a least confidence was asked for, and no hit is known to have it.
    reranked: false when the deadline passed first: the hits are in the order of stage one,
        without token scores, and without a confidence, so that a least one leaves out all.
    facets: by column, counted over `facet_candidates` candidates: the same on every page.
    """

    hits: list[Hit]
    timings_ms: dict[str, float]
    gallery: GalleryStamp
    no_confident_match: bool = False
    reranked: bool = True
    facets: dict[str, Facet] = field(default_factory=dict)
    facet_candidates: int = 0


@dataclass(frozen=True)
class AttributeDescription:
    """An attribute that can be searched by.

    quality: mAP on the checkpoint's validation set, 0 to 1; None where it was not measured.
    num_examples: photos it was learned from. source: in words, whose examples.
    learned: added to this gallery from examples; only such a one can be removed.
    """

    name: str
    values: tuple[str, ...]
    quality: float | None
    num_examples: int
    source: str
    learned: bool


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


@dataclass(frozen=True)
class Outcome:
    """What became of one item; `reason` says why it failed."""

    item_id: str
    status: Status
    reason: str | None = None


@dataclass(frozen=True)
class WriteReport:
    """What a write did, item by item in the order given, and the state that shows it."""

    version: int
    items: int
    outcomes: list[Outcome]


@dataclass(frozen=True)
class TaskStats:
    """How work in the background fares: how often it failed, when it last went through.

    `error` is what failed last, None once it went through again. Going through counts also
    where there was nothing to do.
    """

    failures: int = 0
    last_success: datetime | None = None
    error: str | None = None
