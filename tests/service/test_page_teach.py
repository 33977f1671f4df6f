"""Teaching an attribute on the page: hits are marked with values, and the gallery learns."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from service.app import create_app
from service.settings import Settings
from tests.service.browser import Browser, needs_browser, serving
from tests.service.page_engine import PageEngine
from tests.service.test_page_looks import check

pytestmark = needs_browser

KEY = "a-write-key-of-sixteen-signs-and-more"
MARK = ".card:nth-child({}) .mark"


@pytest.fixture
def writable(settings: Settings, shop: PageEngine) -> Iterator[str]:
    """A service that everybody may read, and writers may teach."""
    with serving(
        create_app(settings.model_copy(update={"write_keys": SecretStr(KEY)}), shop)
    ) as address:
        yield address


@pytest.fixture
def teaching(browser: Browser, writable: str, photo: Path) -> Browser:
    """The page with its hits, ready for marks."""
    browser.open(writable)
    browser.run("sessionStorage.clear()")
    browser.open(writable)
    browser.type("#file", str(photo))
    browser.find(".card:nth-child(10) h3")
    browser.click("#teach-start")
    browser.find(MARK.format(1) + ":not([hidden])")
    return browser


def test_marked_hits_teach_an_attribute_that_orders_at_once(
    teaching: Browser, shop: PageEngine
) -> None:
    teaching.type("#teach-name", "pocket")
    teaching.type("#teach-value", "flap")
    for place in (1, 2):
        teaching.click(MARK.format(place))
    teaching.run("document.querySelector('#teach-value').value = ''")
    teaching.type("#teach-value", "patch")
    teaching.click(MARK.format(3))
    assert teaching.text("#teach-words").startswith("Marked: 2 flap, 1 patch.")
    assert teaching.name_controls(".mark")[:4] == [
        "flap: rank 1",
        "flap: rank 2",
        "patch: rank 3",
        "patch: rank 4",
    ]
    teaching.click("#teach-send")
    teaching.find("#key-dialog[open]")
    teaching.type("#key-input", f"{KEY}\n")
    teaching.find(".chip[data-name=pocket][aria-pressed=true]")
    teaching.find(".likeness li")
    assert shop.known[-1].name == "pocket"
    assert shop.known[-1].values == ("flap", "patch")
    assert shop.known[-1].num_examples == 3
    assert shop.calls[-1]["attributes"] == {"pocket": 1}
    assert teaching.count("#teach:not([hidden]), .mark:not([hidden])") == 0


def test_what_was_taught_is_forgotten_after_a_question_by_keyboard(
    teaching: Browser, shop: PageEngine
) -> None:
    shop.add_attribute("pocket", dict(zip(shop.colours, ("flap", "flap", "patch"), strict=False)))
    teaching.run(f"sessionStorage.setItem('selvedge-key', '{KEY}'); location.reload()")
    teaching.click(".chip[data-name=pocket]")
    teaching.find(".chip[data-name=pocket][aria-pressed=true]")
    teaching.click("#teach-start")
    forget = "#taught-names li[data-name=pocket] button"
    assert teaching.name_controls(forget) == ["Forget pocket"]
    for choice, left in ((), 1), (("\ue004",), 0):  # Tab goes on to the second choice.
        teaching.find(forget)
        teaching.run(f"document.querySelector('{forget}').focus()")
        teaching.press("\ue007")
        teaching.find("#forget-dialog[open]")
        for key in (*choice, "\ue007"):
            teaching.press(key)
        teaching.wait("return !document.querySelector('#forget-dialog').open")
        teaching.wait(
            f"return document.querySelectorAll('.chip[data-name=pocket]').length === {left}"
        )
    assert "pocket" not in [each.name for each in shop.known]
    assert teaching.count("#taught:not([hidden]), .weight[data-name=pocket]") == 0
    teaching.wait("return document.activeElement.id === 'teach-name'")
    assert teaching.severe_logs() == []


def test_a_mark_is_taken_away_by_a_second_tap(teaching: Browser) -> None:
    teaching.click(MARK.format(1))
    assert "Type a value first" in teaching.text("#teach-error")
    teaching.type("#teach-value", "flap")
    teaching.click(MARK.format(1))
    teaching.find(MARK.format(1) + "[aria-pressed=true]")
    teaching.click(MARK.format(1))
    teaching.find(MARK.format(1) + "[aria-pressed=false]")
    assert teaching.text("#teach-words").startswith("Marked: none yet.")
    teaching.click("#teach-end")
    assert teaching.count(".mark:not([hidden])") == 0


def test_marks_stay_over_other_searches_and_a_refusal(teaching: Browser) -> None:
    teaching.type("#teach-name", "collar")
    teaching.type("#teach-value", "flap")
    teaching.click(MARK.format(1))
    teaching.choose("#sort", "-price")
    teaching.wait("return document.querySelector('.card h3').textContent === 'Garment 39'")
    teaching.click(MARK.format(1))
    teaching.choose("#sort", "")
    teaching.wait("return document.querySelector('.card h3').textContent === 'Garment 00'")
    assert teaching.count(".mark[aria-pressed=true]") == 1
    teaching.click("#teach-send")
    teaching.find("#key-dialog[open]")
    teaching.type("#key-input", f"{KEY}\n")
    teaching.find("#teach-error:not([hidden])")
    assert "All examples have the value 'flap'" in teaching.text("#teach-error")
    assert teaching.text("#teach-words").startswith("Marked: 2 flap.")


def test_a_service_that_only_reads_is_not_taught(browser: Browser, page: str, photo: Path) -> None:
    browser.open(page)
    browser.type("#file", str(photo))
    browser.find("#attributes:not([hidden])")
    assert browser.count("#teach-start:not([hidden])") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_teaching_fits_and_can_be_read(
    browser: Browser, writable: str, photo: Path, width: int, scheme: str
) -> None:
    browser.resize(width, 800)
    browser.prefer(scheme)
    browser.open(writable)
    browser.type("#file", str(photo))
    browser.find(".card h3")
    browser.click("#teach-start")
    browser.type("#teach-value", "a value of many words that goes on")
    browser.click(MARK.format(1))
    browser.find(".mark[aria-pressed=true]")
    assert check(browser) == (0, [])
    assert browser.severe_logs() == []
