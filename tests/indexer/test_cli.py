"""Commands print results to stdout, sentences to stderr, and exit 0, 1, 2 or 130."""

import json
import sys
from types import ModuleType

import pytest
from typer.testing import CliRunner

from indexer.cli.app import app
from indexer.requests import QueryPhoto, SearchRequest
from indexer.results import GalleryStamp, Hit, Item, Scores, SearchResult
from tests.indexer.conftest import read_content
from tests.indexer.fakes import FakeEncoder, draw_photo


@pytest.fixture(autouse=True)
def fake_network(monkeypatch):
    def create(target, **_):
        target.write_bytes(b"weights")

    monkeypatch.setattr(
        "indexer.checkpoint.load_encoder", lambda path, device, runtime: FakeEncoder()
    )
    monkeypatch.setattr("model.fit.create_checkpoint", create)


def run(*arguments, **environment):
    return CliRunner().invoke(app, [str(word) for word in arguments], env=environment)


@pytest.fixture
def built(photos, tmp_path):
    assert run("build", photos, "--index", tmp_path / "built").exit_code == 0
    return tmp_path / "built"


def test_build_says_what_it_did_and_what_the_weights_can(photos, tmp_path):
    result = run("build", photos, "--index", tmp_path / "index")
    assert "Indexed 20 photos" in result.stdout
    assert "not trained for retrieval (mean colours)" in result.stderr
    again = run("build", photos, "--index", tmp_path / "index")
    assert (again.exit_code, "up to date: 20 items" in again.stdout) == (0, True)


def test_the_index_can_come_from_the_environment(photos, tmp_path):
    result = run("build", photos, SELVEDGE_INDEX_DIR=str(tmp_path / "index"))
    assert result.exit_code == 0
    assert len(read_content(tmp_path / "index")) == 20


@pytest.mark.parametrize("command", ["build", "add", "info", "verify", "remove"])
def test_json_goes_to_stdout_alone(photos, built, command):
    words = {"build": [photos], "add": [photos], "remove": ["part0/0000.jpg"]}.get(command, [])
    result = run(command, *words, "--index", built, "--json")
    assert result.exit_code == 0
    facts = json.loads(result.stdout)
    assert facts["items"] == (19 if command == "remove" else 20)


def test_add_and_remove_count(photos, built):
    draw_photo(photos / "new.jpg", 70)
    (photos / "bad.jpg").write_bytes(b"broken")
    added = run("add", photos, "--index", built)
    assert "Added 1, updated 0, unchanged 20" in added.stdout
    assert "1 photos could not be read; see" in added.stderr.replace("\n", " ")
    assert "holds 20 items" in run("remove", "new.jpg", "--index", built).stdout


def test_info_shows_the_facts(built):
    output = run("info", "--index", built).stdout
    assert "items                  20" in output
    assert "mean colours" in output


def test_verify_fails_when_there_is_a_problem(photos, built):
    assert run("verify", "--index", built).exit_code == 0
    draw_photo(photos / "part0" / "0000.jpg", 99)
    result = run("verify", "--index", built)
    assert result.exit_code == 1
    assert "photo of item part0/0000.jpg changed" in result.stdout


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["build", "{tmp}/nowhere", "--index", "{tmp}/i"], 1, "nowhere does not exist"),
        (["build", "{photos}", "--index", "{built}", "--preset", "tiny"], 1, "other weights"),
        (["build", "{photos}", "--index", "{tmp}/i", "--workers", "0"], 2, "expected 1 or more"),
        (["build", "{photos}", "--index", "{tmp}/i", "--init", "x"], 2, "--init x is neither"),
        (["build", "{photos}"], 2, "--index"),
        (["build", "{photos}", "--index", "{tmp}/i", "--workers", "many"], 2, "as an integer"),
        (["build", "{photos}", "--index", "{photos}"], 1, "holds files that are no index"),
        (["add", "{photos}", "--index", "{tmp}/i"], 1, "there is no index at"),
        (["remove", "x", "--index", "{built}"], 1, "no item of 1 of these ids (x)"),
        (["info", "--index", "{photos}"], 1, "is not an index"),
        (["verify", "--index", "{tmp}/i"], 1, "there is no index at"),
        (["frobnicate"], 2, "frobnicate"),
    ],
)
def test_misuse_and_failure_end_in_a_sentence(photos, built, tmp_path, words, code, sentence):
    places = {"photos": photos, "built": built, "tmp": tmp_path}
    result = run(*(word.format(**places) for word in words))
    assert result.exit_code == code
    assert sentence in " ".join(result.stderr.split())
    assert "Traceback" not in result.output


def test_ctrl_c_is_answered_with_a_sentence(photos, tmp_path, monkeypatch):
    def interrupt(self, prepared):
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeEncoder, "encode", interrupt)
    result = run("build", photos, "--index", tmp_path / "index")
    assert result.exit_code == 130
    assert "Interrupted; what was committed is kept" in result.stderr


class FakeEngine:
    """Answers every search with one item and remembers how it was asked."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def search(self, query, request):
        self.asked.append((query, request))
        hit = Hit(1, Item("a.jpg", "P1", "a.jpg", {"price": 5.0}), Scores(0.5, 0.25, 0.375))
        return SearchResult([hit], {"total": 1.0}, GalleryStamp(3, 20, "f" * 64))

    def search_item(self, item_id, request):
        return self.search(item_id, request)

    def info(self):
        return FakeEncoder()

    def close(self):
        self.asked.append("closed")


@pytest.fixture
def engine(monkeypatch):
    engine, module = FakeEngine(), ModuleType("indexer.engine")
    module.open_engine = lambda index, **how: engine
    monkeypatch.setitem(sys.modules, "indexer.engine", module)
    return engine


def test_search_prints_a_table(engine, photos):
    result = run("search", photos / "part0" / "0000.jpg", "--index", "i")
    header, hit = result.stdout.strip().splitlines()
    assert header.split() == ["rank", "fused", "global", "token", "item", "product"]
    assert hit.split() == ["1", "0.3750", "0.5000", "0.2500", "a.jpg", "P1"]


def test_search_passes_what_it_is_told(engine):
    result = run(
        "search", "--item", "b.jpg", "--index", "i", "-k", 3, "--candidates", 50,
        "--aligned", 20,
        "--alpha", 0.2, "--group-by", "product", "--min-confidence", 0.9,
        "--filter", "price < 60", "--exclude-product", "p1", "--exclude-product", "p2",
        "--exclude-item", "c.jpg", "--sort=-price", "--offset", 6,
    )  # fmt: skip
    assert result.exit_code == 0
    request = SearchRequest(
        k=3, offset=6, candidates=50, aligned=20, alpha=0.2, group_by="product", min_confidence=0.9,
        filter="price < 60", exclude_products=("p1", "p2"), exclude_items=("c.jpg",),
        sort="-price",
    )  # fmt: skip
    assert engine.asked == [("b.jpg", request), "closed"]


def test_search_looks_at_the_box(engine, photos):
    photo = photos / "part0" / "0000.jpg"
    run("search", photo, "--index", "i", "--box", 0, 0.25, 0.5, 1)
    query = QueryPhoto(photo.read_bytes(), (0.0, 0.25, 0.5, 1.0))
    assert engine.asked == [([query], SearchRequest()), "closed"]


def test_search_shows_confidence_where_it_is_known(engine, photos, monkeypatch):
    hit = Hit(1, Item("a.jpg", "P1", "a.jpg"), Scores(0.5, 0.25, 0.375), 0.875)
    found = SearchResult([hit], {"total": 1.0}, GalleryStamp(3, 20, "f" * 64))
    monkeypatch.setattr(engine, "search", lambda *_: found)
    header, line = run("search", "--item", "b", "--index", "i").stdout.strip().splitlines()
    assert header.split()[4] == "confidence"
    assert line.split()[4] in ("0.88", "0.87")


def test_search_says_when_no_hit_is_confident(engine, photos, monkeypatch):
    found = SearchResult([], {}, GalleryStamp(3, 20, "f" * 64), no_confident_match=True)
    monkeypatch.setattr(engine, "search", lambda *_: found)
    result = run("search", "--item", "b", "--index", "i", "--min-confidence", 0.9)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no hit is at least 0.9 probable" in result.stderr


def test_search_prints_json_as_the_service_does(engine, photos):
    result = run("search", photos / "part0" / "0000.jpg", "--index", "i", "--json")
    assert json.loads(result.stdout) == {
        "hits": [
            {
                "rank": 1,
                "item_id": "a.jpg",
                "product_id": "P1",
                "uri": "a.jpg",
                "metadata": {"price": 5.0},
                "scores": {
                    "global": 0.5,
                    "token": 0.25,
                    "fused": 0.375,
                    "attributes": {},
                    "combined": None,
                },
                "confidence": None,
            }
        ],
        "no_confident_match": False,
        "timings_ms": {"total": 1.0},
        "gallery": {"version": 3, "items": 20, "fingerprint": "f" * 64},
    }


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([], 2, "give either a photo or --item"),
        (["a.jpg", "--item", "b"], 2, "give either a photo or --item"),
        (["--item", "b", "-k", "0"], 2, "k is 0; expected a whole number from 1 to 1000"),
        (["--item", "b", "--box", "0", "0", "1", "1"], 2, "--box is a part of a photo"),
        (["nowhere.jpg"], 1, "nowhere.jpg cannot be read"),
        (["--item", "b", "--group-by", "colour"], 2, "colour"),
    ],
)
def test_search_misused_ends_in_a_sentence(engine, words, code, sentence):
    result = run("search", *words, "--index", "i")
    assert result.exit_code == code
    assert sentence in " ".join(result.stderr.split())


@pytest.mark.parametrize("command", ["build", "add", "remove", "search", "info", "verify"])
def test_every_help_shows_an_example(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"python -m indexer {command}" in " ".join(result.stdout.split())
    assert "Example" in result.stdout
