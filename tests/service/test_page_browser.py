"""The page in a real headless Chromium: upload, sliders, similar items, errors."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.app import create_app
from service.openapi import render_openapi
from service.settings import Settings
from tests.service.browser import Browser, needs_browser, serving, watch_sources
from tests.service.fake_engine import STRANGE_ID, FakeEngine

pytestmark = needs_browser


@pytest.fixture
def address(settings: Settings, engine: FakeEngine) -> Iterator[str]:
    """A real server around the fake engine."""
    engine.metadata["red.jpg"] = {"name": "Scarlet Tee", "price": 19.5}
    with serving(create_app(settings, engine)) as address:
        yield address


def test_an_uploaded_photo_shows_its_hits(browser: Browser, address: str, photo: Path) -> None:
    browser.open(address)
    browser.type("#file", str(photo))
    assert browser.text(".card h3") == "Scarlet Tee"
    assert browser.count(".card") == 5
    assert browser.text(".card .product") == "RED.JPG · 19.50"
    assert browser.text(".card .trust") == "score 1.000"
    assert browser.text("#status") == "5 hits, best first."
    assert browser.severe_logs() == []


def test_thumbnails_of_strange_ids_are_drawn(browser: Browser, address: str, photo: Path) -> None:
    browser.open(address)
    browser.type("#file", str(photo))
    browser.find(".card .photo")
    loaded = browser.run(
        "const images = [...document.querySelectorAll('.card img')];"
        "images.forEach((image) => (image.loading = 'eager'));"
        "return Promise.all(images.map((image) => image.decode())).then(() => images.length)"
    )
    assert loaded == 5
    assert STRANGE_ID in browser.run("return document.querySelector('#grid').textContent")


def test_a_text_file_shows_an_error_sentence(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("Dear shop, where is my parcel?")
    browser.open(address)
    browser.type("#file", str(notes))
    browser.find("#error:not([hidden]) small")
    message = browser.text("#error")
    assert "not an image" in message
    assert "Request " in message
    assert browser.count(".card") == 0


def test_a_photo_over_the_limit_is_refused_before_the_upload(
    browser: Browser, address: str, engine: FakeEngine, tmp_path: Path
) -> None:
    large = tmp_path / "large.jpg"
    large.write_bytes(bytes(1_600_000))
    browser.open(address)
    browser.find("#gallery span")
    browser.type("#file", str(large))
    browser.find("#error:not([hidden])")
    assert browser.text("#error") == "large.jpg has 1.5 MB; the service takes up to 1 MB."
    assert engine.calls == []


def test_sliders_search_again_without_the_photo(
    browser: Browser, address: str, engine: FakeEngine, photo: Path
) -> None:
    browser.open(address)
    watch_sources(browser)
    browser.type("#file", str(photo))
    browser.find(".card:nth-child(5) h3")
    assert "alpha" not in engine.calls[-1]
    browser.type("#alpha", "\ue010")  # End: the largest
    browser.type("#candidates", "\ue011")  # Home: the smallest
    browser.wait("return location.search.includes('candidates=10')")
    assert browser.text("#alpha-value") == "only the whole look"
    assert browser.text("#candidates-value") == "the 10 nearest"
    assert (engine.calls[-1]["alpha"], engine.calls[-1]["candidates"]) == (1.0, 10)
    sources = browser.run("return sources")
    assert (sources[0], set(sources[1:])) == ("image", {"query_id"})


def test_a_hit_leads_to_similar_items(browser: Browser, address: str, photo: Path) -> None:
    browser.open(address)
    browser.type("#file", str(photo))
    browser.find(".card")
    browser.hover(".card .photo")
    browser.click(".card .similar")
    browser.find(".card:last-child:nth-child(4)")
    assert browser.text("#query-name") == "Similar to Scarlet Tee"
    assert browser.text(".card h3") == "tops/brick.jpg"


@pytest.mark.parametrize("trained", [True, False])
def test_untrained_weights_are_admitted(
    browser: Browser, address: str, engine: FakeEngine, trained: bool
) -> None:
    engine.trained = trained
    browser.open(address)
    browser.find("#gallery span")
    notice = browser.text("#notice")
    assert ("not trained for retrieval (drawn by hand)" in notice) != trained


def test_the_page_waits_for_a_gallery_that_loads(
    browser: Browser, settings: Settings, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_load = threading.Event()

    def open_slowly(settings: Settings) -> FakeEngine:
        assert may_load.wait(20)
        return FakeEngine({"blue.jpg": (0, 0, 255)})

    monkeypatch.setattr("service.app._open_gallery", open_slowly)
    with serving(create_app(settings)) as address:
        browser.open(address)
        browser.type("#file", str(photo))
        assert "still loading" in browser.text("#status")
        may_load.set()
        assert browser.text(".card h3") == "blue.jpg"


def test_docs_list_every_endpoint_without_the_internet(browser: Browser, address: str) -> None:
    browser.open(f"{address}/docs")
    browser.find(".endpoint")
    operations = [
        method for path in json.loads(render_openapi())["paths"].values() for method in path
    ]
    assert browser.count(".endpoint") == len(operations)
    assert f"curl -F image=@photo.jpg -F k=5 {address}/search" in browser.text("#endpoints")
    assert browser.severe_logs() == []
