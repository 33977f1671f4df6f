"""How well a network finds photos with the same value, attribute by attribute."""

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from model.attributes.asen.checkpoint import AsenCheckpoint
from model.attributes.asen.config import match_attributes
from model.attributes.asen.embedding import embed_split
from model.attributes.asen.network import Asen
from model.attributes.metrics import Bootstrap, evaluate_vectors
from model.attributes.records import AttributeData, AttributeSplit
from model.attributes.results import AttributeResults
from model.errors import DataError
from model.evaluation.embedding import Progress

# The figures of the log, and which of them says what epoch is the best.
WEIGHTED, PLAIN = "mAP", "plain mAP"


class AsenFigures(BaseModel):
    """One checkpoint on one split; figures are fractions, 0..1."""

    model_config = ConfigDict(frozen=True)

    data_set: str
    split: str
    checkpoint: dict[str, str]
    results: AttributeResults
    notes: tuple[str, ...]


def validate_asen(network: Asen, data: AttributeData) -> dict[str, float]:
    """Both averages of mAP over the validation set, and the mAP of each attribute."""
    found = rank_split(network, data, data.valid)
    each = {f"mAP {row.name}": row.metrics["mAP"].value for row in found.rows}
    return {WEIGHTED: found.weighted["mAP"].value, PLAIN: found.plain["mAP"].value, **each}


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
    return AsenFigures(
        data_set=data.name,
        split=name,
        checkpoint=_story(loaded, file),
        results=rank_split(network, data, photos, seed=seed, progress=progress),
        notes=tuple(notes),
    )


def rank_split(
    network: Asen,
    data: AttributeData,
    split: AttributeSplit,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> AttributeResults:
    """Embed the photos of a split and rank the candidates of each attribute.

    Raises:
        DataError: the network knows no attribute that has queries and candidates here.
    """
    known = {
        attribute: index
        for attribute, index in match_attributes(network.config, data).items()
        if split.queries.get(attribute) and split.candidates.get(attribute)
    }
    if not known:
        raise DataError(
            f"{data.name} has no attribute with queries and candidates in this split that the "
            "network knows; look at its notes, or choose another split"
        )
    found = embed_split(network, split, known, progress=progress)
    asked = AttributeSplit(
        split.photos,
        {attribute: split.queries[attribute] for attribute in known},
        {attribute: split.candidates[attribute] for attribute in known},
    )
    return evaluate_vectors(
        lambda attribute, places: np.stack([found[attribute][place] for place in places]),
        asked,
        data.attributes,
        data_set=data.name,
        method=network.config.network,
        bootstrap=Bootstrap(seed=seed),
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
