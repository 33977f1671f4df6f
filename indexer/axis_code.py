"""Codes of vectors along principal axes, ready to be written and looked up.

n images, M slots, d width, k axes that are coded, b bytes a vector.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.product_code import name_nearest


class AxisCode(NamedTuple):
    """Words of one level (`indexer.codebooks`), prepared.

    words: b arrays (256, width of the group). edges (b + 1,): first axis of each group.
    axes (d, k). means (M, k), along them. What the slots' means have besides: constant (M, d),
    of squared length left (M,). An int8 element is a whole number of steps, whatever the code.
    """

    words: list[NDArray[np.float32]]
    edges: NDArray[np.int64]
    axes: NDArray[np.float32]
    means: NDArray[np.float32]
    constant: NDArray[np.float32]
    left: NDArray[np.float32]
    step: float
    # axes and constant in steps.
    axes_in_steps: NDArray[np.float32]
    constant_in_steps: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        axes: NDArray[np.float32],
        means: NDArray[np.float32],
        words: NDArray[np.float32],
        groups: NDArray[np.int64],
    ) -> "AxisCode":
        """Prepare axes (d, a), means (M, d), words (256, a) and groups (a,)."""
        coded = int((groups >= 0).sum())
        edges = np.searchsorted(groups[:coded], np.arange(int(groups.max()) + 2))
        axes = np.ascontiguousarray(axes[:, :coded])
        parts = [np.ascontiguousarray(words[:, first:end]) for first, end in pairwise(edges)]
        along = means @ axes
        constant = (means - along @ axes.T).astype(np.float32)
        longest = np.sqrt(sum(float(np.square(part).sum(-1).max()) for part in parts))
        step = float(longest + np.linalg.norm(means, axis=-1).max()) / 127
        return cls(
            parts,
            edges,
            axes,
            along,
            constant,
            np.square(constant).sum(-1),
            step,
            (axes / step).astype(np.float32),
            (constant / step).astype(np.float32),
        )

    @property
    def num_bytes(self) -> int:
        """b."""
        return len(self.words)

    def encode(self, vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
        """(n, M, d) vectors to (n, M, b) bytes."""
        turned = (vectors @ self.axes - self.means).reshape(-1, self.axes.shape[1])
        parts = np.split(turned, self.edges[1:-1], axis=1)
        codes = [name_nearest(*pair) for pair in zip(parts, self.words, strict=True)]
        return np.stack(codes, axis=-1).reshape(*vectors.shape[:2], self.num_bytes)

    def decode(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, M, b) bytes to (n, M, d) vectors of unit length."""
        turned, length = self._look_up(codes)
        found: NDArray[np.float32] = (turned @ self.axes.T + self.constant) / length[..., None]
        return found

    def decode_int8(self, codes: NDArray[np.uint8]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """(n, M, b) bytes to (n, M, d) int8 elements and (n, M) scales to about unit length."""
        turned, length = self._look_up(codes)
        # One matrix product for all slots; a stack of them is slower.
        flat = turned.reshape(-1, turned.shape[-1]) @ self.axes_in_steps.T
        elements = flat.reshape(*codes.shape[:2], -1)
        elements += self.constant_in_steps
        return np.rint(elements, out=elements).astype(np.int8), self.step / length

    def _look_up(self, codes: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Vectors along the axes (n, M, k), means included, and lengths (n, M) in full width."""
        turned = np.empty((*codes.shape[:2], self.axes.shape[1]), np.float32)
        spans = zip(self.words, pairwise(self.edges), strict=True)
        for place, (words, (first, end)) in enumerate(spans):
            turned[..., first:end] = words.take(codes[..., place], axis=0)
        turned += self.means
        return turned, np.sqrt(np.einsum("nmk,nmk->nm", turned, turned) + self.left)
