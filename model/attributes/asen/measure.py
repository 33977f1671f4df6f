"""How well a network finds photos with the same value, attribute by attribute."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from model.attributes.asen.checkpoint import AsenCheckpoint
from model.attributes.asen.config import match_attributes
from model.attributes.asen.embedding import embed_split
from model.attributes.asen.network import Asen
from model.attributes.metrics import Bootstrap, evaluate_vectors
from model.attributes.records import AttributeData, AttributeSplit
from model.attributes.results import AttributeResults
from model.errors import DataError
from model.evaluation.embedding import Progress

# The figures of the log, the first of which says what epoch is the best.
WEIGHTED, PLAIN = "mAP", "plain mAP"
# Embeddings (D,) of photos, by attribute and by index into the split's photos.
Embeddings = Mapping[int, Mapping[int, NDArray[np.float32]]]


class AsenResults(NamedTuple):
    """Figures of a network, and of its global branch where the network fuses two."""

    whole: AttributeResults
    global_alone: AttributeResults | None


def validate_asen(network: Asen, data: AttributeData) -> dict[str, float]:
    """Both averages of mAP over the validation set, and the mAP of each attribute."""
    asked, known = _choose(network, data, data.valid)
    found = _rank(embed_split(network, asked, known), asked, data, Bootstrap())
    each = {f"mAP {row.name}": row.metrics["mAP"].value for row in found.rows}
    return {WEIGHTED: found.weighted["mAP"].value, PLAIN: found.plain["mAP"].value, **each}


def measure_asen(
    loaded: AsenCheckpoint,
    data: AttributeData,
    split: AttributeSplit,
    *,
    name: str,
    device: torch.device | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> AsenResults:
    """Measure a checkpoint on a split of a data set; `name` is what its column is called.

    Raises:
        DataError: the checkpoint knows none of the attributes that are asked for.
    """
    network = loaded.network.to(device or torch.device("cpu"))
    asked, known = _choose(network, data, split)
    embeddings = embed_split(network, asked, known, progress=progress)
    drawn = Bootstrap(seed=seed)
    whole = _rank(embeddings, asked, data, drawn)
    notes = [*data.notes, *whole.notes]
    left_out = [a.name for i, a in enumerate(data.attributes) if i not in known]
    if left_out:
        notes.append(f"Not asked, or not known to {name}: {', '.join(left_out)}.")
    story = {"method": name, "checkpoint": _tell(loaded), "notes": tuple(notes)}
    alone = None
    if network.config.fused:
        alone = _rank(_cut_global(network, embeddings), asked, data, drawn)
        alone = alone.model_copy(update={"method": f"{name}, global branch alone"})
    return AsenResults(whole.model_copy(update=story), alone)


def _choose(
    network: Asen, data: AttributeData, split: AttributeSplit
) -> tuple[AttributeSplit, dict[int, int]]:
    """What of the split the network can be asked, and its attributes' indices in the network."""
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
    queries = {attribute: split.queries[attribute] for attribute in known}
    candidates = {attribute: split.candidates[attribute] for attribute in known}
    return AttributeSplit(split.photos, queries, candidates), known


def _rank(
    embeddings: Embeddings, split: AttributeSplit, data: AttributeData, drawn: Bootstrap
) -> AttributeResults:
    return evaluate_vectors(
        lambda attribute, places: np.stack([embeddings[attribute][place] for place in places]),
        split,
        data.attributes,
        data_set=data.name,
        bootstrap=drawn,
    )


def _cut_global(network: Asen, embeddings: Embeddings) -> Embeddings:
    """The global parts of fused vectors (Eq. 25)."""
    width = network.config.global_branch.embedding_dim
    return {
        attribute: {place: vector[:width] for place, vector in vectors.items()}
        for attribute, vectors in embeddings.items()
    }


def _tell(loaded: AsenCheckpoint) -> dict[str, str]:
    config = loaded.network.config
    local = config.local_branch
    return {
        "network": config.network,
        "global backbone": config.global_branch.backbone.name,
        "local backbone": local.backbone.name if local else "none",
        "weights": loaded.record.weights,
        "recipe": f"{loaded.record.recipe.get('name', '')}, {loaded.record.epochs} epochs",
    }
