"""Cells (IVF) of a large recall index: how many, how many are looked into, what they cost."""

import math

# Vectors that train one cell.
TRAINING_PER_CELL = 48
# Of k-means, as FAISS does by default.
_ROUNDS = 10
_LEAST_PROBED = 8
_SHARE_PROBED = 8  # one cell in so many


def count_cells(count: int) -> int:
    """Cells of an index of so many items.

    >>> count_cells(1_000_000)
    4000
    """
    return max(1, min(int(4 * math.sqrt(count)), count // TRAINING_PER_CELL))


def count_probed(cells: int) -> int:
    """Cells that a search of all items looks into."""
    return min(cells, max(_LEAST_PROBED, cells // _SHARE_PROBED))


def count_comparisons(count: int) -> int:
    """Comparisons of two vectors that building takes: training the cells, sorting items in."""
    cells = count_cells(count)
    return cells * (_ROUNDS * min(count, TRAINING_PER_CELL * cells) + count)
