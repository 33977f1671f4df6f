"""Product quantisation: a vector is cut into parts, and each part named by one byte.

n vectors, W width, S bytes a vector, W/S numbers a part. A byte chooses one of 256 *words* of
its part, found by k-means (Jegou, Douze and Schmid, Product Quantization for Nearest
Neighbor Search, 2011).
"""

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

WORDS = 256
# Some wheels of FAISS ship partial type stubs, others none.
_faiss: Any = faiss
_ITERATIONS = 12
# More vectors a word teach k-means nothing new.
_MOST_A_WORD = 60


def fit_parts(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Find 256 words (256, W) for (n, W) vectors; equal vectors give equal words.

    Fewer than 256 vectors are repeated: then each of them is a word.
    """
    enough = np.resize(vectors, (max(len(vectors), WORDS), vectors.shape[1]))
    means = _faiss.Kmeans(
        vectors.shape[1],
        WORDS,
        niter=_ITERATIONS,
        min_points_per_centroid=1,
        max_points_per_centroid=_MOST_A_WORD,
    )
    means.train(np.ascontiguousarray(enough, dtype=np.float32))
    words: NDArray[np.float32] = means.centroids
    return words


def fit_words(vectors: NDArray[np.float32], num_bytes: int) -> NDArray[np.float32]:
    """Find words (S, 256, W/S) of all parts of (n, W) vectors."""
    parts = np.split(vectors, num_bytes, axis=1)
    return np.stack([fit_parts(part) for part in parts])


def name_nearest(parts: NDArray[np.float32], words: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Name the nearest of (256, W) words for each of (n, W) parts: (n,)."""
    _, found = _faiss.knn(np.ascontiguousarray(parts), np.ascontiguousarray(words), 1)
    names: NDArray[np.uint8] = found[:, 0].astype(np.uint8)
    return names


def encode(vectors: NDArray[np.float32], words: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Name the nearest word of each part: (n, W) vectors to (n, S) bytes."""
    parts = np.split(vectors, len(words), axis=1)
    return np.stack([name_nearest(*pair) for pair in zip(parts, words, strict=True)], axis=1)


def decode(codes: NDArray[np.uint8], words: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put the named words together: (n, S) bytes to (n, W)."""
    num_bytes, _, part = words.shape
    first = WORDS * np.arange(num_bytes)
    found = words.reshape(-1, part).take(codes + first, axis=0)  # (n, S, W/S)
    return found.reshape(len(codes), num_bytes * part)
