"""How long an attribute takes over a gallery: its first use, and searches after it.

Tokens are random, in the sizes of the shipped checkpoint; what they say does not matter to the
time. They are read from memory, as a gallery reads them that fits its token budget.
"""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from indexer.attribute_cache import EmbeddingCache, Embeddings
from indexer.attribute_query import AttributeQuery
from indexer.attributes import AttributeSet, HeadsFile
from indexer.codec import pack_geometry, pack_tokens
from indexer.protocols import TokenBlock
from model.attributes.heads import AttributeHeads, AttributeInfo
from model.attributes.slot_heads import Scaling
from model.encoder import Encoded

LEVELS, TOKENS, WIDTH = 3, 16, 128
NAMES = ("a", "b", "c")
# Different items in memory; a larger gallery repeats them.
DISTINCT = 10_000
CHANGED = 10


def attributes(
    items: Annotated[list[int], typer.Option(help="Items in the gallery; may be repeated.")],
    values: Annotated[int, typer.Option(help="Values of an attribute: its width, 2 to 64.")] = 12,
    rounds: Annotated[int, typer.Option(help="Searches of which the median is printed.")] = 9,
) -> None:
    """Time the first use of an attribute, a search after it, and one after ten items changed."""
    table = Table(
        "items", "first use s", "1 attribute ms", "3 attributes ms", "after a write ms", "bytes"
    )
    for count in items:
        table.add_row(f"{count:,}", *measure(Items(count, values), rounds))
    Console().print(table)


class Items:
    """A gallery of random tokens with three attributes."""

    def __init__(self, count: int, values: int) -> None:
        rng = np.random.default_rng(0)
        self._rows = np.arange(count)
        self._block = draw_tokens(min(count, DISTINCT), rng)
        self.attributes = AttributeSet({"": HeadsFile(Path(), (0, 0, 0), make_heads(values, rng))})
        self.cache = EmbeddingCache()
        self.version = 1

    def rows(self) -> NDArray[np.int64]:
        return self._rows

    def read_tokens(self, rows: NDArray[np.int64]) -> TokenBlock:
        parts = (part if part is None else part[rows % DISTINCT] for part in self._block)
        return TokenBlock(*parts)  # type: ignore[arg-type]

    def embed_items(self, name: str, until: float | None = None) -> Embeddings:
        return self.cache.read(name, self.attributes.find(name), self.version, self)

    def change(self) -> None:
        """Ten items are replaced, as by a write."""
        self.version += 1
        self.cache.note_change(self.version, self._rows[:CHANGED])


def measure(gallery: Items, rounds: int) -> list[str]:
    """One row of the table."""
    first = _time(lambda: gallery.embed_items(NAMES[0]), 1)
    for name in NAMES:
        gallery.embed_items(name)
    query = _draw_query()

    def search(count: int) -> None:
        weights: dict[str, float] = dict.fromkeys(NAMES[:count], 1.0)
        found = AttributeQuery(gallery, [query], weights, 0.0, None)  # type: ignore[arg-type]
        found.rank(100)

    def write_and_search() -> None:
        gallery.change()
        search(1)

    times = [_time(lambda: search(1), rounds), _time(lambda: search(3), rounds)]
    times.append(_time(write_and_search, rounds))
    size = gallery.cache.num_bytes / len(NAMES) / len(gallery.rows())
    return [f"{first:.2f}", *(f"{1000 * each:.1f}" for each in times), f"{size:.0f}"]


def make_heads(values: int, rng: np.random.Generator) -> AttributeHeads:
    """Three attributes with random weights."""
    features = WIDTH + 6
    scaling = Scaling(
        np.zeros((LEVELS, TOKENS, features), np.float32), np.ones(features, np.float32)
    )
    maps = {
        name: rng.standard_normal((values, LEVELS, TOKENS, features), np.float32) for name in NAMES
    }
    infos = [AttributeInfo(name, ("x", "y"), None, 0, "random") for name in NAMES]
    return AttributeHeads("0" * 64, infos, scaling, maps)


def draw_tokens(count: int, rng: np.random.Generator) -> TokenBlock:
    """Random tokens as a gallery stores them."""
    codes, scales = pack_tokens(rng.standard_normal((count, LEVELS, TOKENS, WIDTH), np.float32))
    mass = np.full((count, LEVELS, TOKENS), 1 / TOKENS, np.float32)
    geometry = rng.random((count, LEVELS, TOKENS, 5), np.float32)
    return TokenBlock(codes, scales.astype(np.float32), mass, pack_geometry(geometry, mass))


def _draw_query() -> Encoded:
    """A photo at two scales."""
    rng = np.random.default_rng(1)
    tokens = rng.standard_normal((2, LEVELS, TOKENS, WIDTH), np.float32)
    tokens /= np.linalg.norm(tokens, axis=-1, keepdims=True)
    mass = np.full((2, LEVELS, TOKENS), 1 / TOKENS, np.float32)
    empty = np.empty((2, 0), np.float32)
    return Encoded(empty, tokens, mass, np.full((*mass.shape, 5), 0.5, np.float32), empty)


def _time(work: Callable[[], Any], rounds: int) -> float:
    spent = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return median(spent)
