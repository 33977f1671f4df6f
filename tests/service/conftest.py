"""Clients around a fake engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.service.fake_engine import FakeEngine, draw_photo


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
