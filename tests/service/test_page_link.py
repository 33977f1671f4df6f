"""The address bar reproduces the search; a key is asked for where one is needed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from service.app import create_app
from service.settings import Settings
from tests.service.browser import Browser, needs_browser, serving
from tests.service.page_engine import PageEngine

pytestmark = needs_browser

KEY = "a-read-key-of-sixteen-signs-and-more"


def test_a_link_to_an_item_reproduces_the_search(
    browser: Browser, page: str, shop: PageEngine
) -> None:
    link = (
        "item=garment-04.jpg&k=12&alpha=0.25&candidates=50&group_by=product&sort=-price"
        "&filter=price+%3C+45&in.category=Shirts&in.category=Dresses&min.price=12"
    )
    browser.open(f"{page}/?{link}")
    browser.find(".card h3")
    asked = shop.calls[-1]
    assert asked["item_id"] == "garment-04.jpg"
    assert (asked["k"], asked["alpha"], asked["candidates"]) == (12, 0.25, 50)
    assert (asked["group_by"], asked["sort"]) == ("product", "-price")
    assert asked["filter"] == (
        "\"category\" IN ('Shirts', 'Dresses') AND \"price\" >= 12 AND (price < 45)"
    )
    assert browser.run("return location.search.slice(1)").split("&")[0] == "item=garment-04.jpg"
    assert browser.count("input[value=Shirts]:checked") == 1
    titles = (
        "return [...document.querySelectorAll('.card h3')].map((title) => title.textContent).join()"
    )
    before = browser.run(titles)
    browser.open(browser.run("return location.href"))
    browser.find(".card h3")
    assert browser.run(titles) == before


def test_a_link_to_a_photo_works_while_the_service_keeps_it(
    browser: Browser, page: str, photo: Path
) -> None:
    browser.open(page)
    browser.type("#file", str(photo))
    link = browser.wait("return location.search.includes('query=') && location.href")
    browser.open(link)
    assert browser.text(".card h3") == "Garment 00"
    browser.find("#stage:not([hidden])")
    assert browser.text("#query-name") == "The photo of this link"


def test_a_link_to_a_forgotten_photo_asks_for_it(
    browser: Browser, page: str, shop: PageEngine, photo: Path
) -> None:
    browser.open(f"{page}/?query=0123456789abcdef0123456789abcdef&alpha=0.75")
    browser.find("#error:not([hidden])")
    assert "no longer kept; give it again" in browser.text("#error")
    browser.type("#file", str(photo))
    browser.find(".card h3")
    assert shop.calls[-1]["alpha"] == 0.75


def test_settings_without_a_photo_wait_for_one(browser: Browser, page: str) -> None:
    browser.open(f"{page}/?alpha=0.75")
    browser.wait("return document.querySelector('#status').textContent.includes('give the photo')")
    assert browser.count(".card h3") == 0


def test_back_returns_to_the_search_before(browser: Browser, page: str) -> None:
    browser.open(f"{page}/?item=garment-04.jpg")
    browser.find(".card h3")
    browser.hover(".card .photo")
    browser.click(".card .similar")
    browser.wait(
        "return location.search.includes('item=garment-') && !location.search.includes('04')"
    )
    browser.run("history.back()")
    browser.wait("return document.querySelector('#query-name').textContent.includes('garment-04')")
    browser.wait("return location.search === '?item=garment-04.jpg'")
    assert "garment-04" in browser.text("#query-name")


@pytest.fixture
def locked(settings: Settings, shop: PageEngine) -> Iterator[str]:
    """A service that answers only those who have a key."""
    with serving(
        create_app(settings.model_copy(update={"read_keys": SecretStr(KEY)}), shop)
    ) as address:
        yield address


def test_a_key_is_asked_for_once_and_travels_with_photos_too(
    browser: Browser, locked: str, photo: Path
) -> None:
    browser.open(locked)
    browser.find("#key-dialog[open]")
    browser.type("#key-input", "a wrong one\n")
    browser.find("#key-complaint:not([hidden])")
    assert browser.text("#key-complaint") == "The key is not known here; check it."
    browser.type("#key-input", f"{KEY}\n")
    browser.find("#gallery span")
    browser.type("#file", str(photo))
    browser.find(".card h3")
    browser.wait("return document.querySelector('.card img').naturalWidth > 0")
    browser.open(locked)
    browser.find("#gallery span")
    assert browser.count("#key-dialog[open]") == 0


def test_without_a_key_a_sentence_stays(browser: Browser, locked: str) -> None:
    browser.open(locked)
    browser.find("#key-dialog[open]")
    browser.press("\ue00c")
    browser.find("#error:not([hidden])")
    assert "answers only with a key" in browser.text("#error")
