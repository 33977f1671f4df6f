"""What an evaluation says: plain values that become JSON and come back."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from model.evaluation.calibration import Bin


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Measured(_Frozen):
    """A mean over queries, with its bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} [{100 * self.low:.1f}, {100 * self.high:.1f}]"


class Row(_Frozen):
    """One ranking of the whole gallery.

    scores: "global", "token", "fused", or the name of another recall vector.
    recall, candidates: the vector of stage one and K; None for an exhaustive ranking.
    alpha: weight of the global score; None where nothing is fused.
    """

    scores: str
    recall: str | None = None
    candidates: int | None = None
    alpha: float | None = None
    metrics: dict[str, Measured]

    @property
    def name(self) -> str:
        """How tables call it."""
        if self.candidates is None:
            return f"{self.scores}, exhaustive"
        return f"{self.scores}, best {self.candidates} by {self.recall}"


class Gain(_Frozen):
    """One ranking minus another, query by query, with paired intervals."""

    name: str
    metrics: dict[str, Measured]


class Ceiling(_Frozen):
    """Share of queries with a relevant item among the first K of a recall vector."""

    vector: str
    recall: dict[int, Measured]


class Point(_Frozen):
    """One value of a setting; `chosen` marks the checkpoint's own."""

    value: str
    chosen: bool
    metrics: dict[str, Measured]


class Curve(_Frozen):
    """What happens when one setting changes and everything else stays."""

    setting: str
    ranking: str
    points: tuple[Point, ...]


class Reliability(_Frozen):
    """Does a probability of "same product" keep its word? Of each query's best hit.

    error: expected calibration error. source: where the probabilities come from.
    """

    bins: tuple[Bin, ...]
    error: float
    source: str


class Counts(_Frozen):
    """What was compared.

    queries: those the means are over. without_positive: those without any relevant item
    in the gallery, left out of every mean. items: items among the queries counted.
    left_out_pairs: a query and the very same photo in the gallery, which never match.
    """

    queries: int
    gallery: int
    items: int
    without_positive: int
    left_out_pairs: int


class Hits(NamedTuple):
    """What the main ranking found for each query, for plots, thumbnails and calibration.

    places: (Q, T) gallery places, best first; fused: (Q, T); same: (Q, T) whether relevant.
    best_rank: (Q,) rank of the first relevant item, 0 for a query without any.
    best_place: (Q,) its gallery place by the recall vector, -1 for a query without any.
    """

    places: NDArray[np.int64]
    fused: NDArray[np.float32]
    same: NDArray[np.bool_]
    best_rank: NDArray[np.int64]
    best_place: NDArray[np.int64]


class PerQuery(NamedTuple):
    """Of the counted queries: their items, and the main ranking's measures of each."""

    items: NDArray[np.int64]
    measures: dict[str, NDArray[np.float64]]


class Evaluation(_Frozen):
    """Everything measured on one data set with one network."""

    data_set: str
    alpha: float
    main: str
    counts: Counts
    rows: tuple[Row, ...]
    gains: tuple[Gain, ...]
    ceilings: tuple[Ceiling, ...]
    curves: tuple[Curve, ...]
    reliability: Reliability | None = None
    notes: tuple[str, ...]
    timings_s: dict[str, float]
    settings: dict[str, str | int | float | bool | None]
    checkpoint: dict[str, str] = {}
    # Not part of the JSON: large, and of use only while the photos are at hand.
    hits: Hits | None = Field(default=None, exclude=True)
    per_query: PerQuery | None = Field(default=None, exclude=True)

    def row(self, scores: str, candidates: int | None = None, recall: str | None = None) -> Row:
        """Look a ranking up; with `candidates`, of the first recall vector unless named."""
        for row in self.rows:
            same = (row.scores, row.candidates) == (scores, candidates)
            if same and recall in (None, row.recall):
                return row
        known = "; ".join(row.name for row in self.rows)
        raise KeyError(f"no ranking {scores!r} with candidates {candidates}; there are: {known}")

    @property
    def main_row(self) -> Row:
        """The ranking a search gives: two stages with the default K."""
        return next(row for row in self.rows if row.name == self.main)
