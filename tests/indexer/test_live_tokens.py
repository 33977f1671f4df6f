"""Tokens that come into memory after a gallery was opened."""

import numpy as np
import pytest

from indexer.live import LiveGallery
from tests.indexer.live import item, open_gallery, read_state


@pytest.fixture
def live(index) -> LiveGallery:
    return open_gallery(index, tokens_at_once_mb=0)


def test_a_gallery_opens_before_its_tokens_are_in_memory(live):
    before = read_state(live.current())
    assert not live.current().has_resident_tokens
    assert live.load_tokens()
    assert live.current().has_resident_tokens
    assert read_state(live.current()) == before


def test_tokens_are_loaded_once(live):
    assert live.load_tokens()
    assert not live.load_tokens()


def test_tokens_beyond_the_budget_stay_on_disk(index):
    live = open_gallery(index, tokens_at_once_mb=0, token_budget_mb=0)
    assert not live.load_tokens()
    assert not live.current().has_resident_tokens


def test_what_is_written_while_tokens_are_loaded_is_in_them(live, monkeypatch):
    from indexer import live as module

    original = module.load_tokens

    def write_meanwhile(snapshot, is_stopped):
        found = original(snapshot, is_stopped)
        live.add([item("new", 77)])
        live.replace([item(live.current().read_items(snapshot.rows()[:1])[0].item_id, 78)])
        live.remove([live.current().read_items(snapshot.rows()[1:2])[0].item_id])
        return found

    monkeypatch.setattr(module, "load_tokens", write_meanwhile)
    assert live.load_tokens()
    loaded = read_state(live.current())
    assert live.current().has_resident_tokens
    other = open_gallery(live.current().root, token_budget_mb=0)
    assert read_state(other.current()) == loaded
    live.add([item("later", 79)])
    assert np.isin(live.current().find_row("later"), live.current().rows())


def test_a_gallery_that_closes_stops_loading(live):
    live.close()
    assert not live.load_tokens()
    assert not live.current().has_resident_tokens


def test_a_thread_loads_them(index, encoder):
    with open_gallery(index, background=True, tokens_at_once_mb=0) as live:
        loaded = live.tasks()["tokens"]
        while loaded.last_success is None:
            assert loaded.error is None
            loaded = live.tasks()["tokens"]
        assert live.current().has_resident_tokens
