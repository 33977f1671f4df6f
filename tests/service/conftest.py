"""Clients around a fake engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.service.browser import Browser, open_browser, serving
from tests.service.fake_engine import FakeEngine, draw_photo
from tests.service.page_engine import PageEngine


@pytest.fixture
def settings() -> Settings:
    """Settings that never look at a folder: the engine is handed in."""
    return Settings(index_dir=Path("unused"), max_upload_mb=1)


@pytest.fixture
def engine() -> FakeEngine:
    """A gallery of five flat colours."""
    return FakeEngine()


@pytest.fixture
def client(settings: Settings, engine: FakeEngine) -> Iterator[TestClient]:
    """A client of an app around the fake engine."""
    with TestClient(create_app(settings, engine)) as client:
        yield client


@pytest.fixture
def red_photo() -> bytes:
    """A photo that is exactly the colour of `red.jpg`."""
    return draw_photo((255, 0, 0))


@pytest.fixture(scope="session")
def window() -> Iterator[Browser]:
    """One window for all files: starting it takes seconds."""
    with open_browser() as browser:
        yield browser


@pytest.fixture
def browser(window: Browser) -> Browser:
    """The window, wide and light, with nothing remembered and the mouse away."""
    window.resize(1440, 900)
    window.prefer("light")
    window.park()
    return window


@pytest.fixture
def shop() -> PageEngine:
    """A gallery of forty garments with columns, facets and matched regions."""
    return PageEngine()


@pytest.fixture
def page(settings: Settings, shop: PageEngine) -> Iterator[str]:
    """The address of a real server around the forty garments."""
    with serving(create_app(settings, shop)) as address:
        yield address


@pytest.fixture
def photo(tmp_path: Path, red_photo: bytes) -> Path:
    """A drawn photo on disk."""
    path = tmp_path / "red photo.png"
    path.write_bytes(red_photo)
    return path
