"""Chips of attributes: the order of the hits, words, regions on both photos, and the link."""

import json
from pathlib import Path

import pytest

from indexer.results import AttributeDescription
from tests.service.browser import Browser, needs_browser
from tests.service.page_engine import PageEngine
from tests.service.test_page_looks import check

pytestmark = needs_browser

TAB, SPACE, ESCAPE = "\ue004", " ", "\ue00c"
COLLAR, SLEEVES = ".chip[data-name=collar]", ".chip[data-name=sleeve_length]"
TITLES = "return [...document.querySelectorAll('.card h3')].map((title) => title.textContent)"
PRESSED = (
    "return [...document.querySelectorAll('.chip')]"
    ".map((chip) => chip.getAttribute('aria-pressed')).join()"
)


@pytest.fixture
def searched(browser: Browser, page: str, photo: Path) -> Browser:
    """The page with its hits and chips."""
    browser.open(page)
    browser.type("#file", str(photo))
    browser.find(".card:nth-child(10) h3")
    browser.find("#attributes:not([hidden])")
    return browser


def slide(browser: Browser, selector: str, value: str) -> None:
    browser.run(
        f"const slider = document.querySelector({json.dumps(selector)});"
        f"slider.value = {value}; slider.dispatchEvent(new Event('input', {{bubbles: true}}))"
    )


def test_a_tapped_chip_orders_by_the_attribute_and_says_how_alike(
    searched: Browser, shop: PageEngine
) -> None:
    searched.click(COLLAR)
    searched.find(".likeness li")
    assert searched.run(TITLES)[:3] == ["Garment 00", "Garment 03", "Garment 06"]
    assert shop.calls[-1]["attributes"] == {"collar": 1}
    assert "overall" not in shop.calls[-1]
    assert searched.text(".card:nth-child(2) .likeness") == "Collar: 0.95"
    assert searched.text("#status") == "10 hits, most alike first."
    assert "not the probability" in searched.text("#remarks")
    searched.click(COLLAR)
    searched.wait("return !document.querySelector('.likeness li')")
    assert searched.run(TITLES)[:2] == ["Garment 00", "Garment 01"]
    assert searched.count("#weights:not([hidden])") == 0


def test_likeness_is_a_number_on_every_card(searched: Browser) -> None:
    searched.click(COLLAR)
    searched.choose("#k", "48")
    searched.find(".card:nth-child(40) .likeness li")
    shown = searched.run(
        "return [...document.querySelectorAll('.likeness li')].map((entry) => entry.textContent)"
    )
    likeness = [float(text.removeprefix("Collar: ")) for text in shown]
    assert len(likeness) >= 40
    assert likeness == sorted(likeness, reverse=True)
    assert likeness[-1] < likeness[0] <= 1


def test_sliders_weigh_the_attributes_and_the_overall_likeness(
    searched: Browser, shop: PageEngine
) -> None:
    searched.click(COLLAR)
    searched.find("#weights:not([hidden])")
    slide(searched, ".weight[data-name=collar] input", "0.5")
    slide(searched, "#overall", "0.3")
    searched.wait("return location.search.includes('overall=0.3')")
    for _ in range(200):  # the address is written before the search is sent
        if shop.calls[-1].get("overall") == 0.3:
            break
        searched.run("return new Promise((resolve) => setTimeout(resolve, 25))")
    assert shop.calls[-1]["attributes"] == {"collar": 0.5}
    assert shop.calls[-1]["overall"] == 0.3
    assert searched.text(".weight[data-name=collar] output") == "counts half"
    assert searched.text("#overall-row output") == "counts a little"
    # A finger cannot rest on a chip: what the tip says stands beneath the slider.
    assert "crew, shirt" in searched.run("return document.querySelector('.about').textContent")


def test_the_link_reproduces_chips_and_weights(
    browser: Browser, page: str, shop: PageEngine
) -> None:
    link = "item=garment-04.jpg&same.collar=0.5&same.sleeve_length=1&overall=0.2"
    browser.open(f"{page}/?{link}")
    browser.find(".likeness li")
    assert shop.calls[-1]["attributes"] == {"collar": 0.5, "sleeve_length": 1}
    assert shop.calls[-1]["overall"] == 0.2
    assert browser.run(PRESSED) == "true,true"
    assert browser.run("return document.querySelector('.weight input').value") == "0.5"
    assert browser.run("return location.search.slice(1)") == link


def test_an_attribute_that_the_gallery_lacks_can_be_switched_off(
    browser: Browser, page: str
) -> None:
    browser.open(f"{page}/?item=garment-04.jpg&same.hem=1")
    browser.find("#error:not([hidden])")
    assert "no attribute 'hem'; it has collar, sleeve_length" in browser.text("#error")
    browser.click(".chip[data-name=hem]")
    browser.find(".card h3")
    assert browser.run("return location.search") == "?item=garment-04.jpg"


def test_resting_on_a_hit_shows_where_the_attributes_look(searched: Browser) -> None:
    searched.click(COLLAR)
    searched.find(".likeness li")
    searched.hover(".card:nth-child(2) .photo")
    searched.find("#stage-regions .gaze")
    assert searched.count("#stage-regions .gaze") == 2
    assert searched.count(".card:nth-child(2) .gaze") == 1
    assert searched.count("#stage-regions .ring") == 2
    names = "return document.querySelector('{} .gaze-name text').textContent"
    for photo in ("#stage-regions", ".card:nth-child(2) .regions"):
        assert searched.run(names.format(photo)) == "Collar"
    middle = searched.run(
        "const stage = document.querySelector('#stage').getBoundingClientRect();"
        "const gaze = document.querySelector('#stage-regions .gaze').getBoundingClientRect();"
        "return [((gaze.left + gaze.right) / 2 - stage.left) / stage.width,"
        "  ((gaze.top + gaze.bottom) / 2 - stage.top) / stage.height]"
    )
    assert middle == pytest.approx([0.5, 0.1], abs=0.02)


def test_names_of_attributes_that_look_at_one_place_do_not_cover_each_other(
    searched: Browser,
) -> None:
    searched.click(COLLAR)
    searched.click(SLEEVES)
    searched.find(".likeness li:nth-child(2)")
    searched.hover(".card:nth-child(2) .photo")
    searched.find("#stage-regions .gaze-name:nth-last-child(2)")
    first, second = searched.run(
        "return [...document.querySelectorAll('#stage-regions .gaze-name rect')]"
        ".map((plate) => plate.getBoundingClientRect()).map(({ top, bottom }) => [top, bottom])"
    )
    assert second[0] >= first[1]


def test_a_tapped_hit_says_in_words_where_an_attribute_looks(searched: Browser) -> None:
    searched.click(COLLAR)
    searched.find(".likeness li")
    searched.click(".card:nth-child(2) .photo")
    searched.find("#detail-looks li")
    assert searched.text("#detail-looks") == (
        "Collar, likeness 0.95: it looks at top centre and centre of your photo "
        "and at top centre of the item"
    )
    assert "Same collar\n0.95" in searched.text("#detail-facts")
    assert searched.count("#detail-item-regions .gaze") == 1


def test_chips_are_for_keyboards_and_screen_readers(searched: Browser) -> None:
    assert searched.name_controls(".chip") == ["Same collar", "Same sleeve length"]
    assert searched.run(PRESSED) == "false,false"
    about = searched.run(
        f"const chip = document.querySelector('{COLLAR}');"
        "return document.getElementById(chip.getAttribute('aria-describedby')).textContent"
    )
    assert about == "Tells apart: crew, shirt, v neck. Mostly right (mAP 0.82)."
    searched.run("document.querySelector('#copy-link').closest('details').open = true")
    searched.run(f"document.querySelector('{COLLAR}').focus()")
    searched.press(TAB)
    searched.find("#attribute-tip:not([hidden])")
    assert searched.text("#attribute-tip") == "Tells apart: long, short. Often right (mAP 0.55)."
    searched.press(ESCAPE)
    assert searched.count("#attribute-tip:not([hidden])") == 0
    searched.press(SPACE)
    searched.find(".likeness li")
    assert searched.run(PRESSED) == "false,true"
    assert searched.run("return document.activeElement.dataset.name") == "sleeve_length"
    sliders = searched.name_controls(".weights input")
    assert sliders == ["Weight of sleeve length", "Weight of the overall likeness"]
    label = searched.name_controls(".card:nth-child(1) .photo")[0]
    assert "sleeve length: 1.00" in label


def test_a_least_confidence_is_not_asked_for_beside_attributes(
    browser: Browser, page: str, shop: PageEngine, photo: Path
) -> None:
    shop.calibrated = True
    browser.open(page)
    browser.type("#file", str(photo))
    browser.find(".card h3")
    browser.choose("#min-confidence", "0.3")
    browser.wait("return location.search.includes('min_confidence')")
    browser.click(COLLAR)
    browser.find(".likeness li")
    assert "min_confidence" not in shop.calls[-1]
    assert browser.count("#min-confidence-field:not([hidden])") == 0
    browser.click(COLLAR)
    browser.find("#min-confidence-field:not([hidden])")


def test_a_gallery_without_attributes_has_no_chips(
    browser: Browser, page: str, shop: PageEngine, photo: Path
) -> None:
    shop.known = ()
    browser.open(page)
    browser.type("#file", str(photo))
    browser.find(".card h3")
    assert browser.count("#attributes:not([hidden])") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_many_chips_fit_and_can_be_read(
    browser: Browser, page: str, shop: PageEngine, photo: Path, width: int, scheme: str
) -> None:
    names = ("print_motif", "pocket", "number_of_buttons", "hem", "lapel", "pattern")
    more = [AttributeDescription(name, ("a", "b"), None, 20, "", True) for name in names]
    shop.known = (*shop.known, *more)
    browser.resize(width, 800)
    browser.prefer(scheme)
    browser.open(page)
    browser.type("#file", str(photo))
    browser.find(".card h3")
    for chip in (COLLAR, SLEEVES):
        browser.click(chip)
    browser.find(".likeness li:nth-child(2)")
    browser.run(f"document.querySelector('{COLLAR}').focus({{focusVisible: true}})")
    browser.find("#attribute-tip:not([hidden])")
    problems = [check(browser)]
    browser.click(".card .photo")
    browser.find("#detail-looks li")
    problems.append(check(browser))
    assert problems == [(0, []), (0, [])]
    assert browser.severe_logs() == []
