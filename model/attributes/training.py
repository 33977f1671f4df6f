"""Attributes of a data set, fitted to cached tokens in closed form.

N photos, L levels, M tokens a level, F features a token, D = L * M * F.
Equations: docs/math.md, "Attributes from tokens".
"""

from collections.abc import Callable, Sequence

import numpy as np

from model.attributes.examples import fit_width, score_values
from model.attributes.features import GEOMETRY_FEATURES, Floats, describe_tokens
from model.attributes.metrics import Bootstrap, evaluate_vectors
from model.attributes.records import AttributeData, AttributeSplit
from model.attributes.results import AttributeResults
from model.attributes.slot_heads import DIM, EPS, AttributeHeads, AttributeInfo, Scaling
from model.attributes.token_cache import TokenStore
from model.errors import DataError

# In units of the mean squared length of a photo; the best on the validation photos is taken.
RIDGES = (0.1, 0.3, 1.0)
# Directions of less variance than this share of the largest are not stretched to the full.
LEAST_VARIANCE = 0.01
# mAP above that of random embeddings that an attribute needs to be worth showing.
LEAST_GAIN = 0.05

Say = Callable[[str], None]


def train_heads(
    data: AttributeData,
    train: TokenStore,
    valid: TokenStore,
    fingerprint: str,
    *,
    say: Say = lambda sentence: None,
) -> AttributeHeads:
    """Fit all attributes; keep those that find their values on the validation photos.

    `train` and `valid` hold the photos of `data.train` and `data.valid` in their order. The
    quality noted is the mAP on the validation photos, of which the ridge was chosen. What is
    left out, and why, is told to `say`.

    Raises:
        DataError: no attribute is better than chance, or the data is for evaluation only.
    """
    data.check_trainable()
    trials = fit_heads(data, train, fingerprint)
    measured = [measure_heads(heads, data, data.valid, valid) for heads in trials]
    best = max(range(len(trials)), key=lambda k: measured[k].plain["mAP"].value)
    say(f"Ridge {RIDGES[best]:g} of {', '.join(f'{ridge:g}' for ridge in RIDGES)}.")
    heads, results = trials[best], measured[best]
    chance = measure_chance(data, data.valid)
    quality, kept = {}, []
    for row in results.rows:
        found, random = row.metrics["mAP"], chance.row(row.name).metrics["mAP"].value
        if found.low > random and found.value >= random + LEAST_GAIN:
            kept.append(row.name)
            quality[row.name] = round(found.value, 4)
        else:
            say(f"{row.name} is left out: mAP {found.value:.3f}, random {random:.3f}.")
    if not kept:
        raise DataError(
            f"no attribute of {data.name} is better than chance on its validation photos; "
            "train on more photos"
        )
    return heads.with_quality(quality).only(kept)


def fit_heads(
    data: AttributeData, train: TokenStore, fingerprint: str, ridges: Sequence[float] = RIDGES
) -> tuple[AttributeHeads, ...]:
    """Fit every attribute with two values or more by one regression each; one result a ridge.

    Raises:
        DataError: no attribute has two values.
    """
    features = describe_tokens(*train.parts)
    scaling = fit_scaling(features)
    described = scaling(features)
    whitening = fit_whitening(described)
    rows = np.matmul(described, whitening).reshape(len(features), -1)
    dual = len(rows) <= rows.shape[1]
    similarity = rows @ rows.T if dual else None
    infos: list[AttributeInfo] = []
    maps: list[dict[str, Floats]] = [{} for _ in ridges]
    roots: list[dict[str, Floats]] = [{} for _ in ridges]
    for k, attribute in enumerate(data.attributes):
        places = [n for n, photo in enumerate(data.train) if k in photo.values]
        names = [attribute.values[data.train[n].values[k]] for n in places]
        if len(set(names)) < 2:
            continue
        own = None if similarity is None else similarity[np.ix_(places, places)]
        for number, ridge in enumerate(ridges):
            weights, root = _fit_scores(rows[places], names, ridge, own)
            slots = weights.reshape(-1, *features.shape[1:])
            maps[number][attribute.name] = np.matmul(slots, whitening)
            if root is not None:
                roots[number][attribute.name] = root
        source = f"{len(places):,} photos of {data.name.split(':')[0]}"
        infos.append(AttributeInfo(attribute.name, attribute.values, None, len(places), source))
    if not infos:
        raise DataError(f"no attribute of {data.name} has two values; there is nothing to learn")
    return tuple(
        AttributeHeads(fingerprint, infos, scaling, *found)
        for found in zip(maps, roots, strict=True)
    )


def fit_scaling(features: Floats) -> Scaling:
    """Centre each slot; one scale for all of a token's content, one for each of the rest."""
    mean = features.mean(0)
    spread = np.square(features - mean).mean((0, 1, 2)) ** 0.5
    content = np.sqrt(np.square(spread[:-GEOMETRY_FEATURES]).mean())
    scale = np.concatenate(
        (np.full(len(spread) - GEOMETRY_FEATURES, content), spread[-GEOMETRY_FEATURES:])
    )
    return Scaling(mean, np.maximum(scale, EPS).astype(np.float32))


def fit_whitening(described: Floats) -> Floats:
    """For each level a matrix (L, F, F) after which a token's numbers do not vary together.

    One for all slots of a level, symmetric, from scaled features (N, L, M, F).
    """
    found = np.empty((described.shape[1], *[described.shape[3]] * 2), dtype=np.float32)
    for level in range(len(found)):
        tokens = described[:, level].reshape(-1, described.shape[3])
        variances, directions = np.linalg.eigh(tokens.T @ tokens / len(tokens))
        held = np.maximum(variances, max(LEAST_VARIANCE * float(variances[-1]), EPS))
        found[level] = (directions / np.sqrt(held)) @ directions.T
    return found


def measure_heads(
    heads: AttributeHeads, data: AttributeData, split: AttributeSplit, store: TokenStore
) -> AttributeResults:
    """Measure those attributes of a split that `heads` knows; `store` holds its photos."""
    described = heads.describe(*store.parts)
    known = restrict(split, [k for k, a in enumerate(data.attributes) if a.name in heads.names])

    def look(k: int, places: Sequence[int]) -> Floats:
        return heads.embed_described(data.attributes[k].name, described[list(places)])

    return evaluate_vectors(
        look, known, data.attributes, data_set=data.name, method="tokens", bootstrap=Bootstrap()
    )


def measure_vectors(
    vectors: Floats, method: str, data: AttributeData, split: AttributeSplit
) -> AttributeResults:
    """Measure one vector an image, (N, D), for all attributes, as a search without them has."""
    return evaluate_vectors(
        lambda k, places: vectors[list(places)],
        split,
        data.attributes,
        data_set=data.name,
        method=method,
    )


def measure_chance(data: AttributeData, split: AttributeSplit) -> AttributeResults:
    """Measure random vectors: what knowing nothing gives."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((len(split.photos), 16)).astype(np.float32)
    return measure_vectors(vectors, "random", data, split)


def restrict(split: AttributeSplit, attributes: Sequence[int]) -> AttributeSplit:
    """Keep the queries and candidates of some attributes."""
    return AttributeSplit(
        split.photos,
        {k: split.queries[k] for k in attributes if k in split.queries},
        {k: split.candidates[k] for k in attributes if k in split.candidates},
        leave_own_item=split.leave_own_item,
    )


def _fit_scores(
    rows: Floats, names: Sequence[str], ridge: float, similarity: Floats | None
) -> tuple[Floats, Floats | None]:
    """Weights (V, D) and the roots of the values' shares; None where there are too many values."""
    known = sorted(set(names))
    fitted = _regress(rows, score_values(names, known).astype(np.float32), ridge, similarity)
    weights = fit_width(fitted, rows)
    if len(known) > DIM:
        return weights, None
    unit = np.linalg.norm(weights) / max(float(np.linalg.norm(fitted)), EPS)
    shares = np.array([names.count(value) for value in known]) / len(names)
    return weights, (unit * np.sqrt(shares)).astype(np.float32)


def _regress(rows: Floats, targets: Floats, ridge: float, similarity: Floats | None) -> Floats:
    """Weights (V, D) of a ridge regression; over photos where their (N, N) similarity is given."""
    strength = ridge * float(np.square(rows).sum()) / len(rows)
    if similarity is not None:
        held = similarity + strength * np.eye(len(rows), dtype=np.float32)
        return np.asarray(np.linalg.solve(held, targets).T @ rows)
    moments = rows.T @ rows + strength * np.eye(rows.shape[1], dtype=np.float32)
    return np.asarray(np.linalg.solve(moments, rows.T @ targets).T)
