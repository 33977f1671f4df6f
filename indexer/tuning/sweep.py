"""Every setting on every query, each query encoded once and its candidates scored once.

Q queries, n candidates in the order of stage one. Global and token scores of a candidate depend
neither on K nor on alpha, so that each pair of them is a choice among numbers that are there.
"""

import csv
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.candidates import Candidates
from indexer.engine import SearchEngine
from indexer.gallery import EmbeddedGallery
from indexer.ranking import Timer
from indexer.requests import QueryPhoto, SearchRequest
from model.encoder import Encoded, Encoder
from model.errors import ParameterError, SourceError
from model.fusion import fuse

# Hits that a search looks at: R@10 is counted among the first ten products.
DEPTH = 10


class Query(NamedTuple):
    """A photo, and the product that it shows."""

    photo: Path
    product: str


class Scored(NamedTuple):
    """What one query knows of its candidates, in the order of stage one; n each.

    encode_ms: decoding and encoding its photo.
    """

    query: Query
    encoded: Encoded
    products: NDArray[np.str_]
    whole: NDArray[np.float32]
    token: NDArray[np.float32]
    encode_ms: float


def read_queries(labelled: Path) -> list[Query]:
    """Photos, relative to the CSV, and the product each shows; SourceError where it has none."""
    try:
        with labelled.open(newline="") as file:
            rows = list(csv.DictReader(file))
        found = [Query(labelled.parent / row["image"], row["product_id"]) for row in rows]
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{labelled} cannot be read as queries ({error}); "
            "expected a CSV with the columns image and product_id"
        ) from error
    if not found:
        raise SourceError(f"{labelled} lists no queries; expected one row a photo")
    return found


class Searched(NamedTuple):
    """A gallery and the encoder that made it."""

    gallery: EmbeddedGallery
    encoder: Encoder

    @property
    def engine(self) -> SearchEngine:
        return SearchEngine(self.gallery, self.encoder)


def score_queries(searched: Searched, queries: Sequence[Query], most: int) -> list[Scored]:
    """Encode each query once, and score its `most` nearest items by both stages."""
    return [_score(searched, query, most) for query in queries]


def rank_products(scored: Scored, candidates: int, alpha: float) -> list[str]:
    """The first ten products of a search with these settings, best first."""
    whole, token = scored.whole[:candidates], scored.token[:candidates]
    order = np.argsort(-fuse(whole, token, alpha), kind="stable")
    best: dict[str, None] = {}
    for name in scored.products[:candidates][order]:
        best.setdefault(str(name))
        if len(best) == DEPTH:
            break
    return list(best)


def find_ranks(scored: Sequence[Scored], candidates: int, alpha: float) -> NDArray[np.int64]:
    """Rank of each query's product, from 1; 0 where it is not among the first ten."""
    ranks = []
    for one in scored:
        found = rank_products(one, candidates, alpha)
        wanted = one.query.product
        ranks.append(found.index(wanted) + 1 if wanted in found else 0)
    return np.array(ranks, np.int64)


def time_searches(
    searched: Searched, scored: Sequence[Scored], candidates: int
) -> NDArray[np.float64]:
    """Milliseconds of a search of each query with so many candidates, its encoding included."""
    request = SearchRequest(k=DEPTH, candidates=candidates)
    spent = []
    for one in scored:
        start = time.perf_counter()
        searched.engine.search_encoded([one.encoded], request)
        spent.append(one.encode_ms + 1000 * (time.perf_counter() - start))
    return np.array(spent)


def _score(searched: Searched, query: Query, most: int) -> Scored:
    try:
        data = query.photo.read_bytes()
    except OSError as error:
        raise ParameterError(
            f"the query {query.photo} cannot be read ({error.strerror}); paths are relative to "
            "the folder of the CSV"
        ) from error
    start = time.perf_counter()
    [encoded] = searched.engine.encode([QueryPhoto(data)])
    spent = 1000 * (time.perf_counter() - start)
    candidates = Candidates(*searched, [encoded], 0.5, None, Timer())
    [found], _ = candidates.recall([most])
    ranking = candidates.rerank(found, None)
    # Back to the order of stage one, of which K takes the first.
    place = {row: at for at, row in enumerate(ranking.rows.tolist())}
    at = np.array([place[row] for row in found.rows.tolist()], np.int64)
    items = searched.gallery.read_items(found.rows)
    return Scored(
        query,
        encoded,
        np.array([item.product_id for item in items]),
        ranking.global_scores[at],
        ranking.token_scores[at],
        spent,
    )
