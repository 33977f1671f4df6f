"""How well a network finds photos with the same value, attribute by attribute."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from model.attributes.asen.checkpoint import AsenCheckpoint
from model.attributes.asen.config import match_attributes
from model.attributes.asen.embedding import embed_split
from model.attributes.asen.network import Asen
from model.attributes.records import AttributeData, AttributeSplit
from model.errors import DataError
from model.evaluation.embedding import Progress
from model.evaluation.metrics import average_precision, bootstrap_interval, recall_at
from model.evaluation.results import Measured

# The figures of the log, and which of them says what epoch is the best.
WEIGHTED, PLAIN = "mAP", "plain mAP"


class AttributeFigures(BaseModel):
    """One attribute; queries without a relevant candidate count as 0."""

    model_config = ConfigDict(frozen=True)

    name: str
    queries: int
    candidates: int
    without_relevant: int
    mean_ap: Measured
    recall_at_1: float


class AsenFigures(BaseModel):
    """One checkpoint on one split; figures are fractions, 0..1."""

    model_config = ConfigDict(frozen=True)

    data_set: str
    split: str
    checkpoint: dict[str, str]
    attributes: tuple[AttributeFigures, ...]
    # Over all queries, and over attributes.
    weighted: float
    plain: float
    notes: tuple[str, ...]

    @property
    def num_queries(self) -> int:
        """Of all attributes together."""
        return sum(row.queries for row in self.attributes)


def validate_asen(network: Asen, data: AttributeData) -> dict[str, float]:
    """Both averages of mAP over the validation set, and the mAP of each attribute."""
    found = rank_split(network, data, data.valid)
    each = {f"mAP {row.name}": row.mean_ap.value for row in found}
    return {WEIGHTED: mean_over_queries(found), PLAIN: mean_over_attributes(found), **each}


def measure_asen(
    loaded: AsenCheckpoint,
    data: AttributeData,
    split: tuple[str, AttributeSplit],
    *,
    file: str = "",
    device: torch.device | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> AsenFigures:
    """Measure a checkpoint on a named split of a data set.

    Raises:
        DataError: the checkpoint knows none of its attributes, or no query has candidates.
    """
    name, photos = split
    network = loaded.network.to(device or torch.device("cpu"))
    known = match_attributes(network.config, data)
    left_out = [a.name for i, a in enumerate(data.attributes) if i not in known]
    notes = list(data.notes)
    if left_out:
        notes.append(f"The checkpoint does not know {', '.join(left_out)}: left out.")
    found = rank_split(network, data, photos, seed=seed, progress=progress)
    return AsenFigures(
        data_set=data.name,
        split=name,
        checkpoint=_story(loaded, file),
        attributes=found,
        weighted=mean_over_queries(found),
        plain=mean_over_attributes(found),
        notes=tuple(notes),
    )


def rank_split(
    network: Asen,
    data: AttributeData,
    split: AttributeSplit,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[AttributeFigures, ...]:
    """Figures of each attribute that has queries and candidates.

    Raises:
        DataError: no attribute has both.
    """
    known = {
        attribute: index
        for attribute, index in match_attributes(network.config, data).items()
        if split.queries.get(attribute) and split.candidates.get(attribute)
    }
    if not known:
        raise DataError(
            f"{data.name} has no attribute with queries and candidates in this split; "
            "look at its notes, or choose another split"
        )
    found = embed_split(network, split, known, progress=progress)
    return tuple(
        _rank(data.attributes[attribute].name, attribute, split, found[attribute], seed)
        for attribute in known
    )


def mean_over_queries(found: Sequence[AttributeFigures]) -> float:
    """The published average: attributes weighted by their number of queries."""
    total = sum(row.queries for row in found)
    return sum(row.mean_ap.value * row.queries for row in found) / total


def mean_over_attributes(found: Sequence[AttributeFigures]) -> float:
    """Every attribute counts alike."""
    return sum(row.mean_ap.value for row in found) / len(found)


def _rank(
    name: str,
    attribute: int,
    split: AttributeSplit,
    embeddings: Mapping[int, NDArray[np.float32]],
    seed: int,
) -> AttributeFigures:
    queries, candidates = split.queries[attribute], split.candidates[attribute]
    scores = np.stack([embeddings[i] for i in queries]) @ (
        np.stack([embeddings[i] for i in candidates]).T
    )
    offered = [split.photos[i].all_values(attribute) for i in candidates]
    relevant = np.array(
        [[bool(split.photos[q].all_values(attribute) & values) for values in offered]
         for q in queries]
    )  # fmt: skip
    precision = np.nan_to_num(average_precision(scores, relevant))
    low, high = bootstrap_interval(
        precision, [split.photos[i].photo.item for i in queries], seed=seed
    )
    return AttributeFigures(
        name=name,
        queries=len(queries),
        candidates=len(candidates),
        without_relevant=int((~relevant.any(axis=1)).sum()),
        mean_ap=Measured(value=float(precision.mean()), low=low, high=high),
        recall_at_1=float(recall_at(scores, relevant, (1,))[1].mean()),
    )


def _story(loaded: AsenCheckpoint, file: str) -> dict[str, str]:
    config = loaded.network.config
    local = config.local_branch
    return {
        "checkpoint": file,
        "network": config.network,
        "global backbone": config.global_branch.backbone.name,
        "local backbone": local.backbone.name if local else "none",
        "weights": loaded.record.weights,
        "epochs": str(loaded.record.epochs),
    }
