"""Necklines and collars: what lies behind the neck, what lies on the chest, and the back view."""

import numpy as np

from stitch.curve import Curve, band, circle, polyline, symmetric
from stitch.garments.cut import Cut
from stitch.garments.waists import draw_bow
from stitch.garments.work import Work
from stitch.palette import RGB, darker, ink, lightness
from stitch.paper import PLAIN, Region


def draw_behind(work: Work, cut: Cut) -> None:
    """The part of a collar that stands behind the neck: we see its inside."""
    collar = work.design.collar
    n, y = cut.neck.real, cut.neck.imag
    inside = Region(PLAIN, _inside(work), height=0.5)
    if collar == "hood":
        half = Curve(complex(0, -588)).cubic(
            complex(98, -586), complex(158, -510), complex(140, -420)
        )
        half.cubic(complex(134, -376), complex(124, -346), complex(96, y + 34)).line(
            complex(0, y + 60)
        )
        work.sheet.panel(
            symmetric(half), work.cloth(height=1.0, across=complex(150, 0)), seam=work.ink
        )
    elif collar == "roll-neck":
        return
    elif collar in _STANDS:
        rise = _STANDS[collar]
        half = Curve(complex(0, y - rise - 6)).quad(
            complex(n * 0.75, y - rise - 5), complex(n - 3, y - rise + 8)
        )
        half.line(complex(n + 5, y + 10)).quad(complex(n * 0.5, y + 24), complex(0, y + 24))
        work.sheet.panel(symmetric(half), inside, seam=work.ink)


def draw_front(work: Work, cut: Cut) -> None:
    """The neckline's binding, or the collar."""
    collar = work.design.collar
    if collar == "none":
        _draw_binding(work, cut)
    else:
        _FRONTS[collar](work, cut)
    radius = max(105.0, cut.drop * 0.62 if collar not in ("notch-lapel", "shawl") else 150)
    work.sheet.focus("collar", complex(0, cut.neck.imag + min(cut.drop, 150) * 0.5), radius)


def draw_back(work: Work, cut: Cut) -> None:
    """The collar from behind."""
    collar, sheet = work.design.collar, work.sheet
    n, y = cut.neck.real, cut.neck.imag
    line = cut.back_neckline().then(cut.back_neckline().mirrored().reversed())
    if collar == "none":
        sheet.panel(band(line, -14), work.trim(), seam=ink(work.edge))
    elif collar == "hood":
        half = Curve(complex(0, -470)).cubic(
            complex(80, -470), complex(126, -420), complex(120, -350)
        )
        half.cubic(complex(116, -300), complex(70, -226), complex(0, -218))
        sheet.panel(symmetric(half), work.cloth(height=3, across=complex(124, 0)), seam=work.ink)
        sheet.line(Curve(complex(0, -466)).line(complex(0, -222)), work.ink, 3)
    else:
        low = {"mandarin": 4, "roll-neck": -2, "funnel": 4, "bow": 0}.get(collar, 44)
        up = {"roll-neck": 60, "funnel": 44, "mandarin": 30}.get(collar, 26)
        half = Curve(complex(0, y - up)).quad(complex(n, y - up), complex(n, y - up + 10))
        half.line(complex(n + low * 0.6 + 4, y + 10 + low * 0.3))
        half.quad(complex(n * 0.6, y + 20 + low), complex(0, y + 20 + low))
        sheet.panel(symmetric(half), work.piece(height=3), seam=work.ink)


_STANDS = {
    "polo": 24.0, "point": 30.0, "button-down": 30.0, "camp": 24.0, "mandarin": 26.0,
    "peter-pan": 12.0, "bow": 20.0, "funnel": 58.0, "notch-lapel": 28.0, "shawl": 28.0,
}  # fmt: skip


def _inside(work: Work) -> RGB:
    base = work.second if work.design.trim == "contrast-edge" else work.main
    return darker(base, 0.36) if lightness(base) > 0.2 else darker(base, 0.2)


def _draw_binding(work: Work, cut: Cut) -> None:
    """A rib or a facing along the neckline."""
    line = cut.neckline().then(cut.neckline().mirrored().reversed())
    knit = work.design.fabric in (
        "jersey",
        "rib-knit",
        "fine-knit",
        "cable-knit",
        "pique",
        "fleece",
    )
    width = {"sweater": 26.0, "t-shirt": 18.0}.get(work.design.category, 14.0)
    if knit and work.design.neckline != "square":
        inner, outer = line.offset(-2), line.offset(-width)
        shape = polyline(np.concatenate([inner.points(1), outer.points(1)[::-1]]))
        work.sheet.panel(shape, work.trim(), seam=ink(work.edge))
        if work.design.category == "sweater":
            work.ribs(inner, outer, 9.0)
        else:
            work.stitch(line.offset(-width - 6))
    elif work.design.trim == "contrast-edge":
        work.sheet.panel(band(line, -16), work.trim(), seam=ink(work.edge))
    else:
        work.sheet.line(line, work.ink, 4)
        work.stitch(line.offset(-13))


def _both(work: Work, leaf: Curve, *, grain: float = 0.0, tip: complex | None = None) -> None:
    """A collar leaf on both sides, edge-stitched."""
    for sign in (1, -1):
        with work.sheet.mirror(sign == -1):
            work.sheet.panel(
                leaf,
                work.piece(height=3.6, grain=grain, origin=13 + 5j),
                seam=ink(_base(work), 0.42),
            )
            if tip is not None:
                work.button(tip, 6.5)


def _base(work: Work) -> RGB:
    return work.second if work.design.trim == "contrast-edge" else work.main


def _draw_point(work: Work, cut: Cut) -> None:
    n, y = cut.neck.real, cut.neck.imag
    down = work.design.collar == "button-down"
    tip = complex(74, y + 128) if down else complex(88, y + 118)
    leaf = Curve(complex(n - 6, y - 26)).quad(
        complex(n * 0.55, y + 24), complex(4, y + cut.drop - 6)
    )
    leaf.line(tip).quad(complex(n + 44, y + 62), complex(n + 30, y + 14))
    leaf.quad(complex(n + 14, y - 14), complex(n - 6, y - 26))
    for sign in (1, -1):
        with work.sheet.mirror(sign == -1):
            work.sheet.panel(
                leaf, work.piece(height=3.6, grain=24, origin=13 + 5j), seam=ink(_base(work), 0.45)
            )
            inner = Curve(complex(12, y + cut.drop - 2)).line(tip + complex(-4, -11)).quad(
                complex(n + 36, y + 60), complex(n + 23, y + 18))  # fmt: skip
            work.stitch(inner)
            if down:
                work.button(tip + complex(-7, -16), 7.5)


def _draw_polo(work: Work, cut: Cut) -> None:
    n, y = cut.neck.real, cut.neck.imag
    tip = complex(78, y + 92)
    leaf = Curve(complex(n - 5, y - 20)).quad(
        complex(n * 0.6, y + 26), complex(10, y + cut.drop - 8)
    )
    leaf.quad(complex(44, y + 104), tip).quad(complex(n + 36, y + 54), complex(n + 26, y + 12))
    leaf.quad(complex(n + 12, y - 10), complex(n - 5, y - 20))
    for sign in (1, -1):
        with work.sheet.mirror(sign == -1):
            work.sheet.panel(leaf, work.trim(height=3.6), seam=ink(work.edge, 0.45))
            rim = Curve(complex(16, y + cut.drop + 3)).quad(
                complex(44, y + 94), tip + complex(-5, -10)
            )
            rim.quad(complex(n + 28, y + 52), complex(n + 18, y + 14))
            colour = work.main if work.design.trim == "contrast-edge" else ink(work.edge, 0.3)
            work.sheet.line(rim, colour, 4)


def _draw_camp(work: Work, cut: Cut) -> None:
    """An open, flat collar with a short lapel."""
    n, y = cut.neck.real, cut.neck.imag
    low = cut.throat
    lapel = Curve(low + 2).line(
        complex(94, y + 86), complex(n + 8, y + 44), complex(n - 16, y + 22)
    )
    lapel.quad(complex(n * 0.5, y + 52), low)
    _both(work, lapel, grain=30)
    top = Curve(complex(n - 6, y - 20)).line(
        complex(n - 20, y + 38), complex(n + 44, y + 74), complex(n + 36, y + 14)
    )
    top.quad(complex(n + 16, y - 10), complex(n - 6, y - 20))
    _both(work, top, grain=-20)


def _draw_mandarin(work: Work, cut: Cut) -> None:
    n, y = cut.neck.real, cut.neck.imag
    high = work.design.category == "jacket"
    rise = 34.0 if high else 30.0
    gap = 3.0 if high else 8.0
    half = Curve(complex(gap, cut.throat.imag + 3)).cubic(
        complex(n * 0.6, cut.throat.imag + 2),
        complex(n + 4, y + cut.drop * 0.6),
        complex(n + 6, y + 8),
    )
    half.line(complex(n - 1, y - rise + 4))
    half.cubic(
        complex(n - 4, y + 8),
        complex(n * 0.58, cut.throat.imag - rise),
        complex(gap + 3, cut.throat.imag - rise + 2),
    )
    for sign in (1, -1):
        with work.sheet.mirror(sign == -1):
            ribbed = high and work.design.hem == "ribbed"
            region = work.trim(height=3.0) if ribbed else work.piece(height=3.0, grain=30)
            work.sheet.panel(half, region, seam=ink(_base(work), 0.42))
            if ribbed:
                top = Curve(complex(n - 1, y - rise + 4)).cubic(
                    complex(n - 4, y + 8),
                    complex(n * 0.58, cut.throat.imag - rise),
                    complex(gap + 3, cut.throat.imag - rise + 2),
                )
                low = Curve(complex(n + 6, y + 8)).cubic(
                    complex(n + 4, y + cut.drop * 0.6),
                    complex(n * 0.6, cut.throat.imag + 2),
                    complex(gap, cut.throat.imag + 3),
                )
                work.ribs(top, low, 9)
    if work.design.closure in ("buttons", "henley", "hidden") and work.design.category != "jacket":
        work.button(complex(0, cut.throat.imag - 10), 7)


def _draw_peter_pan(work: Work, cut: Cut) -> None:
    n, y = cut.neck.real, cut.neck.imag
    leaf = Curve(complex(n - 2, y - 8)).cubic(
        complex(n - 2, y + 34), complex(n * 0.6, y + cut.drop - 2), complex(2, y + cut.drop)
    )
    leaf.cubic(complex(6, y + 124), complex(84, y + 128), complex(112, y + 62))
    leaf.quad(complex(122, y + 20), complex(n + 32, y + 8)).quad(
        complex(n + 12, y - 4), complex(n - 2, y - 8)
    )
    _both(work, leaf, grain=20)
    rim = Curve(complex(12, y + cut.drop + 14)).cubic(
        complex(24, y + 112), complex(80, y + 112), complex(102, y + 60)
    )
    for sign in (1, -1):
        with work.sheet.mirror(sign == -1):
            work.stitch(rim)


def _draw_bow_collar(work: Work, cut: Cut) -> None:
    line = cut.neckline().then(cut.neckline().mirrored().reversed())
    strip = polyline(np.concatenate([line.offset(16).points(1), line.offset(-14).points(1)[::-1]]))
    work.sheet.panel(strip, work.piece(height=2.8, grain=20), seam=work.ink)
    draw_bow(work, cut.throat + 10j, 92, 176)


def _draw_roll_neck(work: Work, cut: Cut) -> None:
    n, y = cut.neck.real, cut.neck.imag
    half = Curve(complex(0, y - 66)).quad(complex(n * 0.8, y - 66), complex(n + 2, y - 56))
    half.quad(complex(n + 12, y - 16), complex(n + 8, y + 14))
    half.quad(complex(n * 0.6, y + 54), complex(0, y + 54))
    work.sheet.panel(
        symmetric(half), work.trim(height=3.0, across=complex(n + 10, 0)), seam=ink(work.edge)
    )
    top = Curve(complex(-n, y - 56)).quad(complex(0, y - 42), complex(n, y - 56))
    fold = Curve(complex(-n - 9, y + 4)).quad(complex(0, y + 40), complex(n + 9, y + 4))
    work.ribs(top, fold, 10)
    work.sheet.line(fold, ink(work.edge, 0.45), 4)
    mouth = Curve(complex(-n + 2, y - 57)).quad(complex(0, y - 74), complex(n - 2, y - 57))
    mouth.quad(complex(0, y - 40), complex(-n + 2, y - 57))
    if not work.pose.worn:
        work.sheet.blot(mouth, work.lining, 2.4, edge=ink(work.edge))


def _draw_funnel(work: Work, cut: Cut) -> None:
    n, y = cut.neck.real, cut.neck.imag
    half = Curve(complex(0, y - 36)).quad(complex(n * 0.7, y - 38), complex(n - 1, y - 54))
    half.line(complex(n + 9, y + 12)).quad(complex(n * 0.6, cut.throat.imag + 6), cut.throat + 6j)
    work.sheet.panel(symmetric(half), work.piece(height=3.0), seam=ink(_base(work), 0.42))
    rim = Curve(complex(n + 1, y - 46)).quad(complex(n * 0.7, y - 28), complex(0, y - 26))
    for sign in (1, -1):
        with work.sheet.mirror(sign == -1):
            work.stitch(rim)
    if work.design.closure in ("zip", "half-zip"):
        work.sheet.line(
            Curve(complex(0, y - 36)).line(cut.throat + 10j), darker(work.metal, 0.3), 11
        )
        work.sheet.line(Curve(complex(0, y - 36)).line(cut.throat + 10j), work.metal, 5, "4 3")


def _draw_lapels(work: Work, cut: Cut) -> None:
    """Notched lapels: the collar above, the lapel below, a notch between them."""
    n, y, low = cut.neck.real, cut.neck.imag, cut.throat
    lapel = Curve(low + complex(8, 4)).cubic(
        complex(60, -90), complex(122, -170), complex(136, -226)
    )
    lapel.line(complex(72, -262), complex(n - 4, y + 26)).quad(
        complex(n * 0.56, y + cut.drop * 0.42), low
    )
    _both(work, lapel, grain=22)
    top = Curve(complex(n - 4, y - 24)).line(
        complex(n - 10, y + 42), complex(82, -254), complex(118, -282), complex(n + 30, y + 8)
    )
    top.quad(complex(n + 14, y - 16), complex(n - 4, y - 24))
    _both(work, top, grain=-24)


def _draw_shawl(work: Work, cut: Cut) -> None:
    """One rounded collar that runs down to the first button."""
    n, y, low = cut.neck.real, cut.neck.imag, cut.throat
    leaf = Curve(complex(n - 4, y - 24)).quad(complex(n * 0.75, y + cut.drop * 0.5), low)
    leaf.line(low + complex(10, 12)).cubic(
        complex(104, -140), complex(142, -240), complex(n + 34, y + 10)
    )
    leaf.quad(complex(n + 14, y - 14), complex(n - 4, y - 24))
    ribbed = work.design.category == "sweater"
    for sign in (1, -1):
        with work.sheet.mirror(sign == -1):
            region = work.trim(height=3.6) if ribbed else work.piece(height=3.6, grain=26)
            work.sheet.panel(leaf, region, seam=ink(_base(work), 0.45))


def _draw_hood(work: Work, cut: Cut) -> None:
    """The opening and its rim; the hood's back was drawn behind the neck."""
    y, low = cut.neck.imag, cut.throat
    half = Curve(complex(0, -552)).cubic(complex(70, -552), complex(108, -492), complex(100, -418))
    half.cubic(complex(96, -360), complex(52, -300), low)
    mouth = symmetric(half)
    if not work.pose.worn:
        work.sheet.blot(mouth, darker(work.lining, 0.1), 0.3)
        seam = Curve(complex(0, -548)).line(complex(0, y - 10))
        work.sheet.line(seam, darker(work.lining, 0.35), 3)
    outer = Curve(complex(0, -588)).cubic(complex(98, -586), complex(158, -510), complex(140, -420))
    outer.cubic(complex(134, -350), complex(96, -282), low + 26j)
    right = Curve(outer.start).then(outer).line(low).then(half.reversed())
    for sign in (1, -1):
        with work.sheet.mirror(sign == -1):
            work.sheet.panel(right, work.piece(height=3.2, grain=8), seam=work.ink)
            rim = polyline(half.offset(-13).points(1))
            work.stitch(rim)
            work.sheet.crease([complex(124, -440), complex(100, -340), complex(50, -270)], 18, 1.0)
    if work.design.category == "hoodie":
        _draw_cords(work, low)


def _draw_cords(work: Work, low: complex) -> None:
    cord = (240, 238, 232) if lightness(work.main) < 0.62 else (58, 58, 64)
    for sign in (1, -1):
        with work.sheet.mirror(sign == -1):
            hole = low + complex(30, -24)
            work.sheet.blot(circle(hole, 5.5), darker(cord, 0.5), 3.4)
            string = Curve(hole).smooth([hole + complex(7, 60), hole + complex(2, 128)])
            work.sheet.line(string, darker(cord, 0.4), 9.5)
            work.sheet.line(string, cord, 6)
            work.sheet.line(Curve(string.end - 13j).line(string.end), darker(cord, 0.55), 9)


_FRONTS = {
    "polo": _draw_polo, "point": _draw_point, "button-down": _draw_point, "camp": _draw_camp,
    "mandarin": _draw_mandarin, "peter-pan": _draw_peter_pan, "bow": _draw_bow_collar,
    "roll-neck": _draw_roll_neck, "funnel": _draw_funnel, "notch-lapel": _draw_lapels,
    "shawl": _draw_shawl, "hood": _draw_hood,
}  # fmt: skip
