"""What is chosen about a living gallery, and what it tells about itself."""

from dataclasses import dataclass
from datetime import datetime

from indexer.attribute_cache import DEFAULT_BUDGET_MB
from indexer.gallery import DEFAULT_TOKEN_BUDGET_MB
from indexer.recall import EXACT_LIMIT
from model.images import MAX_PIXELS


@dataclass(frozen=True)
class LiveOptions:
    """Operational choices; none of them changes what a search finds.

    Attributes:
        device: `cuda` moves recall to the GPU when FAISS finds one.
        token_budget_mb: tokens are kept in memory while they fit.
        tokens_at_once_mb: the opening waits until so many are there; more are loaded while the
            gallery is searched.
        attribute_budget_mb: what attributes see of the items is kept in memory up to here; as
            much of it as fits is computed in the background before anybody asks.
        max_pixels: larger photos are refused.
        exact_limit: larger galleries are searched in cells (IVF).
        keep_s: seconds that a state stays readable after the next one.
        keep_versions: most states held at a time.
        max_delta_share, min_delta, max_delta: the recall index is built anew when more changed
            than this share of the items, but not below `min_delta` and always above `max_delta`.
        max_files: files beyond the full ones before they are merged.
        busy_wait_s: how long a write waits for another process.
        background: watch, warm attributes up and maintain in threads, every `watch_s`, `watch_s`
            and `maintain_s` seconds.
    """

    device: str = "cpu"
    token_budget_mb: int = DEFAULT_TOKEN_BUDGET_MB
    tokens_at_once_mb: int = 256
    attribute_budget_mb: int = DEFAULT_BUDGET_MB
    max_pixels: int = MAX_PIXELS
    exact_limit: int = EXACT_LIMIT
    keep_s: float = 600.0
    keep_versions: int = 64
    max_delta_share: float = 0.05
    min_delta: int = 500
    max_delta: int = 10_000
    max_files: int = 64
    busy_wait_s: float = 2.0
    background: bool = True
    watch_s: float = 2.0
    maintain_s: float = 60.0


@dataclass(frozen=True)
class LiveStats:
    """Counts of one moment.

    `delta` are vectors beside the recall index, `tombstones` rows of it that are gone;
    `versions` are the states that can still be read; `bytes_resident` are all their vectors
    and tokens, and what attributes see of the items. `errors` has what failed last in the
    background, by task.
    """

    version: int
    items: int
    delta: int
    tombstones: int
    files: int
    versions: list[int]
    bytes_resident: int
    last_reload: datetime | None
    last_maintenance: datetime | None
    errors: dict[str, str]
