"""Attributes of a living gallery: what changes shows at once, what is learned lasts."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from indexer.attribute_cache import count_bytes
from indexer.attribute_files import add_learned
from indexer.attribute_warmup import WarmUp
from indexer.checkpoint import GivenEncoder
from indexer.gallery import EmbeddedGallery
from indexer.live_engine import LiveEngine
from indexer.live_types import LiveOptions
from indexer.requests import SearchRequest
from model.attributes.heads import save_heads
from model.errors import (
    AttributePendingError,
    CheckpointError,
    GalleryBusyError,
    GalleryMismatchError,
    ItemNotFoundError,
    ParameterError,
)
from tests.indexer.aligner import Aligner
from tests.indexer.fakes import FakeEncoder
from tests.indexer.garments import build_garments, draw_garment, garment, make_heads
from tests.indexer.live import QUIET

EXAMPLES = {"rr": "red", "gr": "red", "br": "red", "rg": "other", "gb": "other", "bg": "other"}


def open_live(index: Path, **options: Any) -> LiveEngine:
    return LiveEngine(index, GivenEncoder(Aligner()), LiveOptions(**{**QUIET, **options}))


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return build_garments(tmp_path)


@pytest.fixture
def live(index: Path) -> Any:
    with open_live(index) as engine:
        yield engine


def tops(live: LiveEngine, look: str, k: int, version: int | None = None) -> set[str]:
    """The `k` items whose top is most alike."""
    request = SearchRequest(k=k, attributes={"top": 1.0})
    hits = live.engine(version).search(draw_garment(look), request).hits
    return {hit.item.item_id for hit in hits}


def test_added_replaced_and_removed_items_show_in_the_next_search(live: LiveEngine) -> None:
    assert tops(live, "rw", 3) == {"rr", "rg", "rb"}
    live.add([garment("new", "rw")])
    assert tops(live, "rw", 4) == {"rr", "rg", "rb", "new"}
    live.replace([garment("rr", "gr")])
    assert tops(live, "rw", 3) == {"rg", "rb", "new"}
    assert tops(live, "gw", 4) == {"gr", "gg", "gb", "rr"}
    live.remove(["rg"])
    live.add([garment("rg", "bb"), garment("late", "rb")])
    assert tops(live, "rw", 3) == {"rb", "new", "late"}
    live.maintain(force=True)
    live.remove(["late"])
    assert tops(live, "rw", 2) == {"rb", "new"}
    assert len(live.engine()._gallery) == 10


def test_only_what_changed_is_embedded_again(live: LiveEngine, monkeypatch: Any) -> None:
    seen: list[int] = []
    heads = type(live.engine()._gallery.attributes.find("top"))
    embed = heads.embed

    def count(self: Any, name: str, tokens: Any, *rest: Any) -> Any:
        seen.append(len(tokens))
        return embed(self, name, tokens, *rest)

    monkeypatch.setattr(heads, "embed", count)
    for change in (
        lambda: None,
        lambda: live.add([garment("a", "rr"), garment("b", "gg")]),
        lambda: live.remove(["a"]),
        lambda: live.maintain(force=True),
        lambda: live.replace([garment("b", "rr")]),
    ):
        change()
        tops(live, "rw", 1)
    # One image a query; then nine items, two, none, none, one.
    assert seen == [1, 9, 1, 2, 1, 1, 1, 1]
    assert live.stats().bytes_resident > live._gallery._history.num_bytes()


def test_a_first_use_goes_on_after_the_deadline_and_says_so(
    live: LiveEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads, may_end = type(live.engine()._gallery.attributes.find("top")), threading.Event()
    embed, seen = heads.embed, list[int]()

    def embed_slowly(self: Any, name: str, tokens: Any, *rest: Any) -> Any:
        if len(tokens) > 1:
            seen.append(len(tokens))
            assert may_end.wait(60)
        return embed(self, name, tokens, *rest)

    monkeypatch.setattr(heads, "embed", embed_slowly)
    hurried = SearchRequest(k=3, attributes={"top": 1.0}, deadline=time.monotonic())
    for _ in range(2):
        with pytest.raises(AttributePendingError, match="'top' is being prepared"):
            live.engine().search(draw_garment("rw"), hurried)
    may_end.set()
    assert tops(live, "rw", 3) == {"rr", "rg", "rb"}
    result = live.engine().search(draw_garment("rw"), hurried)
    assert {hit.item.item_id for hit in result.hits} == {"rr", "rg", "rb"}
    assert not result.reranked
    assert seen == [9]


@pytest.mark.parametrize("names", [("top", "bottom"), ("top",), ()])
def test_what_fits_the_budget_is_embedded_before_anybody_asks(
    live: LiveEngine, names: tuple[str, ...]
) -> None:
    gallery = live.engine()._gallery
    assert isinstance(gallery, EmbeddedGallery)
    each = count_bytes(9, gallery.attributes.find("top").width("top"))
    gallery.embeddings.budget_bytes = len(names) * each + 1
    warming = WarmUp()
    warming.run(gallery)
    assert gallery.embeddings.names == names
    gallery.embeddings._entries.clear()
    warming.run(gallery)
    assert gallery.embeddings.names == ()


def test_attributes_are_warmed_up_by_an_open_gallery(index: Path) -> None:
    with open_live(index, background=True, watch_s=0.01) as live:
        until = time.monotonic() + 60
        while len(live._gallery.current().embeddings.names) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert live._gallery.current().embeddings.names == ("top", "bottom")


def test_an_earlier_version_keeps_its_items(live: LiveEngine) -> None:
    version = live.add([garment("new", "rw")]).version
    live.replace([garment("new", "bb"), garment("rr", "bb")])
    assert tops(live, "rw", 2) == {"rg", "rb"}
    assert tops(live, "rw", 4, version) == {"rr", "rg", "rb", "new"}
    assert tops(live, "bw", 5) == {"br", "bg", "bb", "new", "rr"}


def test_what_another_process_changed_is_taken_over(live: LiveEngine, index: Path) -> None:
    assert tops(live, "rw", 3) == {"rr", "rg", "rb"}
    with open_live(index) as other:
        other.replace([garment("rr", "gg")])
        other.add_attribute("red_below", EXAMPLES)
    assert live.reload()
    assert tops(live, "rw", 2) == {"rg", "rb"}
    assert "red_below" in [each.name for each in live.engine().attributes()]
    assert not live.reload()


def test_an_attribute_is_learned_and_searched_by_at_once(live: LiveEngine, index: Path) -> None:
    described = live.add_attribute("red_below", EXAMPLES)
    assert (described.values, described.num_examples) == (("other", "red"), 6)
    assert (described.learned, described.quality) == (True, None)
    assert described in live.engine().attributes()
    for engine in (live, open_live(index)):  # the second is a restart
        request = SearchRequest(k=9, attributes={"red_below": 1.0})
        hits = engine.engine().search(draw_garment("wr"), request).hits
        assert {hit.item.item_id for hit in hits[:3]} == {"rr", "gr", "br"}
    live.add([garment("new", "ww")])
    live.remove_attribute("red_below")
    assert [each.name for each in live.engine().attributes()] == ["top", "bottom"]
    with pytest.raises(ParameterError, match="no attribute 'red_below'; known are: top, bottom"):
        live.engine().search(draw_garment("wr"), request)


def test_learned_anew_under_one_name_means_the_new_examples(live: LiveEngine) -> None:
    request = SearchRequest(k=3, attributes={"mark": 1.0})
    for examples, expected in (
        (EXAMPLES, {"rr", "gr", "br"}),
        ({item[::-1]: value for item, value in EXAMPLES.items()}, {"rr", "rg", "rb"}),
    ):
        live.add_attribute("mark", examples)
        hits = live.engine().search(draw_garment("rr"), request).hits
        assert {hit.item.item_id for hit in hits} == expected
        live.remove_attribute("mark")


@pytest.mark.parametrize(
    ("name", "examples", "error", "sentence"),
    [
        ("top", EXAMPLES, ParameterError, "'top' already"),
        ("A B", EXAMPLES, ParameterError, "cannot be called 'A B'"),
        ("mark", {}, ParameterError, "'mark' has no examples"),
        ("mark", {"rr": "a", "gg": "b"}, ParameterError, "2 examples; expected 4 or more"),
        ("mark", dict.fromkeys(EXAMPLES, "a"), ParameterError, "the same value"),
        ("mark", {**EXAMPLES, "none": "red"}, ItemNotFoundError, r"no item of 1 .* \(none\)"),
        ("mark", dict.fromkeys(map(str, range(2001)), "a"), ParameterError, "at most 2000"),
    ],
)
def test_examples_that_cannot_teach_are_a_sentence(
    live: LiveEngine, name: str, examples: dict[str, str], error: type, sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        live.add_attribute(name, examples)
    assert [each.name for each in live.engine().attributes()] == ["top", "bottom"]


def test_a_gallery_without_attributes_cannot_learn_one(tmp_path: Path) -> None:
    with (
        open_live(build_garments(tmp_path, attributes=None)) as live,
        pytest.raises(GalleryMismatchError, match="no attributes of its checkpoint"),
    ):
        live.add_attribute("mark", EXAMPLES)


def test_a_busy_folder_learns_nothing(live: LiveEngine, index: Path) -> None:
    from indexer.files import lock_for_writing

    with lock_for_writing(index), pytest.raises(GalleryBusyError):
        live.add_attribute("mark", EXAMPLES)
    assert not list((index / "attributes").glob("learned-*"))


def test_damaged_attributes_leave_searches_and_writes_as_they_were(
    live: LiveEngine, index: Path
) -> None:
    bad = index / "attributes/learned-bad.safetensors"
    bad.write_bytes(b"torn")
    with pytest.raises(CheckpointError, match=r"learned-bad\.safetensors"):
        live.reload()
    live.add([garment("new", "rw")])
    assert tops(live, "rw", 4) == {"rr", "rg", "rb", "new"}
    save_heads(make_heads("bad", encoder=FakeEncoder("another")), bad)
    with pytest.raises(GalleryMismatchError, match="read tokens of checkpoint"):
        live.reload()
    bad.unlink()
    assert not live.reload()


def test_the_watcher_notices_a_file_that_was_put_there(index: Path) -> None:
    with open_live(index, background=True, watch_s=0.02) as live:
        add_learned(index / "attributes", Aligner().fingerprint, make_heads("left"))
        for _ in range(500):
            if len(live.engine().attributes()) == 3:
                break
            threading.Event().wait(0.02)
        assert [each.name for each in live.engine().attributes()] == ["top", "bottom", "left"]


def test_searches_beside_writes_always_see_one_whole_state(live: LiveEngine) -> None:
    """Whatever is there with a red top is alike, and everything else is not."""

    def search() -> None:
        for _ in range(15):
            engine = live.engine()
            request = SearchRequest(k=1000, attributes={"top": 1.0})
            hits = engine.search(draw_garment("rw"), request).hits
            assert len(hits) == len(engine._gallery)
            for hit in hits:
                red = engine.item(hit.item.item_id).metadata["price"] == 7.0
                assert (hit.scores.attributes["top"] > 0.9) == red, hit

    for name in ("rr", "rg", "rb"):
        live.replace([garment(name, metadata={"price": 7})])
    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(search) for _ in range(3)]
        for step in range(8):
            look, price = ("rb", 7) if step % 2 else ("gb", 1)
            live.add([garment(f"n{step}", look, metadata={"price": price})])
            live.replace([garment("n0", look, metadata={"price": price})])
            if step % 3 == 2:
                live.remove([f"n{step - 1}"])
        for each in running:
            each.result()
