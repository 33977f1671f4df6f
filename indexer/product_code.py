"""Product quantisation: parts of a vector are named by a byte each.

n vectors, W numbers of one part. A byte names one of 256 *words*, found by k-means (Jegou, Douze
and Schmid, Product Quantization for Nearest Neighbor Search, 2011).
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


def name_nearest(parts: NDArray[np.float32], words: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Name the nearest of (256, W) words for each of (n, W) parts: (n,)."""
    _, found = _faiss.knn(np.ascontiguousarray(parts), np.ascontiguousarray(words), 1)
    names: NDArray[np.uint8] = found[:, 0].astype(np.uint8)
    return names
