"""The results on the page: filters, groups, sorting, paging, and what is said about them."""

from pathlib import Path

import pytest

from tests.service.browser import Browser, needs_browser
from tests.service.page_engine import PageEngine

pytestmark = needs_browser

NEWEST_TITLE = "return document.querySelector('.card h3')?.textContent"


def start(browser: Browser, page: str, photo: Path) -> None:
    """Search with the red photo: Garment 00 is the best hit."""
    browser.open(page)
    browser.type("#file", str(photo))
    browser.find(".card:nth-child(10) h3")


def test_ticked_values_and_ranges_filter(
    browser: Browser, page: str, shop: PageEngine, photo: Path
) -> None:
    start(browser, page, photo)
    assert browser.text("#facets .tick").split() == ["Dresses", "10"]
    browser.click("input[value=Jackets]")
    browser.wait(f"{NEWEST_TITLE} === 'Garment 01'")
    browser.click("input[value=Skirts]")
    browser.run(
        "document.querySelectorAll('#facets details').forEach((part) => (part.open = true))"
    )
    browser.type("input[aria-label='Price, at least']", "20")
    browser.type("input[aria-label='Price, at most']", "30.5")
    browser.wait(f"{NEWEST_TITLE} === 'Garment 11'")
    # The lower end alone leaves more of them: its answer may come in between.
    browser.wait("return document.querySelectorAll('.card').length === 5")
    wanted = '"category" IN (\'Jackets\', \'Skirts\') AND "price" >= 20 AND "price" <= 30.5'
    browser.wait("return !document.querySelector('.busy')")
    assert shop.calls[-1]["filter"] == wanted
    assert browser.count(".card") == 5
    # What is not ticked can still be ticked.
    assert browser.count("#facets .tick input[value=Dresses]") == 1
    browser.click("#clear-filters")
    browser.find(".card:nth-child(10) h3")


def test_ticking_keeps_the_keyboard_where_it_was(browser: Browser, page: str, photo: Path) -> None:
    start(browser, page, photo)
    browser.type("input[value=Jackets]", " ")
    browser.wait(f"{NEWEST_TITLE} === 'Garment 01'")
    assert browser.run("return document.activeElement.value") == "Jackets"


def test_an_experts_filter_and_its_error(
    browser: Browser, page: str, photo: Path, shop: PageEngine
) -> None:
    start(browser, page, photo)
    browser.click("#expert-box summary")
    browser.type("#expert", "colour = 'red'")
    browser.find("#expert-error:not([hidden])")
    assert "'colour'" in browser.text("#expert-error")
    assert "name, category, price, sale" in browser.text("#expert-error")
    assert browser.count(".card") == 10
    browser.run("document.querySelector('#expert').value = ''")
    browser.type("#expert", "price > 48")
    browser.find(".card:only-child")
    assert shop.calls[-1]["filter"] == "price > 48"
    assert browser.count("#expert-error:not([hidden])") == 0


def test_nothing_found_says_why_and_what_to_do(browser: Browser, page: str, photo: Path) -> None:
    start(browser, page, photo)
    browser.click("#expert-box summary")
    browser.type("#expert", "price > 1000")
    browser.find("#empty:not([hidden])")
    assert browser.text("#empty-words") == "Nothing in the gallery passes these filters."
    browser.click("#clear-empty")
    browser.find(".card:nth-child(10) h3")


def test_results_regroup_live_and_keep_their_cards(
    browser: Browser, page: str, photo: Path
) -> None:
    start(browser, page, photo)
    browser.run("document.querySelector('.card').isTheSame = true")
    browser.click("#view .choice label:last-of-type")
    browser.wait(
        "return document.querySelector('.card:nth-child(2) h3').textContent === 'Garment 02'"
    )
    assert browser.text("#status") == "10 products, best first."
    assert browser.run("return document.querySelector('.card').isTheSame") is True


def test_more_hits_follow_the_first(browser: Browser, page: str, photo: Path) -> None:
    start(browser, page, photo)
    for total in (20, 30, 40):
        browser.click("#more")
        browser.find(f".card:nth-child({total})")
    assert browser.text("#status") == "10 more hits, 40 in all."
    assert browser.text(".card:last-child h3") == "Garment 39"
    browser.wait("return document.querySelector('#more').hidden")
    # The button is gone: the keyboard goes on at the first of the new hits.
    assert browser.run("return document.activeElement.closest('.card').hit.rank") == 31


def test_sorting(browser: Browser, page: str, photo: Path) -> None:
    start(browser, page, photo)
    browser.type("#sort", "Price, high")
    browser.wait(f"{NEWEST_TITLE} === 'Garment 39'")
    assert browser.text("#status") == "10 hits, in the chosen order."


@pytest.mark.parametrize(
    ("row", "words"),
    [(1, "very likely, 100 %"), (10, "likely, 79 %"), (40, "unlikely, 8 %")],
)
def test_confidence_in_words(
    browser: Browser, page: str, shop: PageEngine, photo: Path, row: int, words: str
) -> None:
    shop.calibrated = True
    browser.open(f"{page}/?k=40&alpha=1")
    browser.type("#file", str(photo))
    assert browser.text(f".card:nth-child({row}) .trust") == words
    assert browser.count("#remarks[hidden]") == 1


def test_only_confident_hits(browser: Browser, page: str, shop: PageEngine, photo: Path) -> None:
    shop.calibrated = True
    start(browser, page, photo)
    browser.choose("#min-confidence", "0.9")
    browser.wait("return location.search.includes('min_confidence=0.9')")
    assert shop.calls[-1]["min_confidence"] == 0.9


def test_scores_without_calibration_are_admitted(browser: Browser, page: str, photo: Path) -> None:
    start(browser, page, photo)
    assert "not calibrated" in browser.text("#remarks")
    assert browser.count("#min-confidence-field:not([hidden])") == 0


def test_an_answer_in_haste_is_admitted(
    browser: Browser, page: str, shop: PageEngine, photo: Path
) -> None:
    shop.reranks = False
    start(browser, page, photo)
    assert "Time ran out before the details were compared" in browser.text("#remarks")
