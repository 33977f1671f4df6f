"""What an evaluation by attributes says: plain values that become JSON and come back."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from model.evaluation.results import Measured

METRICS = ("mAP", "R@1")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class AttributeRow(_Frozen):
    """One attribute. `without_relevant` counts the queries that score 0 for want of an answer."""

    name: str
    num_values: int
    queries: int
    candidates: int
    without_relevant: int
    metrics: dict[str, Measured]


class PerQuery(NamedTuple):
    """Of one attribute's queries: their items, and each measure, (Q,)."""

    items: tuple[str, ...]
    measures: dict[str, NDArray[np.float64]]


class AttributeResults(_Frozen):
    """Everything measured on one split with one method.

    weighted: mean over all queries, so that attributes count by their number of queries.
    plain: mean over the attributes.
    """

    data_set: str
    method: str
    rows: tuple[AttributeRow, ...]
    weighted: dict[str, Measured]
    plain: dict[str, Measured]
    notes: tuple[str, ...]
    settings: dict[str, str | int | float | bool | None]
    checkpoint: dict[str, str] = {}
    # Not part of the JSON: large, and only for comparing two methods in one run.
    per_query: dict[str, PerQuery] | None = Field(default=None, exclude=True)

    def row(self, name: str) -> AttributeRow:
        """Look an attribute up; KeyError lists those measured."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"{name!r} was not measured; there are: {', '.join(self.names)}")

    @property
    def names(self) -> list[str]:
        """The attributes measured, in their order."""
        return [row.name for row in self.rows]


class AttributeGain(_Frozen):
    """One method minus another on the same queries, with paired intervals."""

    name: str
    rows: dict[str, dict[str, Measured]]
    weighted: dict[str, Measured]
    plain: dict[str, Measured]
