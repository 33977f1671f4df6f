"""The query on the page: pasted, several photos, cropped by mouse, finger and keyboard."""

from pathlib import Path

import pytest

from tests.service.browser import Browser, needs_browser, watch_sources
from tests.service.page_engine import PageEngine

pytestmark = needs_browser

SHIFT, RIGHT, DOWN, ESCAPE = "\ue008", "\ue014", "\ue015", "\ue00c"

# A photo that is made in the page: nothing else can put one on the clipboard.
MAKE_PHOTO = """
const canvas = Object.assign(document.createElement('canvas'), {width: 30, height: 40});
canvas.getContext('2d').fillRect(0, 0, 30, 40);
const files = new DataTransfer();
canvas.toBlob((blob) => {
  files.items.add(new File([blob], 'drawn.png', {type: 'image/png'}));
  EVENT
});
"""
PASTE = "dispatchEvent(new ClipboardEvent('paste', {clipboardData: files}));"
DROP = "dispatchEvent(new DragEvent('drop', {dataTransfer: files, cancelable: true}));"


def start(browser: Browser, page: str, photo: Path) -> None:
    """Search with a photo, and wait for its hits."""
    browser.open(page)
    watch_sources(browser)
    browser.type("#file", str(photo))
    browser.find(".card h3")
    browser.find("#stage:not([hidden])")


@pytest.mark.parametrize("event", [PASTE, DROP])
def test_a_pasted_or_dropped_photo_is_searched_with(
    browser: Browser, page: str, event: str
) -> None:
    browser.open(page)
    browser.find("#gallery span")
    browser.run(MAKE_PHOTO.replace("EVENT", event))
    assert browser.text(".card h3") == "Garment 39"
    assert browser.text("#query-name") == "drawn.png"


def test_dragged_text_is_answered_with_a_sentence(browser: Browser, page: str) -> None:
    browser.open(page)
    browser.find("#gallery span")
    browser.run(f"const files = new DataTransfer(); {DROP}")
    browser.find("#error:not([hidden])")
    assert "save the photo" in browser.text("#error")


def test_several_photos_of_one_garment(
    browser: Browser, page: str, shop: PageEngine, photo: Path
) -> None:
    start(browser, page, photo)
    browser.type("#file-more", str(photo))
    browser.find("#strip li:nth-child(2)")
    assert browser.text("#query-name") == "2 photos of one garment"
    browser.wait("return sources.length === 2 && !document.querySelector('.busy')")
    assert shop.calls[-1]["photos"] == 2
    browser.click("#strip li:nth-child(2) .remove")
    browser.wait("return sources.length === 3 && !document.querySelector('.busy')")
    assert shop.calls[-1]["photos"] == 1
    assert browser.text("#query-name") == "red photo.png"


@pytest.mark.parametrize("pointer", ["mouse", "touch"])
def test_a_box_dragged_on_the_photo_crops_without_an_upload(
    browser: Browser, page: str, shop: PageEngine, photo: Path, pointer: str
) -> None:
    start(browser, page, photo)
    browser.drag("#stage", (0.25, 0.25), (0.75, 0.5), pointer)
    browser.wait("return location.search.includes('box=')")
    assert shop.boxes[-1] == pytest.approx((0.25, 0.25, 0.75, 0.5), abs=0.01)
    assert browser.run("return sources") == ["image", "query_id"]
    browser.drag("#crop [data-corner=se]", (0.5, 0.5), (4, 4), pointer)
    browser.wait("return sources.length === 3 && !document.querySelector('.busy')")
    assert (shop.boxes[-1] or (0, 0, 0, 0))[2] > 0.9
    browser.click("#crop-end")
    browser.wait("return !location.search.includes('box=')")
    browser.wait("return sources.length > 2 && !document.querySelector('.busy')")
    assert browser.text(".card h3") == "Garment 00"


def test_the_keyboard_crops(browser: Browser, page: str, shop: PageEngine, photo: Path) -> None:
    start(browser, page, photo)
    browser.click("#crop-start")
    browser.press(RIGHT)
    browser.press(SHIFT, DOWN)
    browser.wait("return location.search.includes('box=0.170%2C0.150%2C0.870%2C0.870')")
    assert shop.boxes[-1] == pytest.approx((0.17, 0.15, 0.87, 0.87))
    name = browser.name_controls("#crop")[0]
    assert "70 % wide and 72 % high, 17 % from the left" in name.replace("\xa0", " ")
    browser.press(ESCAPE)
    browser.wait("return !location.search.includes('box=')")
    browser.wait("return sources.length > 2 && !document.querySelector('.busy')")
    assert browser.text(".card h3") == "Garment 00"


def test_an_older_answer_never_overwrites_a_newer_one(
    browser: Browser, page: str, photo: Path
) -> None:
    start(browser, page, photo)
    browser.run(
        "const real = window.fetch; let waits = true;"
        "window.fetch = async (address, options) => {"
        "  const isSlow = waits; waits = false;"
        "  const answer = await real(address, {...options, signal: undefined});"
        "  if (isSlow) await new Promise((resolve) => (window.release = resolve));"
        "  return answer; };"
    )
    browser.choose("#sort", "-price")
    browser.wait("return Boolean(window.release)")
    browser.choose("#sort", "price")
    browser.wait("return location.search.includes('sort=price')")
    browser.run("release()")
    assert browser.text("#status") == "10 hits, in the chosen order."
    assert browser.text(".card h3") == "Garment 00"
