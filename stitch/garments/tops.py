"""Everything with shoulders: T-shirts to coats, and dresses."""

from dataclasses import replace

import numpy as np

from stitch.curve import Curve, band, box, polyline, symmetric
from stitch.garments import collars, pockets, waists
from stitch.garments.closures import draw_closure
from stitch.garments.cut import WAIST_Y, Cut, measure
from stitch.garments.frills import draw_frill
from stitch.garments.logos import draw_logo
from stitch.garments.person import draw_body_above, draw_body_behind
from stitch.garments.skirts import draw_skirt
from stitch.garments.sleeves import draw_sleeve
from stitch.garments.work import Work
from stitch.palette import RGB, ink
from stitch.paper import PLAIN, Region


def draw_top(work: Work) -> None:
    """Sew a top from back to front."""
    cut = measure(work.design)
    back = work.pose.back
    if work.pose.worn:
        draw_body_behind(work, cut)
    if not back:
        _draw_inside(work, cut)
        collars.draw_behind(work, cut)
        if work.pose.worn:
            draw_body_above(work, cut)
    # A raglan sleeve lies on the body up to the neck; others end below its armhole seam.
    if work.design.sleeve_shape == "raglan":
        bodice = _draw_body(work, cut)
        _draw_sleeves(work, cut)
    else:
        _draw_sleeves(work, cut)
        bodice = _draw_body(work, cut)
    if not back:
        draw_closure(work, cut, bodice)
        pockets.draw_top_pockets(work, cut)
    waists.draw_waist(work, cut)
    if back:
        collars.draw_back(work, cut)
    else:
        collars.draw_front(work, cut)
        draw_logo(work, cut)
    work.sheet.focus("body", complex(0, -80), 190)


def _draw_sleeves(work: Work, cut: Cut) -> None:
    for side in (0, 1):
        draw_sleeve(work, cut, side)


def _draw_inside(work: Work, cut: Cut) -> None:
    """The inside of the back, seen through the neck opening, with a label."""
    half = Curve(cut.back_neckline().end - 2j).then(cut.back_neckline().reversed())
    half.line(cut.neck * 0.6 + cut.shoulder * 0.4 + 8j)
    half.line(
        complex(cut.shoulder.real * 0.8, cut.throat.imag + 26), complex(0, cut.throat.imag + 26)
    )
    work.sheet.panel(symmetric(half), Region(PLAIN, work.lining, height=0.2))
    edge = cut.back_neckline().then(cut.back_neckline().mirrored().reversed())
    if cut.kind not in ("hood", "roll-neck"):
        rib = Region(PLAIN, _shade(work), height=0.4)
        work.sheet.panel(band(edge, -13), rib, seam=work.ink)
    if not work.pose.worn and work.design.collar not in ("roll-neck", "hood", "bow"):
        work.sheet.blot(box(complex(0, cut.neck.imag + 38), 34, 17, 2), (226, 222, 212), 0.3)


def _shade(work: Work) -> RGB:
    r, g, b = work.edge
    return (round(r * 0.72), round(g * 0.72), round(b * 0.74))


def _body_half(work: Work, cut: Cut, bottom: complex) -> Curve:
    """The right half of the body from the hem's middle to the throat."""
    hem = _hem_line(work, cut, bottom)
    side = cut.side() if bottom == cut.hem else _short_side(cut, bottom)
    if abs(hem.end - side.start) > 1:  # a curved hem ends higher on the side
        side = replace(cut, hem=hem.end).side()
    half = hem.then(side)
    # A raglan sleeve covers the armhole: no hollow must show beside its seam.
    raglan = work.design.sleeve_shape == "raglan"
    half.then(Curve(cut.pit).line(cut.shoulder) if raglan else cut.armhole())
    half.then(cut.shoulder_line())
    return half.then(cut.back_neckline() if work.pose.back else cut.neckline())


def _short_side(cut: Cut, bottom: complex) -> Curve:
    return Curve(bottom).smooth([(bottom * 0.5 + cut.pit * 0.5) - 4, cut.pit])


def _hem_line(work: Work, cut: Cut, corner: complex) -> Curve:
    """From the axis to the right corner."""
    hem = work.design.hem if corner == cut.hem else "straight"
    if hem == "curved":
        low = corner.imag + 34
        return Curve(complex(0, low)).cubic(
            complex(corner.real * 0.55, low), complex(corner.real * 0.8, corner.imag - 2),
            corner - 36j)  # fmt: skip
    return Curve(complex(0, corner.imag + 9)).quad(
        complex(corner.real * 0.6, corner.imag + 9), corner
    )


def _draw_body(work: Work, cut: Cut) -> Curve:
    """Front (or back) panel with its hem; returns the outline."""
    design, sheet = work.design, work.sheet
    skirted = design.category == "dress" and (
        design.waist != "none" or design.silhouette == "flared"
    )
    bottom = complex(cut.waist.real, WAIST_Y + 6) if skirted else cut.hem
    ribbed = design.hem == "ribbed" and not skirted
    if ribbed:
        bottom = bottom - 42j
    if skirted:
        draw_skirt(work, cut.waist.real, WAIST_Y, cut.hem.imag)
    half = _body_half(work, cut if not ribbed else _raised(cut), bottom)
    outline = symmetric(half)
    region = work.cloth(
        origin=complex(0, 0), centre=complex(0, 0), across=complex(cut.pit.real + 8, 0)
    )
    if design.hem == "ruffle" and not skirted:
        line = _hem_line(work, cut, bottom)
        draw_frill(work, line.mirrored().reversed().then(line).points(12), 1.14, 60)
    sheet.panel(outline, region, seam=work.ink)
    if not skirted:
        _finish_hem(work, cut, bottom, ribbed)
    _draw_folds(work, cut, bottom)
    if work.pose.back and design.category in ("shirt", "jacket", "coat"):
        yoke = Curve(cut.pit + complex(-22, -62)).quad(
            complex(0, cut.pit.imag - 84), -(cut.pit.conjugate()) + complex(22, -62)
        )
        sheet.line(yoke, work.ink, 3.4)
        work.stitch(yoke.moved(7j))
    if design.category == "jacket" and design.fabric == "denim" and not work.pose.back:
        _draw_trucker_seams(work, cut, bottom)
    return outline


def _raised(cut: Cut) -> Cut:
    return replace(cut, hem=cut.hem - 42j)


def _finish_hem(work: Work, cut: Cut, bottom: complex, ribbed: bool) -> None:
    design, sheet = work.design, work.sheet
    line = _hem_line(work, cut, bottom)
    whole = line.mirrored().reversed().then(line)
    if ribbed:
        low = Curve(complex(-bottom.real + 9, cut.hem.imag)).quad(
            complex(0, cut.hem.imag + 10), complex(bottom.real - 9, cut.hem.imag))  # fmt: skip
        top = Curve(-bottom.conjugate()).quad(complex(0, bottom.imag + 10), bottom)
        shape = polyline(np.concatenate([top.points(), low.points()[::-1]]))
        region = work.trim(across=complex(bottom.real, 0))
        sheet.panel(shape, region, seam=ink(work.edge))
        work.ribs(top, low)
        for x in np.linspace(-0.9, 0.9, 9):
            foot = complex(x * bottom.real, bottom.imag + 2)
            sheet.crease([foot, foot - complex(x * 14, work.rng.uniform(40, 80))], 13, 0.5)
        return
    if design.hem == "split":
        for sign in (1, -1):
            at = complex(sign * (bottom.real - 16), bottom.imag + 7)
            notch = Curve(at + sign * 9).line(at - sign * 13, at + complex(sign * 3, -84))
            sheet.blot(notch, work.lining, 0.4, edge=work.ink)
            work.stitch(Curve(at + complex(-sign * 22, -4)).line(at + complex(-sign * 5, -92)))
    if design.hem == "knotted":
        _draw_knot(work, bottom)
        return
    if design.hem == "ruffle":
        return
    sheet.line(whole, work.ink, 3)
    if design.trim == "contrast-edge":
        sheet.panel(band(whole, -17), work.trim(across=complex(bottom.real, 0)))
    else:
        work.stitch(whole.offset(-14))
    sheet.focus("hem", bottom - 20 - 20j, 130)


def _draw_knot(work: Work, bottom: complex) -> None:
    sheet, at = work.sheet, complex(0, bottom.imag - 4)
    for sign in (1, -1):
        tail = Curve(at).smooth([at + complex(sign * 24, 30), at + complex(sign * 34, 84)])
        tail.line(at + complex(sign * 8, 78)).smooth([at + complex(0, 10)])
        sheet.panel(tail, work.cloth(height=2.8, grain=sign * 20), seam=work.ink)
        for k in range(5):
            out = complex(sign * (34 + 34 * k), -14 - 34 * k * (0.3 + 0.12 * k))
            sheet.crease([at, at + out * 0.5, at + out], 12, 0.9 - 0.1 * k)
            sheet.line(Curve(at + out * 0.14).line(at + out * 0.5), work.ink, 2.4)
    sheet.panel(box(at, 44, 34, 15), work.cloth(height=3.2, grain=15), seam=work.ink)


def _draw_trucker_seams(work: Work, cut: Cut, bottom: complex) -> None:
    yoke_y = cut.pit.imag - 18
    for sign in (1, -1):
        yoke = Curve(complex(sign * 16, yoke_y)).line(complex(sign * (cut.pit.real - 24), yoke_y))
        work.sheet.line(yoke, work.ink, 3)
        work.stitch(yoke.moved(7j))
        for x in (0.36, 0.66):
            seam = Curve(complex(sign * cut.pit.real * x, yoke_y + 70)).line(
                complex(sign * cut.pit.real * (x - 0.12), bottom.imag - 6))  # fmt: skip
            work.sheet.line(seam, work.ink, 3)
            work.stitch(seam.moved(sign * 6))


def _draw_folds(work: Work, cut: Cut, bottom: complex) -> None:
    rng, sheet = work.rng, work.sheet
    for sign in (1, -1):
        with sheet.mirror(sign == -1):
            for k in range(4):
                start = cut.pit + complex(-4, 8 * k - 6)
                way = np.exp(1j * np.deg2rad(rng.uniform(100, 176)))
                length = rng.uniform(50, 130)
                sheet.crease([start, start + complex(way) * length], 15, rng.uniform(0.5, 1.0))
            for _ in range(3):
                y = rng.uniform(cut.pit.imag + 60, max(bottom.imag - 20, cut.pit.imag + 90))
                start = complex(cut.waist.real + 8, y)
                span = complex(-rng.uniform(40, 120), rng.uniform(-50, 50))
                sheet.crease(
                    [start, start + span * 0.5 - 4j, start + span], 16, rng.uniform(0.3, 0.9)
                )
    for _ in range(5):
        x = rng.uniform(-0.8, 0.8) * cut.waist.real
        top = rng.uniform(cut.pit.imag + 40, bottom.imag - 40)
        sheet.crease(
            [complex(x, top), complex(x + rng.uniform(-22, 22), bottom.imag)],
            20,
            rng.uniform(0.2, 0.7),
        )
