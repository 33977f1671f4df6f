"""How much work an index with cells is, by the number of items (`indexer.recall` makes it)."""

import math

# `indexer.recall` trains on so many vectors a cell, in as many rounds as FAISS does by default,
# and looks into an eighth of the cells.
_TRAINING_PER_CELL = 48
_ROUNDS = 10
_PROBED = 8


def count_cells(count: int) -> int:
    """Cells of an index of so many items.

    >>> count_cells(1_000_000)
    4000
    """
    return max(1, min(int(4 * math.sqrt(count)), count // _TRAINING_PER_CELL))


def count_probed(cells: int) -> int:
    """Cells that a search looks into."""
    return min(cells, max(_PROBED, cells // _PROBED))


def count_comparisons(count: int) -> int:
    """Comparisons of two vectors that building takes: training the cells, sorting items in."""
    cells = count_cells(count)
    return cells * (_ROUNDS * min(count, _TRAINING_PER_CELL * cells) + count)
