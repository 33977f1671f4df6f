"""Section 10 of docs/math.md once more: plain loops, float64, and the region as published.

Slow on purpose. The tests compare the model with these.
"""

import math
from collections.abc import Sequence

from tests.reference import Matrix, Vector, dot, softmax

Layer = tuple[Matrix, Vector]
Box = tuple[float, float, float, float]


def linear(layer: Layer, x: Sequence[float]) -> Vector:
    weight, bias = layer
    return [dot(row, x) + b for row, b in zip(weight, bias, strict=True)]


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    return dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))


def spatial(cells: Matrix, attribute: Vector, image: Layer, asked: Layer) -> tuple[Vector, Vector]:
    """Eq. 18 for N x C cells: I_s, and the shares of the N locations."""
    query = [math.tanh(x) for x in linear(asked, attribute)]
    scores = []
    for cell in cells:
        key = [math.tanh(x) for x in linear(image, cell)]
        scores.append(dot(query, key) / math.sqrt(len(key)))
    share = softmax(scores)
    pooled = [
        sum(w * cell[c] for w, cell in zip(share, cells, strict=True)) for c in range(len(cells[0]))
    ]
    return pooled, share


def channel(pooled: Vector, attribute: Vector, asked: Layer, first: Layer, second: Layer) -> Vector:
    """I_c of Eq. 19."""
    told = [max(0.0, x) for x in linear(asked, attribute)]
    hidden = [max(0.0, x) for x in linear(first, pooled + told)]
    gate = [1 / (1 + math.exp(-x)) for x in linear(second, hidden)]
    return [x * m for x, m in zip(pooled, gate, strict=True)]


def triplets(x: Matrix, p: Matrix, n: Matrix, margin: float) -> float:
    """Eq. 22."""
    hinges = [
        max(0.0, margin - cosine(a, b) + cosine(a, c)) for a, b, c in zip(x, p, n, strict=True)
    ]
    return sum(hinges) / len(hinges)


def alignment(whole: Sequence[Matrix], local: Sequence[Matrix]) -> float:
    """Eq. 23: three roles of T embeddings each."""
    return sum(
        sum(1 - cosine(g, f) for g, f in zip(one, two, strict=True)) / len(one)
        for one, two in zip(whole, local, strict=True)
    )


def batch_triplets(
    embeddings: Sequence[Matrix], labels: Sequence[Sequence[int]], margin: float
) -> float:
    """Eq. 26: B photos of A embeddings and A labels each; below 0 is unknown."""
    means = []
    for a in range(len(labels[0])):
        hinges = []
        for i, one in enumerate(labels):
            for j, two in enumerate(labels):
                for k, three in enumerate(labels):
                    if i == j or min(one[a], two[a], three[a]) < 0:
                        continue
                    if one[a] == two[a] and one[a] != three[a]:
                        x, p, n = (embeddings[m][a] for m in (i, j, k))
                        hinges.append(margin - cosine(x, p) + cosine(x, n))
        open_ones = [h for h in hinges if h > 0]
        means.append(sum(open_ones) / max(1, len(open_ones)))
    return sum(means) / len(means)


def fuse(whole: Vector, local: Vector, beta: float) -> Vector:
    """Eq. 25."""
    g, f = math.sqrt(dot(whole, whole)), math.sqrt(dot(local, local))
    first = [math.sqrt(beta) * x / g for x in whole]
    return first + [math.sqrt(1 - beta) * x / f for x in local]


def enlarge(attention: Matrix, frame: int) -> Matrix:
    """Bilinear, as OpenCV's INTER_LINEAR does it."""
    height, width = len(attention), len(attention[0])

    def place(target: int, size: int) -> tuple[int, int, float]:
        at = min(max((target + 0.5) * size / frame - 0.5, 0.0), size - 1.0)
        low = int(at)
        return low, min(low + 1, size - 1), at - low

    large = []
    for y in range(frame):
        top, bottom, v = place(y, height)
        row = []
        for x in range(frame):
            left, right, u = place(x, width)
            above = (1 - u) * attention[top][left] + u * attention[top][right]
            below = (1 - u) * attention[bottom][left] + u * attention[bottom][right]
            row.append((1 - v) * above + v * below)
        large.append(row)
    return large


def published_region(
    attention: Matrix, frame: int, tau: float, size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """The square in whole pixels of a stored photo of `size` (width, height)."""
    large = enlarge(attention, frame)
    low, high = min(map(min, large)), max(map(max, large))
    mask = [[int(255 * (x - low) / (high - low)) > 255 * tau for x in row] for row in large]
    rows = [y for y, row in enumerate(mask) if any(row)]
    columns = [x for x in range(frame) if any(row[x] for row in mask)]
    left, top = columns[0], rows[0]
    width, height = columns[-1] + 1 - left, rows[-1] + 1 - top
    side = max(width, height)
    left, top = (
        min(max(start - (side - length) // 2, 0), frame - side)
        for start, length in ((left, width), (top, height))
    )
    short = min(size)
    scale = short / frame
    across, down = (int((length - short) / 2) for length in size)
    return (
        across + int(left * scale),
        down + int(top * scale),
        across + int((left + side) * scale),
        down + int((top + side) * scale),
    )
