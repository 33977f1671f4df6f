"""`python -m benchmarks milvus` times the same searches over both galleries."""

from benchmarks.milvus import measure
from tests.indexer.contract.conftest import Shop


def test_every_figure_is_there_and_the_server_is_asked_once_a_search(shop: Shop) -> None:
    found = measure(*shop.engines.values(), 2)
    assert found["queries"] == 2
    assert all(found[f"{name}_ms"] > 0 for name in ("embedded", "milvus", "bare", "inside"))
    # One call: what the search spends in the client cannot be more than the search.
    assert found["inside_ms"] <= found["milvus_ms"]
