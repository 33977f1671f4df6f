"""Tuning: a sweep that agrees with the engine, and a choice that does not flatter itself."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from indexer.cli.app import app
from indexer.gallery import EmbeddedGallery
from indexer.requests import SearchRequest
from indexer.tuning import choose, sweep
from indexer.tuning.choose import Quality, Setting, Tuned, split, tune
from indexer.tuning.sweep import Query, Searched, find_ranks, rank_products, score_queries
from model.encoder import Encoder
from model.errors import ParameterError, SourceError
from tests.indexer.test_engine import tiny

__all__ = ["tiny"]


@pytest.fixture
def searched(tiny: Path) -> Searched:
    gallery = EmbeddedGallery.open(tiny / "index")
    return Searched(gallery, Encoder.from_checkpoint(gallery.checkpoint, "cpu"))


@pytest.fixture
def queries(tiny: Path) -> list[Query]:
    return [Query(photo, photo.name) for photo in sorted((tiny / "photos").iterdir())]


@pytest.mark.parametrize(("candidates", "alpha"), [(24, 0.0), (24, 0.4), (12, 1.0)])
def test_a_swept_setting_finds_what_a_search_finds(
    searched: Searched, queries: list[Query], candidates: int, alpha: float
) -> None:
    for one in score_queries(searched, queries[:4], 24):
        request = SearchRequest(k=10, candidates=candidates, alpha=alpha)
        hits = searched.engine.search_encoded([one.encoded], request).hits
        assert rank_products(one, candidates, alpha) == [hit.item.product_id for hit in hits]


def test_halves_share_no_product() -> None:
    queries = [Query(Path(f"{n}.jpg"), f"p{n % 20}") for n in range(60)]
    halves = split(queries)
    products = [{query.product for query in half} for half in halves]
    assert not products[0] & products[1]
    assert sum(map(len, halves)) == 60
    assert split(queries, seed=1) != halves


def test_too_few_queries_are_refused() -> None:
    with pytest.raises(ParameterError, match="expected at least 8 in each"):
        split([Query(Path("a.jpg"), f"p{n}") for n in range(10)])


def test_the_choice_is_the_best_that_is_in_time(
    searched: Searched, queries: list[Query], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More candidates are better and slower; at 30 ms, 20 of them are what there is time for."""
    monkeypatch.setattr(choose, "COUNTS", (5, 10, 20, 24))
    times = {5: 10.0, 10: 20.0, 20: 30.0, 24: 40.0}
    monkeypatch.setattr(choose, "_p95", lambda searched, scored, k: times[k])
    monkeypatch.setattr(
        choose,
        "find_ranks",
        lambda scored, k, alpha: np.where(np.arange(len(scored)) * 3 < k, 1, 0),
    )
    assert tune(searched, queries, 30.0).chosen.candidates == 20
    assert tune(searched, queries, 25.0).chosen.candidates == 10
    late = tune(searched, queries, 1.0)
    assert (late.chosen.candidates, late.in_time) == (5, False)


def test_the_figures_are_of_queries_that_had_no_say(
    searched: Searched, queries: list[Query], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    original = sweep.score_queries

    def note(searched: Searched, part: list[Query], most: int) -> list[sweep.Scored]:
        asked.append([query.product for query in part])
        return original(searched, part, most)

    monkeypatch.setattr(choose, "score_queries", note)
    found = tune(searched, queries, 1e6)
    assert (found.choosing, found.reporting) == (len(asked[0]), len(asked[1]))
    reporting = original(searched, [q for q in queries if q.product in asked[1]], 24)
    ranks = find_ranks(reporting, found.chosen.candidates, found.chosen.alpha)
    assert found.chosen.r1.value == pytest.approx((ranks == 1).mean())


def write_csv(path: Path, queries: list[Query], product: str | None = None) -> Path:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "product_id"])
        table.writerows([query.photo, product or query.product] for query in queries)
    return path


def run(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, done.stdout, " ".join(done.stderr.split())


def test_the_command_prints_settings_and_draws_the_trade_off(
    tiny: Path, tmp_path: Path, queries: list[Query]
) -> None:
    labelled = write_csv(tmp_path / "q.csv", queries)
    options = ["--index", tiny / "index", "--queries", labelled, "--runtime", "eager"]
    status, said, _ = run("tune", *options, "--p95-ms", 10_000, "--page", tmp_path / "t.html")
    assert status == 0
    assert "-F candidates=" in said
    assert "Chosen on 12 queries, reported on 12 of other products." in said
    assert (tmp_path / "t.html").read_text().count("<svg") == 2
    status, said, _ = run("tune", *options, "--p95-ms", 0.001, "--json")
    found = json.loads(said)
    assert (found["in_time"], found["runtime"]) == (False, "eager")
    assert found["chosen"]["r1"]["low"] <= found["chosen"]["r1"]["value"]


def test_misuse_is_a_sentence(tiny: Path, tmp_path: Path, queries: list[Query]) -> None:
    labelled = write_csv(tmp_path / "q.csv", queries, product="elsewhere")
    options = ["--index", tiny / "index", "--runtime", "eager"]
    status, _, said = run("tune", *options, "--queries", labelled, "--p95-ms", -1)
    assert (status, "expected milliseconds above 0" in said) == (2, True)
    status, _, said = run("tune", *options, "--queries", labelled, "--p95-ms", 50)
    assert (status, "24 queries of 1 products leave 0 in one half" in said) == (2, True)
    missing = write_csv(tmp_path / "m.csv", [Query(Path("gone.jpg"), f"p{n}") for n in range(30)])
    status, _, said = run("tune", *options, "--queries", missing, "--p95-ms", 50)
    assert (status, "gone.jpg cannot be read" in said) == (2, True)
    other = write_csv(tmp_path / "o.csv", [Query(q.photo, f"x{q.product}") for q in queries])
    status, _, said = run("tune", *options, "--queries", other, "--p95-ms", 50)
    assert (status, "no query's product_id is among its candidates" in said) == (2, True)
    (tmp_path / "e.csv").write_text("image,product_id\n")
    with pytest.raises(SourceError, match="lists no queries"):
        sweep.read_queries(tmp_path / "e.csv")


def test_a_gain_that_is_not_proven_is_called_so() -> None:
    from indexer.cli.tune import _sentences

    share = Quality(0.5, 0.4, 0.6)
    one, other = (Setting(k, 0.2, 50.0, share, share) for k in (50, 100))
    found = Tuned([one], one, other, Quality(0.01, -0.02, 0.04), "half", 60.0, True, 20, 20)
    assert "no gain that these queries prove" in _sentences(found)[-1]
    assert "gains 1.0 points" in _sentences(found._replace(gain=Quality(0.01, 0.005, 0.02)))[-1]
    assert "already the best" in _sentences(found._replace(default=one))[-1]
