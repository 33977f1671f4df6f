"""Plackets, buttons, zips."""

import numpy as np

from stitch.curve import Curve, box
from stitch.garments.cut import Cut
from stitch.garments.work import Work
from stitch.palette import darker, ink, lighter


def draw_closure(work: Work, cut: Cut, outline: Curve) -> None:
    """What closes the front of a top."""
    closure = work.design.closure
    top, bottom = cut.throat.imag, _bottom(work, cut)
    if closure in ("buttons", "hidden"):
        _draw_placket(work, cut, top, bottom, hidden=closure == "hidden")
    elif closure == "double-breasted":
        _draw_double(work, cut, bottom)
    elif closure == "henley":
        _draw_half_placket(work, top)
    elif closure in ("zip", "half-zip"):
        _draw_zip(work, top - 4, bottom if closure == "zip" else min(top + 170, bottom - 40))
    if closure != "none":
        work.sheet.focus("closure", complex(0, min(top + 90, 0)), 120)


def draw_fly(work: Work, top: float) -> None:
    """The fly of trousers: a curved stitch line and a button."""
    if work.design.closure != "fly":
        return
    curve = (
        Curve(complex(30, top + 6))
        .line(complex(30, top + 92))
        .quad(complex(28, top + 132), complex(2, top + 142))
    )
    work.stitch(curve)
    work.sheet.line(Curve(complex(0, top)).line(complex(0, top + 150)), ink(work.main, 0.45), 4)


def draw_skirt_closure(work: Work, top: float, bottom: float) -> None:
    """A button front or an exposed zip."""
    closure = work.design.closure
    if closure == "buttons":
        _strip(work, top, bottom - (66 if work.design.hem == "ruffle" else -2), 20)
        for y in np.arange(top + 36, bottom - 50, 66):
            work.button(complex(0, float(y)), 11)
    elif closure == "zip":
        _draw_zip(work, top, min(bottom - 40, top + 190))
    if closure != "none":
        work.sheet.focus("closure", complex(0, top + 90), 130)


def _bottom(work: Work, cut: Cut) -> float:
    """Where a front opening ends."""
    design = work.design
    if design.category == "dress":
        return cut.hem.imag - (66 if design.hem == "ruffle" else -4)
    return cut.hem.imag + {"curved": 32.0, "ruffle": -2.0}.get(design.hem, 7.0)


def _strip(work: Work, top: float, bottom: float, half: float) -> None:
    shape = Curve(complex(-half, top)).line(
        complex(half, top), complex(half, bottom), complex(-half, bottom)
    )
    work.sheet.panel(shape, work.piece(height=2.6, origin=11j), seam=work.ink)
    for sign in (1, -1):
        x = sign * (half - 6)
        work.stitch(Curve(complex(x, top + 4)).line(complex(x, bottom - 2)))


def _draw_placket(work: Work, cut: Cut, top: float, bottom: float, *, hidden: bool) -> None:
    open_front = work.design.category in ("jacket", "coat", "sweater")
    if hidden:
        work.sheet.line(Curve(complex(22, top + 2)).line(complex(22, bottom)), work.ink, 4)
        work.stitch(Curve(complex(14, top + 12)).line(complex(14, bottom - 2)))
        return
    knit = work.design.category == "sweater"
    _strip(work, top - 2, bottom, 22 if open_front else 19)
    first = top + (20 if open_front else 34)
    if work.design.collar in ("point", "button-down"):
        first = top + 18
    if work.design.neckline == "v":
        first = top + 44
    big = work.design.category == "coat"
    step = 92.0 if big else 70.0 if open_front or knit else 62.0
    for y in np.arange(first, min(bottom - 26, 330), step):
        work.button(complex(0, float(y)), 15 if big else 12 if open_front else 9.5)


def _draw_double(work: Work, cut: Cut, bottom: float) -> None:
    low = cut.throat.imag
    edge = (
        Curve(complex(8, low))
        .quad(complex(-70, low + 30), complex(-74, low + 70))
        .line(complex(-74, bottom))
    )
    work.sheet.line(edge, work.ink, 4)
    rows = np.arange(low + 34, min(bottom - 30, low + 240), 78)
    for y in rows:
        for x in (-50, 54):
            work.button(complex(x, float(y)), 14)


def _draw_half_placket(work: Work, top: float) -> None:
    low = top + 128
    shape = Curve(complex(-16, top - 8)).line(
        complex(16, top - 8), complex(16, low), complex(-16, low)
    )
    work.sheet.panel(shape, work.piece(height=2.7, origin=11j), seam=ink(work.main, 0.42))
    work.stitch(
        Curve(complex(-10, top)).line(complex(-10, low - 8), complex(10, low - 8), complex(10, top))
    )
    work.sheet.line(Curve(complex(-16, low - 18)).line(complex(16, low - 18)), work.ink, 2.6)
    for y in (top + 18, top + 54, top + 90):
        work.button(complex(0, y), 8.5)


def _draw_zip(work: Work, top: float, bottom: float) -> None:
    tape = darker(work.main, 0.28)
    work.sheet.blot(
        box(complex(0, (top + bottom) / 2), 21, bottom - top, 2), tape, 2.4, edge=work.ink
    )
    axis = Curve(complex(0, top)).line(complex(0, bottom))
    work.sheet.line(axis, darker(work.metal, 0.35), 11)
    work.sheet.line(axis, lighter(work.metal, 0.1), 9, "4.5 3.5")
    pull = complex(0, top + 16)
    work.sheet.blot(box(pull, 15, 16, 4), work.metal, 3.4, edge=darker(work.metal, 0.5))
    work.sheet.blot(
        box(pull + 22j, 9, 28, 3), lighter(work.metal, 0.15), 3.6, edge=darker(work.metal, 0.5)
    )
    for sign in (1, -1):
        work.stitch(Curve(complex(sign * 17, top + 6)).line(complex(sign * 17, bottom - 3)))
