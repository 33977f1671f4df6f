"""Labelled queries against one gallery."""

from pathlib import Path

import pytest

from benchmarks.queries import measure
from indexer.engine import open_engine
from indexer.tuning.sweep import Query, read_queries
from model.errors import SourceError
from tests.indexer.fakes import draw_photo
from tests.indexer.test_engine import tiny

__all__ = ["tiny"]


def test_ranks_are_those_of_the_engine(tiny: Path) -> None:
    engine = open_engine(tiny / "index", device="cpu")
    photo = tiny / "photos/05.png"
    ranks, spent = measure(engine, [Query(photo, "05.png"), Query(photo, "nobody")])
    assert ranks == [1, None]
    assert min(spent) > 0


def test_queries_are_found_beside_their_csv(tmp_path: Path) -> None:
    draw_photo(tmp_path / "a.png", 1)
    (tmp_path / "queries.csv").write_text("image,product_id\na.png,p1\n")
    assert read_queries(tmp_path / "queries.csv") == [Query(tmp_path / "a.png", "p1")]


def test_a_csv_of_other_columns_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "queries.csv").write_text("file,label\na.png,p1\n")
    with pytest.raises(SourceError, match="the columns image and product_id"):
        read_queries(tmp_path / "queries.csv")
