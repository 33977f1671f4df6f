"""Pockets of every kind."""

import numpy as np

from stitch.curve import Curve, box
from stitch.garments.cut import Cut
from stitch.garments.legs import Leg
from stitch.garments.work import Work
from stitch.palette import ink


def draw_top_pockets(work: Work, cut: Cut) -> None:
    """Pockets of tops, dresses, jackets and coats."""
    kind = work.design.pockets
    chest = complex(cut.pit.real * 0.5 + 8, cut.pit.imag + 12)
    hip = complex(cut.hip.real * 0.56, min(cut.hem.imag - 74, 112.0))
    if kind == "chest":
        _patch(work, chest, 74, 84)
    elif kind in ("two-chest", "two-flap"):
        for sign in (1, -1):
            with work.sheet.mirror(sign == -1):
                _patch(work, chest, 74, 84, flap=kind == "two-flap")
    elif kind == "kangaroo":
        _kangaroo(work, min(cut.hem.imag - 8, 142.0))
    elif kind != "none":
        for sign in (1, -1):
            with work.sheet.mirror(sign == -1):
                _hip_pocket(work, kind, hip)
    if kind != "none":
        work.sheet.focus("pocket", chest if "chest" in kind or kind == "two-flap" else hip, 120)


def _hip_pocket(work: Work, kind: str, at: complex) -> None:
    if kind == "patch":
        _patch(work, at, 96, 104)
    elif kind == "flap":
        _flap(work, at - 20j, 104, 40)
    else:
        _welt(work, at, 84)


def _patch(work: Work, at: complex, width: float, height: float, *, flap: bool = False) -> None:
    """A pocket sewn on; its print does not quite meet the one beneath."""
    w, h = width / 2, height / 2
    shape = Curve(at + complex(-w, -h)).line(at + complex(w, -h), at + complex(w - 2, h - 16))
    shape.line(at + complex(0, h), at + complex(-w + 2, h - 16))
    work.sheet.panel(shape, work.piece(height=2.9, origin=19 + 23j), seam=ink(work.main, 0.44))
    inner = Curve(at + complex(-w + 6, -h + 4)).line(
        at + complex(-w + 7, h - 20), at + complex(0, h - 7)
    )
    work.stitch(inner.line(at + complex(w - 7, h - 20), at + complex(w - 6, -h + 4)))
    if flap:
        _flap(work, at - complex(0, h - 10), width + 6, 38)
    else:
        work.stitch(Curve(at + complex(-w + 4, -h + 15)).line(at + complex(w - 4, -h + 15)))


def _flap(work: Work, at: complex, width: float, height: float) -> None:
    w, h = width / 2, height / 2
    shape = Curve(at + complex(-w, -h)).line(at + complex(w, -h), at + complex(w, h * 0.4))
    shape.line(at + complex(0, h + 6), at + complex(-w, h * 0.4))
    work.sheet.panel(shape, work.piece(height=3.4, origin=9 + 4j), seam=ink(work.main, 0.46))
    work.stitch(
        Curve(at + complex(-w + 6, -h + 6)).line(
            at + complex(-w + 6, h * 0.3),
            at + complex(0, h - 2),
            at + complex(w - 6, h * 0.3),
            at + complex(w - 6, -h + 6),
        )
    )
    work.button(at + complex(0, h * 0.25), 8)


def _welt(work: Work, at: complex, length: float) -> None:
    """A slanted opening with a raised lip."""
    turn = 72.0 if work.design.category != "coat" else 78.0
    work.sheet.panel(
        box(at, length, 17, 2, turn), work.piece(height=3.1, grain=turn), seam=ink(work.main, 0.5)
    )
    way = complex(np.exp(1j * np.deg2rad(turn)))
    lip = -1j * way * 8
    work.sheet.line(
        Curve(at - way * length / 2 + lip).line(at + way * length / 2 + lip),
        ink(work.main, 0.62),
        4.5,
    )


def _kangaroo(work: Work, low: float) -> None:
    half = (
        Curve(complex(0, low - 118))
        .line(complex(70, low - 118))
        .line(complex(122, low - 44), complex(122, low))
    )
    shape = half.line(complex(0, low))
    right, left = shape, shape.mirrored().reversed()
    whole = Curve(right.start).then(right).then(left)
    work.sheet.panel(whole, work.piece(height=3.0, origin=15 + 9j), seam=ink(work.main, 0.44))
    for sign in (1, -1):
        with work.sheet.mirror(sign == -1):
            work.sheet.line(
                Curve(complex(70, low - 118)).line(complex(122, low - 44)),
                ink(work.main, 0.55),
                4.5,
            )
            work.stitch(
                Curve(complex(60, low - 114)).line(complex(112, low - 40), complex(112, low - 4))
            )
    if work.design.closure == "zip":
        work.sheet.line(
            Curve(complex(0, low - 118)).line(complex(0, low)), work.metal, 8, "4.5 3.5"
        )


def draw_skirt_pockets(work: Work, waist: float, top: float) -> None:
    """Pockets of skirts."""
    kind = work.design.pockets
    at = complex(waist * 0.66 + (14 if work.design.silhouette == "flared" else 0), top + 120)
    for sign in (1, -1):
        with work.sheet.mirror(sign == -1):
            if kind == "patch":
                _patch(work, at + 4, 84, 96)
            elif kind == "flap":
                _flap(work, at - 44j, 84, 36)
            elif kind == "side":
                _slant(work, waist, top)
    if kind != "none":
        work.sheet.focus("pocket", at, 120)


def _slant(work: Work, waist: float, top: float) -> None:
    """The slanted or curved opening at the hip."""
    line = Curve(complex(waist * 0.62, top + 10)).quad(
        complex(waist * 0.72, top + 72), complex(waist + 15, top + 92)
    )
    work.sheet.line(line, ink(work.main, 0.55), 5)
    work.stitch(line.offset(9))
    work.stitch(line.offset(15))


def draw_leg_pockets(work: Work, leg: Leg) -> None:
    """Pockets of trousers and shorts, seen from the front."""
    kind = work.design.pockets
    top = -20.0
    for sign in (1, -1):
        with work.sheet.mirror(sign == -1):
            if kind in ("side", "cargo"):
                _slant(work, leg.waist, top)
            if kind == "patch":
                _patch(work, complex(leg.waist * 0.62, top + 98), 84, 96)
            if kind == "cargo":
                long = work.design.category == "trousers"
                at = leg.at(0.28 if long else 0.5) + leg.half(0.3) * 0.42
                _patch(work, at, 88, 104 if long else 80, flap=True)
    if kind != "none":
        work.sheet.focus("pocket", complex(leg.waist * 0.7, top + 90), 130)


def draw_seat_pockets(work: Work) -> None:
    """The two patches of the seat, and the yoke of jeans."""
    if work.design.fabric in ("denim", "twill", "corduroy") and work.design.pockets != "none":
        for sign in (1, -1):
            with work.sheet.mirror(sign == -1):
                _patch(work, 72 + 116j, 84, 96)
                if work.design.fabric == "denim":
                    yoke = Curve(complex(2, 52)).line(complex(140, 28))
                    work.sheet.line(yoke, work.ink, 3)
                    work.stitch(yoke.moved(7j))
    elif work.design.pockets != "none":
        for sign in (1, -1):
            with work.sheet.mirror(sign == -1):
                work.sheet.line(
                    Curve(complex(36, 76)).line(complex(112, 76)), ink(work.main, 0.5), 6
                )
