"""Why a hit: matched regions on both photos, and in words."""

from pathlib import Path

import pytest

from tests.service.browser import Browser, needs_browser
from tests.service.page_engine import PageEngine

pytestmark = needs_browser

TAB = "\ue004"
NUMBERS = "return [...document.querySelectorAll('{} text')].map((text) => text.textContent).join()"


@pytest.fixture
def searched(browser: Browser, page: str, photo: Path) -> Browser:
    """The page with its hits."""
    browser.open(page)
    browser.type("#file", str(photo))
    browser.find(".card:nth-child(10) h3")
    browser.find("#stage:not([hidden])")
    return browser


def test_resting_on_a_hit_draws_numbered_regions_on_both_photos(
    searched: Browser, shop: PageEngine
) -> None:
    assert not any("explain" in call for call in shop.calls)
    searched.hover(".card:nth-child(2) .photo")
    searched.find("#stage-regions ellipse")
    assert searched.run(NUMBERS.format("#stage-regions")) == "1,2"
    assert searched.run(NUMBERS.format(".card:nth-child(2) .regions")) == "1,2"
    colours = (
        "return [...document.querySelectorAll('{} .ring')]"
        ".map((ring) => ring.getAttribute('stroke'))"
    )
    assert searched.run(colours.format("#stage-regions")) == searched.run(
        colours.format(".card:nth-child(2) .regions")
    )
    searched.hover(".card:nth-child(3) .photo")
    searched.find(".card:nth-child(3) .regions ellipse")
    assert searched.count(".card:nth-child(2) .regions ellipse") == 0
    # One answer explains the whole page of hits.
    assert [call["explain"] for call in shop.calls if "explain" in call] == [5]


def test_ellipses_lie_where_the_regions_are(searched: Browser) -> None:
    searched.hover(".card .photo")
    searched.find("#stage-regions ellipse")
    middle = searched.run(
        "const stage = document.querySelector('#stage').getBoundingClientRect();"
        "const ring = document.querySelector('#stage-regions .ring').getBoundingClientRect();"
        "const [x, y] = [(ring.left + ring.right) / 2, (ring.top + ring.bottom) / 2];"
        "return [(x - stage.left) / stage.width, (y - stage.top) / stage.height,"
        "  ring.width / stage.width]"
    )
    assert middle == pytest.approx([0.5, 0.1, 0.4], abs=0.02)


def test_the_keyboard_shows_the_regions(searched: Browser) -> None:
    searched.run("document.querySelector('#sort').focus()")
    searched.press(TAB)
    searched.find(".card:first-child .regions ellipse")
    searched.press(TAB)
    searched.press(TAB)
    searched.find(".card:nth-child(2) .regions ellipse")
    assert searched.count(".card:nth-child(2) .regions ellipse") > 0


def test_a_tapped_hit_says_why_in_words(searched: Browser) -> None:
    searched.click(".card:nth-child(2) .photo")
    searched.find("#detail-pairs li:nth-child(2)")
    assert searched.text("#detail-title") == "Garment 01"
    assert searched.text("#detail-words") == "2 pairs of regions make 38 % of the details' score."
    first, second = searched.text("#detail-pairs").replace("1\n", "").replace("2\n", "").split("\n")
    assert first == (
        "Top centre of your photo with top centre of the item: similarity 0.91, 25 % of the details"
    )
    assert second.startswith("Middle left of your photo with bottom right of the item")
    for side in ("query", "item"):
        searched.find(f"#detail-{side}-regions ellipse")
    facts = searched.text("#detail-facts")
    assert "not calibrated" in facts
    assert "Jackets" in facts


def test_the_detail_leads_to_a_search_with_the_item(searched: Browser) -> None:
    searched.click(".card:nth-child(2) .photo")
    searched.click("#detail-similar")
    searched.wait("return location.search.includes('item=garment-01.jpg')")
    assert searched.count("dialog[open]") == 0
    assert searched.text("#query-name") == "Similar to Garment 01"


def test_hits_of_later_pages_are_explained_too(searched: Browser, shop: PageEngine) -> None:
    searched.click("#more")
    searched.click(".card:nth-child(15) .photo")
    searched.find("#detail-pairs li:nth-child(2)")
    assert shop.calls[-1]["explain"] == 5
    assert shop.calls[-1]["offset"] == 10


def test_a_hit_without_regions_says_so(searched: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.service.page_engine.PAIRS", ())
    searched.click(".card .photo")
    searched.wait(
        "return document.querySelector('#detail-words').textContent.includes('no matched')"
    )
    assert searched.count("#detail-pairs li") == 0
