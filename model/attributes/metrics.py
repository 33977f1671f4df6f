"""How well embeddings of one attribute find photos that share its value.

Q queries, C candidates, N photos of both, D numbers an embedding.

The protocol of ASEN++: per attribute, rank all candidates that carry it by cosine; those
with the query's value are relevant; average precision runs over the whole list, and a
query without a relevant candidate scores 0. Unlike its code, ties count against the
network: among equal scores the irrelevant candidates rank first.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.attributes.averages import average, measure_one, weigh
from model.attributes.records import Attribute, AttributeSplit, Labelled
from model.attributes.results import (
    METRICS,
    AttributeGain,
    AttributeResults,
    AttributeRow,
    PerQuery,
)
from model.data.records import Photo
from model.errors import DataError, ParameterError
from model.evaluation.metrics import average_precision_of, positive_ranks, recall_of
from model.evaluation.results import Measured

Vectors = NDArray[np.float32]
Mask = NDArray[np.bool_]
Embed = Callable[[int, Sequence[Photo]], Vectors]
Look = Callable[[int, Sequence[int]], Vectors]

# Scores are compared to so many decimals, as in every other evaluation here.
DECIMALS = 6
CHUNK = 256


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are drawn."""

    seed: int = 0
    rounds: int = 1000
    level: float = 0.95


def evaluate_attributes(
    embed: Embed,
    split: AttributeSplit,
    attributes: Sequence[Attribute],
    *,
    data_set: str = "",
    method: str = "",
    bootstrap: Bootstrap | None = None,
) -> AttributeResults:
    """Embed the photos of each attribute in turn and measure.

    `embed(attribute, photos)` gives (N, D) for the photos in their order; it is called once
    an attribute.

    Raises:
        DataError: the split has no queries.
        ParameterError: embeddings of another number or with NaN.
    """

    def look(attribute: int, places: Sequence[int]) -> Vectors:
        return embed(attribute, [split.photos[place].photo for place in places])

    return evaluate_vectors(
        look, split, attributes, data_set=data_set, method=method, bootstrap=bootstrap
    )


def evaluate_vectors(
    look: Look,
    split: AttributeSplit,
    attributes: Sequence[Attribute],
    *,
    data_set: str = "",
    method: str = "",
    bootstrap: Bootstrap | None = None,
) -> AttributeResults:
    """As `evaluate_attributes`, where `look(attribute, places)` gives (N, D) for `split.photos`.

    For embeddings that are there already: `lambda k, places: vectors[k][places]`.
    """
    if not split.num_queries:
        raise DataError(
            f"{data_set or 'the split'} has no queries for any attribute; give it more photos"
        )
    drawn = bootstrap or Bootstrap()
    rows, per_query = [], {}
    for k in sorted(split.queries):
        row, found = _evaluate_one(look, split, k, attributes[k], drawn)
        rows.append(row)
        per_query[row.name] = found
    return AttributeResults(
        data_set=data_set,
        method=method,
        rows=tuple(rows),
        weighted=_over_attributes(weigh, per_query, drawn),
        plain=_over_attributes(average, per_query, drawn),
        notes=_write_notes(split, rows, drawn),
        settings={"seed": drawn.seed, "rounds": drawn.rounds, "level": drawn.level},
        per_query=per_query,
    )


def measure_queries(
    queries: Vectors, candidates: Vectors, relevant: Mask, left_out: Mask | None = None
) -> dict[str, NDArray[np.float64]]:
    """AP and R@1 of each query, (Q,), from embeddings (Q, D) and (C, D).

    `relevant` (Q, C); candidates in `left_out` (Q, C) do not take part in that ranking.

    >>> one = np.eye(2, dtype=np.float32)
    >>> measure_queries(one, one, np.array([[True, False], [True, False]]))
    {'mAP': array([1. , 0.5]), 'R@1': array([1., 0.])}
    """
    scores = np.round(_unit(queries) @ _unit(candidates).T, DECIMALS)
    if left_out is not None:
        # Behind everything else and relevant to nobody: no rank that counts is moved.
        scores[left_out] = -np.inf
        relevant = relevant & ~left_out
    ranks = positive_ranks(scores, relevant)
    return {
        "mAP": np.nan_to_num(average_precision_of(ranks), nan=0.0),
        "R@1": recall_of(ranks, 1).astype(np.float64),
    }


def compare(name: str, found: AttributeResults, other: AttributeResults) -> AttributeGain:
    """One method minus another on the same queries, with paired intervals.

    Raises:
        ParameterError: the two did not answer the same queries in this run.
    """
    one, two = found.per_query, other.per_query
    if (
        not one
        or not two
        or {k: v.items for k, v in one.items()} != {k: v.items for k, v in two.items()}
    ):
        raise ParameterError(
            f"{found.method} and {other.method} were not asked the same queries in this run; "
            "evaluate both on one split"
        )
    change = {
        key: PerQuery(mine.items, {m: v - two[key].measures[m] for m, v in mine.measures.items()})
        for key, mine in one.items()
    }
    drawn = Bootstrap()
    return AttributeGain(
        name=name,
        rows={key: _measure(each, drawn, differences=True) for key, each in change.items()},
        weighted=_over_attributes(weigh, change, drawn, differences=True),
        plain=_over_attributes(average, change, drawn, differences=True),
    )


def find_relevant(queries: Sequence[Labelled], candidates: Sequence[Labelled], k: int) -> Mask:
    """Whether query and candidate share a value of attribute `k`: (Q, C)."""
    width = 1 + max(value for photo in (*queries, *candidates) for value in photo.all_values(k))
    asked, known = (_one_hot(photos, k, width) for photos in (queries, candidates))
    return np.asarray(asked @ known.T > 0)


def _evaluate_one(
    look: Look, split: AttributeSplit, k: int, attribute: Attribute, drawn: Bootstrap
) -> tuple[AttributeRow, PerQuery]:
    asked, answers = split.queries[k], split.candidates[k]
    places = sorted({*asked, *answers})
    vectors = _check(look(k, places), len(places), attribute.name)
    spot = {place: row for row, place in enumerate(places)}
    candidates = vectors[[spot[place] for place in answers]]
    known = [split.photos[place] for place in answers]
    parts: dict[str, list[NDArray[np.float64]]] = {"mAP": [], "R@1": []}
    lonely = 0
    for start in range(0, len(asked), CHUNK):
        part = asked[start : start + CHUNK]
        photos = [split.photos[place] for place in part]
        relevant = find_relevant(photos, known, k)
        own = _find_own(photos, known) if split.leave_own_item else None
        lonely += int((~(relevant if own is None else relevant & ~own).any(axis=1)).sum())
        queries = vectors[[spot[place] for place in part]]
        for name, values in measure_queries(queries, candidates, relevant, own).items():
            parts[name].append(values)
    found = PerQuery(
        tuple(split.photos[place].photo.item for place in asked),
        {name: np.concatenate(values) for name, values in parts.items()},
    )
    row = AttributeRow(
        name=attribute.name,
        num_values=len(attribute.values),
        queries=len(asked),
        candidates=len(answers),
        without_relevant=lonely,
        metrics=_measure(found, drawn),
    )
    return row, found


def _measure(
    found: PerQuery, drawn: Bootstrap, *, differences: bool = False
) -> dict[str, Measured]:
    return {
        name: measure_one(values, found.items, differences=differences, **vars(drawn))
        for name, values in found.measures.items()
    }


def _over_attributes(
    mean: Callable[..., Measured],
    found: Mapping[str, PerQuery],
    drawn: Bootstrap,
    *,
    differences: bool = False,
) -> dict[str, Measured]:
    items = {name: each.items for name, each in found.items()}
    return {
        metric: mean(
            {name: each.measures[metric] for name, each in found.items()},
            items,
            differences=differences,
            **vars(drawn),
        )
        for metric in METRICS
    }


def _write_notes(
    split: AttributeSplit, rows: Sequence[AttributeRow], drawn: Bootstrap
) -> tuple[str, ...]:
    notes = [
        "Average precision runs over all candidates of the attribute; a candidate is relevant "
        "when it shares a value with the query.",
        "Ties count against the network; scores are compared to six decimals, in float32.",
        f"Brackets are {100 * drawn.level:g} % bootstrap intervals: {drawn.rounds} draws of whole "
        "items with all their queries.",
    ]
    lonely = sum(row.without_relevant for row in rows)
    if lonely:
        notes.append(
            f"{lonely:,} of {split.num_queries:,} queries have no relevant candidate and score 0."
        )
    if split.leave_own_item:
        notes.append("Every photo asks; the photos of its own item are left out of its ranking.")
    return tuple(notes)


def _check(vectors: Vectors, count: int, name: str) -> Vectors:
    if vectors.ndim != 2 or len(vectors) != count or not np.isfinite(vectors).all():
        raise ParameterError(
            f"the embeddings of {name} have the shape {vectors.shape}; expected one row of finite "
            f"numbers for each of {count} photos"
        )
    return vectors.astype(np.float32, copy=False)


def _unit(vectors: Vectors) -> Vectors:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), dtype=np.float32)


def _one_hot(photos: Sequence[Labelled], k: int, width: int) -> Vectors:
    found = np.zeros((len(photos), width), dtype=np.float32)
    for row, photo in zip(found, photos, strict=True):
        row[list(photo.all_values(k))] = 1
    return found


def _find_own(queries: Sequence[Labelled], candidates: Sequence[Labelled]) -> Mask:
    asked = np.array([photo.photo.item for photo in queries])
    known = np.array([photo.photo.item for photo in candidates])
    return np.asarray(asked[:, None] == known[None, :])
