"""The queries that went worst, with what was found instead."""

import base64
import io
from typing import NamedTuple

import numpy as np

from model.data.reading import read_photo
from model.data.records import Photo, RetrievalSet
from model.evaluation.embedding import ReadPhoto
from model.evaluation.results import Evaluation

SIDE = 120
_QUALITY = 80


class Miss(NamedTuple):
    """A query, the item it wanted and its rank, and the first hits; pictures are data URIs."""

    item: str
    rank: int
    query: str
    wanted: str
    found: tuple[tuple[str, str], ...]


def find_misses(
    evaluation: Evaluation,
    retrieval: RetrievalSet,
    *,
    count: int = 12,
    shown: int = 3,
    read: ReadPhoto = read_photo,
) -> list[Miss]:
    """The queries whose first relevant item ranks lowest, worst first."""
    hits = evaluation.hits
    if hits is None:
        return []
    order = np.argsort(-hits.best_rank, kind="stable")[:count]
    gallery, misses = retrieval.gallery, []
    for query in order[hits.best_rank[order] > 1]:
        asked = retrieval.queries[query]
        places = [int(place) for place in hits.places[query, :shown]]
        found = tuple((gallery[p].item, make_thumbnail(gallery[p], read)) for p in places)
        wanted = make_thumbnail(gallery[hits.best_place[query]], read)
        rank = int(hits.best_rank[query])
        misses.append(Miss(asked.item, rank, make_thumbnail(asked, read), wanted, found))
    return misses


def make_thumbnail(photo: Photo, read: ReadPhoto = read_photo) -> str:
    """A small JPEG of the photo, as a data URI."""
    image = read(photo).convert("RGB")
    image.thumbnail((SIDE * 2, SIDE * 2))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
