"""A new attribute from a few labelled photos; the network and all other attributes stay.

n examples, V values among them, D = L * M * F numbers that describe an image.
Equations: docs/math.md, "Attributes from tokens".

What is learned is a ridge regression from the description to the values. Its prior is what other
attributes had to look at: with few examples, a direction that already tells collars or pockets
apart is a better guess than an arbitrary one. How strong, and how much of that prior, is chosen by
leaving one example out at a time.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.attributes.features import Floats
from model.attributes.slot_heads import DIM, EPS, AttributeHeads, AttributeInfo, Scaling
from model.errors import ParameterError

MIN_EXAMPLES = 4
# Candidates for the ridge, in units of the mean squared length of an example.
RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
# Candidates for the share of the prior in the similarity of two examples.
PRIORS = (0.0, 0.5, 0.9, 1.0)
# The file's mean counts as this many examples when the examples' own is estimated.
MEAN_WEIGHT = 20

Doubles = NDArray[np.float64]


def learn_attribute(
    name: str,
    tokens: Floats,
    mass: Floats,
    geometry: Floats,
    values: Sequence[str],
    base: AttributeHeads,
    *,
    source: str = "examples",
) -> AttributeHeads:
    """Learn one attribute from n labelled images, in about a second on a CPU.

    The result holds that attribute alone, reads tokens of the same checkpoint as `base`, and
    does not depend on `base` any more. Deterministic; the order of the examples does not matter.

    Args:
        name: the new attribute's.
        tokens: (n, L, M, d), as `AttributeHeads.embed` takes them.
        mass: (n, L, M).
        geometry: (n, L, M, 5).
        values: n names; each photo's value of the attribute.
        base: attributes of the same checkpoint, whose directions are the prior.
        source: where the examples come from, in words.

    Raises:
        ParameterError: no name, a name that `base` has, fewer than 4 examples, only one value, an
            empty value, no value on two photos, or tokens that do not fit `base`.
    """
    known = _check(name, values, len(tokens), base)
    features = base.read(tokens, mass, geometry)
    scaling = _recentre(base.scaling, features)
    described = scaling(features).astype(np.float64)
    rows = described.reshape(len(described), -1)
    targets = score_values(values, known)
    views = [_join(rows, _pull(rows, base), share) for share in PRIORS]
    view, ridge = _choose(rows, views, targets)
    weights = _solve(rows @ view.T, targets, ridge).T @ view
    found = fit_width(weights, rows).reshape(-1, *described.shape[1:])
    info = AttributeInfo(name, known, None, len(rows), source)
    return AttributeHeads(base.fingerprint, (info,), scaling, {name: found})


def _check(name: str, values: Sequence[str], count: int, base: AttributeHeads) -> tuple[str, ...]:
    """The values, sorted; or a sentence."""
    if not name.strip():
        raise ParameterError("the new attribute has no name; give it one, such as pocket_shape")
    if name in base.names:
        raise ParameterError(
            f"there is an attribute {name!r} already; choose another name, or remove that one first"
        )
    if len(values) != count:
        raise ParameterError(
            f"{len(values)} values came with {count} photos; expected one value for each photo"
        )
    if not all(value.strip() for value in values):
        raise ParameterError(
            f"{name!r} has an example without a value; give each photo one, or leave the photo out"
        )
    known = tuple(sorted(set(values)))
    if len(known) < 2:
        found = known[0] if known else "none"
        raise ParameterError(
            f"all examples of {name!r} have the same value ({found}); "
            "an attribute needs photos of two values or more"
        )
    if count < MIN_EXAMPLES:
        raise ParameterError(
            f"{name!r} has {count} examples; expected {MIN_EXAMPLES} or more, about 20 to be useful"
        )
    if max(Counter(values).values()) < 2:
        raise ParameterError(
            f"every example of {name!r} has a value of its own; "
            "show at least one value on two photos"
        )
    return known


def _recentre(scaling: Scaling, features: Floats) -> Scaling:
    """Move the centre towards the examples', who may be photographed in another way."""
    share = len(features) / (len(features) + MEAN_WEIGHT)
    mean: Floats = ((1 - share) * scaling.mean + share * features.mean(0)).astype(np.float32)
    return Scaling(mean, scaling.scale)


def score_values(values: Sequence[str], known: Sequence[str]) -> Doubles:
    """Centred indicators (n, V), a rare value scaled up: optimal scoring."""
    hot = np.array([[value == each for each in known] for value in values], dtype=np.float64)
    share = hot.mean(0)
    scores: Doubles = (hot - share) / np.sqrt(share)
    return scores


def _pull(rows: Doubles, base: AttributeHeads) -> Doubles:
    """What all known attributes see of each example, brought back to D numbers: (n, D).

    Row i times row j of the examples is then the sum over attributes of their inner products.
    """
    pulled = np.zeros_like(rows)
    for name in base.names:
        matrix = base.maps[name].reshape(len(base.maps[name]), -1).astype(np.float64)
        seen = rows @ matrix.T
        pulled += seen @ matrix / max(float(np.square(seen).sum()), EPS)
    return pulled


def _join(rows: Doubles, pulled: Doubles, share: float) -> Doubles:
    """Mix two similarities, each of mean 1 on the diagonal; as (n, D), to multiply by rows."""
    plain = rows / max(float(np.square(rows).sum()), EPS)
    known = pulled / max(float((rows * pulled).sum()), EPS)
    mixed: Doubles = len(rows) * ((1 - share) * plain + share * known)
    return mixed


def _choose(rows: Doubles, views: list[Doubles], targets: Doubles) -> tuple[Doubles, float]:
    """The prior and the ridge of the smallest error when each example in turn is left out."""
    trials = [
        (_leave_one_out(rows @ view.T, targets, ridge), number, ridge)
        for number, view in enumerate(views)
        for ridge in RIDGES
    ]
    _, number, ridge = min(trials)
    return views[number], ridge


def _leave_one_out(similarity: Doubles, targets: Doubles, ridge: float) -> float:
    """Mean squared error over examples, each predicted from all others, in closed form."""
    inverse = np.linalg.inv(similarity + ridge * np.eye(len(similarity)))
    missed = (inverse @ targets) / np.diag(inverse)[:, None]
    return float(np.square(missed).mean())


def _solve(similarity: Doubles, targets: Doubles, ridge: float) -> Doubles:
    solved = np.linalg.solve(similarity + ridge * np.eye(len(similarity)), targets)
    return np.asarray(solved, dtype=np.float64)


def fit_width(weights: Doubles | Floats, rows: Doubles | Floats) -> Floats:
    """Keep (V, D) weights, or of more than E rows the E strongest directions on the examples.

    Scaled so that an example's embedding has length one on average before it is normalised,
    which half precision needs.
    """
    if len(weights) > DIM:
        _, _, directions = np.linalg.svd(rows @ weights.T, full_matrices=False)
        return fit_width(np.asarray(directions[:DIM] @ weights, dtype=np.float64), rows)
    length = float(np.linalg.norm(rows @ weights.T, axis=1).mean())
    return (weights / max(length, EPS)).astype(np.float32)
