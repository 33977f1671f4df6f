"""Product quantisation: a vector is cut into parts, and each part named by one byte.

n vectors, W width, S bytes a vector, W/S numbers a part. A byte chooses one of 256 *words* of
its part, found by k-means (Jegou, Douze and Schmid, Product Quantization for Nearest
Neighbor Search, 2011).
"""

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from model.errors import ParameterError

WORDS = 256
# Some wheels of FAISS ship partial type stubs, others none.
_faiss: Any = faiss
_ITERATIONS = 20
# More vectors a word teach k-means nothing new.
_MOST_A_WORD = 160


def fit_words(vectors: NDArray[np.float32], num_bytes: int) -> NDArray[np.float32]:
    """Find words (S, 256, W/S) for (n, W) vectors; equal vectors give equal words.

    Fewer than 256 vectors are repeated: then each of them is a word.
    """
    width = vectors.shape[1]
    require_parts(width, num_bytes)
    quantizer = _faiss.ProductQuantizer(width, num_bytes, 8)
    quantizer.cp.niter = _ITERATIONS
    quantizer.cp.max_points_per_centroid = _MOST_A_WORD
    quantizer.cp.min_points_per_centroid = 1
    enough = np.resize(vectors, (max(len(vectors), WORDS), width))
    quantizer.train(np.ascontiguousarray(enough, dtype=np.float32))
    words: NDArray[np.float32] = _faiss.vector_to_array(quantizer.centroids)
    return words.reshape(num_bytes, WORDS, width // num_bytes).copy()


def encode(vectors: NDArray[np.float32], words: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Name the nearest word of each part: (n, W) vectors to (n, S) bytes."""
    num_bytes, _, part = words.shape
    quantizer = _faiss.ProductQuantizer(num_bytes * part, num_bytes, 8)
    _faiss.copy_array_to_vector(words.astype(np.float32).ravel(), quantizer.centroids)
    codes: NDArray[np.uint8] = quantizer.compute_codes(
        np.ascontiguousarray(vectors, dtype=np.float32)
    )
    return codes


def decode(codes: NDArray[np.uint8], words: NDArray[Any]) -> NDArray[Any]:
    """Put the named words together: (n, S) bytes to (n, W), in the type of the words."""
    num_bytes, _, part = words.shape
    first = WORDS * np.arange(num_bytes)
    found = words.reshape(-1, part).take(codes + first, axis=0)  # (n, S, W/S)
    return found.reshape(len(codes), num_bytes * part)


def require_parts(width: int, num_bytes: int) -> None:
    """Refuse a number of bytes that does not cut `width` numbers into equal parts."""
    if num_bytes < 1 or width % num_bytes:
        raise ParameterError(
            f"{width} numbers cannot be cut into {num_bytes} equal parts; choose a divisor of "
            f"{width}"
        )
