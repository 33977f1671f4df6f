"""One score from two (docs/math.md, Eq. 9)."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Score = TypeVar("Score", float, Tensor, NDArray[np.float32])


def fuse(global_score: Score, token_score: Score, alpha: float) -> Score:
    """Join scores in [-1, 1]: alpha * S_global + (1 - alpha) * S_token, in [-1, 1].

    >>> fuse(0.5, 1.0, alpha=0.2)
    0.9
    """
    return alpha * global_score + (1.0 - alpha) * token_score
