"""The page in a real headless Chromium: upload, sliders, similar items, errors."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI

from service.app import create_app
from service.openapi import render_openapi
from service.settings import Settings
from tests.service.browser import Browser, find_missing_program, open_browser
from tests.service.fake_engine import STRANGE_ID, FakeEngine

pytestmark = pytest.mark.skipif(
    find_missing_program() is not None,
    reason=f"{find_missing_program()} is not installed (Debian: chromium, chromium-driver)",
)


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Run a real server in a thread; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One window for the whole file: starting it takes seconds."""
    with open_browser() as browser:
        yield browser


@pytest.fixture
def address(settings: Settings, engine: FakeEngine) -> Iterator[str]:
    """A real server around the fake engine."""
    engine.metadata["red.jpg"] = {"name": "Scarlet Tee", "price": 19.5}
    with serving(create_app(settings, engine)) as address:
        yield address


@pytest.fixture
def photo(tmp_path: Path, red_photo: bytes) -> Path:
    """A drawn photo on disk."""
    path = tmp_path / "red photo.png"
    path.write_bytes(red_photo)
    return path


def test_an_uploaded_photo_shows_its_hits(browser: Browser, address: str, photo: Path) -> None:
    browser.open(address)
    browser.type("#file", str(photo))
    assert browser.text(".card h3") == "Scarlet Tee"
    assert browser.count(".card") == 5
    assert browser.text(".card .product") == "RED.JPG · 19.50"
    scores = browser.text(".card .scores").split()
    assert scores == ["fused", "1.000", "global", "1.000", "token", "1.000"]
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


def test_sliders_search_again(
    browser: Browser, address: str, engine: FakeEngine, photo: Path
) -> None:
    browser.open(address)
    browser.resize(1440, 900)
    browser.type("#file", str(photo))
    browser.find(".card:nth-child(5)")
    browser.type("#k", "\ue011")  # Home: the smallest value
    browser.find(".card:only-child")
    browser.type("#alpha", "\ue010")  # End: the largest
    browser.click(".choice label:last-of-type")
    assert browser.text("#alpha-value") == "α 1.00"
    browser.type("#k", "\ue014")  # right arrow
    browser.find(".card:nth-child(2)")
    assert engine.calls[-1] == {"k": 2, "alpha": 1.0, "group_by": "product"}


def test_a_hit_leads_to_similar_items(browser: Browser, address: str, photo: Path) -> None:
    browser.open(address)
    browser.type("#file", str(photo))
    browser.click(".card .photo")
    browser.find(".card:last-child:nth-child(4)")
    assert browser.text("#drop-title") == "Similar to Scarlet Tee"
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


@pytest.mark.parametrize("width", [360, 1440])
def test_nothing_is_wider_than_the_window(
    browser: Browser, address: str, photo: Path, width: int
) -> None:
    browser.resize(width, 800)
    browser.open(address)
    browser.type("#file", str(photo))
    browser.find(".card .photo")
    overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.run(overflow) == 0


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


def test_every_control_has_a_name_for_screen_readers(
    browser: Browser, address: str, photo: Path
) -> None:
    browser.resize(1440, 900)
    browser.open(address)
    browser.type("#file", str(photo))
    browser.find(".card .photo")
    names = browser.name_controls("input, button, summary:not(.adjust > *), a")
    assert "Rank 1: find items similar to Scarlet Tee" in names
    assert [name for name in names if not name.strip()] == []


def test_docs_list_every_endpoint_without_the_internet(browser: Browser, address: str) -> None:
    browser.open(f"{address}/docs")
    browser.find(".endpoint")
    operations = [
        method for path in json.loads(render_openapi())["paths"].values() for method in path
    ]
    assert browser.count(".endpoint") == len(operations)
    assert f"curl -F image=@photo.jpg -F k=5 {address}/search" in browser.text("#endpoints")
    assert browser.severe_logs() == []
