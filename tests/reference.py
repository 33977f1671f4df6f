"""Every equation of docs/math.md once more: plain loops, float64, no tricks.

Slow on purpose. The tests compare the model with these.
"""

import math
from collections.abc import Sequence

Vector = list[float]
Matrix = list[Vector]

EPS = 1e-12


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def unit(a: Sequence[float]) -> Vector:
    length = max(math.sqrt(dot(a, a)), EPS)
    return [x / length for x in a]


def softmax(logits: Sequence[float]) -> Vector:
    top = max(logits)
    powers = [math.exp(x - top) for x in logits]
    return [p / sum(powers) for p in powers]


def assign(cells: Matrix, centres: Matrix, bias: Vector, scale: float) -> Matrix:
    """Eq. 1 over all centres, ghosts included: N x (M + G)."""
    return [
        softmax([scale * dot(unit(x), unit(c)) + b for c, b in zip(centres, bias, strict=True)])
        for x in cells
    ]


def aggregate(
    cells: Matrix,
    gamma: Matrix,
    residual_centres: Matrix | None,
    weights: Vector,
    num_tokens: int,
) -> Matrix:
    """Eq. 2: M tokens; without residual centres, the weighted mean's direction."""
    tokens = []
    for j in range(num_tokens):
        total = [0.0] * len(cells[0])
        for i, cell in enumerate(cells):
            centre = residual_centres[j] if residual_centres else [0.0] * len(cell)
            for k, x in enumerate(unit(cell)):
                total[k] += weights[i] * gamma[i][j] * (x - centre[k])
        tokens.append(unit(total))
    return tokens


def mass(gamma: Matrix, weights: Vector, num_tokens: int) -> Vector:
    return [
        sum(w * row[j] for w, row in zip(weights, gamma, strict=True)) / sum(weights)
        for j in range(num_tokens)
    ]


def relevance(tokens: Matrix, others: Matrix, temperature: float) -> Vector:
    """Eq. 4-5: for each token, its cosine with what it attends in the other image."""
    found = []
    for token in tokens:
        similarity = [dot(unit(token), unit(other)) for other in others]
        share = softmax([temperature * s for s in similarity])
        attended = [
            sum(w * unit(other)[k] for w, other in zip(share, others, strict=True))
            for k in range(len(token))
        ]
        found.append(dot(unit(token), unit(attended)))
    return found


def reduce(values: Vector, weights: Vector, reduction: str, lse_scale: float) -> float:
    """Eq. 6: one number from the relevances."""
    if reduction == "mean":
        return dot(weights, values)
    if reduction == "max":
        return max(values)
    total = sum(w * math.exp(lse_scale * v) for w, v in zip(weights, values, strict=True))
    return math.log(total) / lse_scale


def token_score(
    a: Matrix,
    b: Matrix,
    temperature: float,
    *,
    weights: tuple[Vector, Vector] | None = None,
    reduction: str = "mean",
    pairing: str = "per_direction",
    direction: str = "symmetric",
    lse_scale: float = 6.0,
) -> float:
    """S_token of two images' tokens, without the first stage."""
    even = ([1 / len(a)] * len(a), [1 / len(b)] * len(b))
    weight_a, weight_b = weights or even
    forward, backward = relevance(a, b, temperature), relevance(b, a, temperature)
    if direction == "query":
        return reduce(forward, weight_a, reduction, lse_scale)
    if pairing == "same_index" and reduction != "mean":
        both = [(x + y) / 2 for x, y in zip(forward, backward, strict=True)]
        middle = [(x + y) / 2 for x, y in zip(weight_a, weight_b, strict=True)]
        return reduce(both, middle, reduction, lse_scale)
    one = reduce(forward, weight_a, reduction, lse_scale)
    other = reduce(backward, weight_b, reduction, lse_scale)
    return (one + other) / 2


def pair_shares(
    a: Matrix,
    b: Matrix,
    temperature: float,
    *,
    weights: tuple[Vector, Vector] | None = None,
    reduction: str = "mean",
    pairing: str = "per_direction",
    direction: str = "symmetric",
    lse_scale: float = 6.0,
) -> tuple[Matrix, float]:
    """Eq. 16 of one level: what tokens i of `a` and j of `b` add, and what belongs to no pair."""
    even = ([1 / len(a)] * len(a), [1 / len(b)] * len(b))
    weights = weights or even
    terms = [relevance_terms(a, b, temperature), relevance_terms(b, a, temperature)]
    found = [[sum(row) for row in side] for side in terms]
    if direction == "query":
        counts, constant = reduce_counts(found[0], weights[0], reduction, lse_scale)
        both = [counts, [0.0] * len(b)]
    elif pairing == "same_index" and reduction != "mean":
        values = [(x + y) / 2 for x, y in zip(*found, strict=True)]
        middle = [(x + y) / 2 for x, y in zip(*weights, strict=True)]
        counts, constant = reduce_counts(values, middle, reduction, lse_scale)
        both = [[c / 2 for c in counts]] * 2
    else:
        sides = [reduce_counts(found[s], weights[s], reduction, lse_scale) for s in (0, 1)]
        both = [[c / 2 for c in counts] for counts, _ in sides]
        constant = (sides[0][1] + sides[1][1]) / 2
    shares = [
        [both[0][i] * terms[0][i][j] + both[1][j] * terms[1][j][i] for j in range(len(b))]
        for i in range(len(a))
    ]
    return shares, constant


def relevance_terms(tokens: Matrix, others: Matrix, temperature: float) -> Matrix:
    """What each token of the other image adds to R_i: the terms of Eq. 5's cosine."""
    found = []
    for token in tokens:
        similarity = [dot(unit(token), unit(other)) for other in others]
        share = softmax([temperature * s for s in similarity])
        attended = [
            sum(w * unit(other)[k] for w, other in zip(share, others, strict=True))
            for k in range(len(token))
        ]
        length = math.sqrt(dot(attended, attended))
        found.append([w * s / length for w, s in zip(share, similarity, strict=True)])
    return found


def reduce_counts(
    values: Vector, weights: Vector, reduction: str, lse_scale: float
) -> tuple[Vector, float]:
    """Counts and a constant with reduce(values) = dot(counts, values) + constant."""
    if reduction == "mean":
        return weights, 0.0
    if reduction == "max":
        return [float(i == values.index(max(values))) for i in range(len(values))], 0.0
    powers = [w * math.exp(lse_scale * v) for w, v in zip(weights, values, strict=True)]
    counts = [p / sum(powers) for p in powers]
    apart = sum(c * math.log(c / w) for c, w in zip(counts, weights, strict=True))
    return counts, -apart / lse_scale


def layer_norm(x: Vector, gain: Vector, bias: Vector, eps: float = 1e-5) -> Vector:
    mean = sum(x) / len(x)
    variance = sum((v - mean) ** 2 for v in x) / len(x)
    scaled = [(v - mean) / math.sqrt(variance + eps) for v in x]
    return [v * g + b for v, g, b in zip(scaled, gain, bias, strict=True)]


def linear(x: Vector, weight: Matrix, bias: Vector) -> Vector:
    return [dot(row, x) + b for row, b in zip(weight, bias, strict=True)]


def gelu(x: float) -> float:
    return 0.5 * x * (1 + math.erf(x / math.sqrt(2)))


def attention(queries: Matrix, keys: Matrix, values: Matrix, num_heads: int) -> Matrix:
    """Multi-head scaled dot-product attention, heads joined again."""
    size = len(queries[0]) // num_heads
    out = []
    for query in queries:
        joined: Vector = []
        for head in range(num_heads):
            part = slice(head * size, (head + 1) * size)
            logits = [dot(query[part], key[part]) / math.sqrt(size) for key in keys]
            share = softmax(logits)
            joined += [
                sum(w * value[part][k] for w, value in zip(share, values, strict=True))
                for k in range(size)
            ]
        out.append(joined)
    return out


def fuse(global_score: float, score: float, alpha: float) -> float:
    """Eq. 9."""
    return alpha * global_score + (1 - alpha) * score


def join_tokens(tokens: Sequence[Matrix], masses: Matrix) -> Vector:
    """g of Eq. 13: every token of every level, times the root of its share of the level."""
    joined: Vector = []
    for level, mass_of in zip(tokens, masses, strict=True):
        for token, m in zip(level, mass_of, strict=True):
            joined += [math.sqrt(m / sum(mass_of)) * x for x in token]
    return joined


def granular(joined: Vector, mean: Vector, projection: Matrix) -> Vector:
    """Eq. 13."""
    centred = unit([x - m for x, m in zip(joined, mean, strict=True)])
    return unit([dot(row, centred) for row in projection])


def joint(global_feature: Vector, granular_vector: Vector, weight: float) -> Vector:
    """Eq. 14."""
    first = [math.sqrt(weight) * x for x in global_feature]
    return first + [math.sqrt(1 - weight) * x for x in granular_vector]


def confidence(fused: float, slope: float, intercept: float) -> float:
    """Eq. 15."""
    return 1 / (1 + math.exp(-(slope * fused + intercept)))
