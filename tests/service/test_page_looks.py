"""What everybody can use: widths, contrast, names for screen readers."""

from pathlib import Path

import pytest

from tests.service.browser import Browser, needs_browser

pytestmark = needs_browser

# WCAG 2: 4.5 to 1 for text; of each element that holds text itself, against what lies behind it.
# Text over a photo has a background of its own.
FIND_FAINT = """
const parse = (colour) => {
  const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
  return colour.startsWith('color(srgb') ? [r * 255, g * 255, b * 255, a] : [r, g, b, a];
};
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const [r, g, b, a] = parse(getComputedStyle(at).backgroundColor);
    if (a > 0.8) return [r, g, b];
  }
  return [255, 255, 255];
};
const light = (rgb) => rgb.slice(0, 3)
  .map((value) => value / 255)
  .map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
  .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
const root = document.querySelector('dialog[open]') ?? document.body;
return [...root.querySelectorAll('*')]
  .filter((element) => !element.closest('svg, noscript, template') && element.checkVisibility())
  .filter((element) =>
    [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
  .map((element) => {
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    return [contrast, element.textContent.trim().slice(0, 30)];
  })
  .filter(([contrast]) => contrast < 4.5);
"""
OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_every_state_fits_and_can_be_read(
    browser: Browser, page: str, photo: Path, width: int, scheme: str
) -> None:
    browser.resize(width, 800)
    browser.prefer(scheme)
    browser.open(page)
    browser.find("#gallery span")
    problems = [check(browser)]
    browser.type("#file", str(photo))
    browser.find(".card h3")
    browser.run("document.querySelectorAll('details').forEach((part) => (part.open = true))")
    problems.append(check(browser))
    browser.click(".card .photo")
    browser.find("#detail-pairs li")
    problems.append(check(browser))
    assert problems == [(0, []), (0, []), (0, [])]
    assert browser.severe_logs() == []


def check(browser: Browser) -> tuple[int, list[object]]:
    """How far the page is too wide, and the texts that are too faint."""
    browser.wait("return !document.querySelector('.busy')")
    return browser.run(OVERFLOW), browser.run(FIND_FAINT)


def test_every_control_has_a_name_for_screen_readers(
    browser: Browser, page: str, photo: Path
) -> None:
    browser.open(page)
    browser.type("#file", str(photo))
    browser.find(".card .photo")
    browser.run("document.querySelectorAll('details').forEach((part) => (part.open = true))")
    controls = ":is(button, input, select, summary, a)"
    shown = ":not([hidden], [hidden] *, .camera *, .adjust > summary, dialog *)"
    names = browser.name_controls(controls + shown)
    assert "Rank 1: Garment 00, score 1.000. Show the matched regions" in names
    assert "Search with this item: Garment 00" in names
    assert [name for name in names if not name.strip()] == []
