"""Waistbands, belts, ties, gathers."""

import numpy as np

from stitch.curve import Curve, box, circle
from stitch.garments.cut import WAIST_Y, Cut
from stitch.garments.work import Work
from stitch.palette import RGB, darker, lighter, lightness

_LEATHER: tuple[RGB, RGB] = ((74, 46, 32), (32, 30, 32))


def draw_waistband(work: Work, half: float, top: float) -> None:
    """The band at the top of a skirt, trousers or shorts."""
    design, sheet = work.design, work.sheet
    gathered = design.waist in ("elastic", "drawstring")
    depth = 46.0 if gathered else 38.0
    up = top - depth + 8
    rise = 5.0
    inside = Curve(complex(-half + 5, up)).quad(complex(0, up - 13), complex(half - 5, up))
    inside.quad(complex(0, up + 22), complex(-half + 5, up))
    if not work.pose.back and not work.pose.worn:
        sheet.blot(inside, work.lining, 0.3)
    shape = Curve(complex(-half + 4, up)).quad(complex(0, up + rise * 2.4), complex(half - 4, up))
    shape.line(complex(half + 2, top + 8)).quad(
        complex(0, top + 8 + rise * 2.4), complex(-half - 2, top + 8)
    )
    region = work.piece(height=2.5)
    sheet.panel(shape, region, seam=work.ink)
    if gathered:
        x = np.linspace(-0.94, 0.94, 22)
        bow = 1j * rise * 1.2 * (1 - x**2)
        sheet.hatch(
            x * (half - 4) + 1j * (up + 4) + bow, x * half + 1j * (top + 5) + bow, work.ink, 3
        )
        for share in np.linspace(-0.9, 0.9, 10):
            foot = complex(share * half, top + 10)
            sheet.crease([foot, foot + complex(share * 16, work.rng.uniform(40, 80))], 11, 0.7)
    else:
        work.stitch(
            Curve(complex(-half, top)).quad(complex(0, top + rise * 2.4), complex(half, top))
        )
        work.stitch(
            Curve(complex(-half + 4, up + 8)).quad(
                complex(0, up + 8 + rise * 2.4), complex(half - 4, up + 8)
            )
        )
    if not (work.pose.back and design.waist in ("drawstring", "tie")):
        _ADDED.get(design.waist, _nothing)(work, half, up, top)
    sheet.focus("waist", complex(0, top), 130)


def draw_waist(work: Work, cut: Cut) -> None:
    """What a dress or a coat has at its waist."""
    design, sheet = work.design, work.sheet
    half = cut.waist.real + 3
    y = WAIST_Y + 4
    if design.waist in ("none", "seam") or design.category not in ("dress", "coat"):
        if design.waist == "seam":
            seam = Curve(complex(-half, y)).quad(complex(0, y + 9), complex(half, y))
            sheet.line(seam, work.ink, 3.4)
            work.stitch(seam.moved(-8j))
        return
    if design.waist == "elastic":
        x = np.linspace(-0.94, 0.94, 20)
        bow = 1j * 5 * (1 - x**2)
        for level in (-16, 0):
            rows = x * half + 1j * (y + level) + bow
            sheet.hatch(rows - 8j, rows + 10j, work.ink, 3)
        for share in np.linspace(-0.9, 0.9, 10):
            for way in (-1, 1):
                foot = complex(share * half, y + way * 12)
                sheet.crease([foot, foot + complex(share * 10, way * 60)], 11, 0.7)
        for level in (-26, 14):
            sheet.line(
                Curve(complex(-half, y + level)).quad(
                    complex(0, y + level + 9), complex(half, y + level)
                ),
                work.ink,
                3,
            )
    elif design.waist == "belt":
        _draw_belt(work, half + 3, y - 20, y + 16)
    else:
        _draw_sash(work, half + 2, y - 16, y + 14)
    sheet.focus("waist", complex(0, y), 130)


def _nothing(work: Work, half: float, up: float, top: float) -> None:
    """A plain band."""


def _draw_loops(work: Work, half: float, up: float, top: float) -> None:
    for share in (-0.78, -0.42, 0.42, 0.78):
        at = complex(share * half, (up + top) / 2 + 6 + 5 * (1 - share**2))
        work.sheet.panel(
            box(at, 15, top - up + 22, 3), work.cloth(height=3.2, origin=9j), seam=work.ink
        )
    if work.design.category != "skirt":
        work.button(complex(0, (up + top) / 2 + 8), 13)


def _draw_belt(work: Work, half: float, up: float, top: float) -> None:
    colour = _LEATHER[1 if lightness(work.main) < 0.4 and work.design.colour != "black" else 0]
    if work.design.category in ("trousers", "shorts", "skirt"):
        up, top = up + 5, top + 5
    belt = (
        Curve(complex(-half, up))
        .quad(complex(0, up + 12), complex(half, up))
        .line(complex(half, top))
    )
    belt.quad(complex(0, top + 12), complex(-half, top))
    work.sheet.blot(belt, colour, 3.2, edge=darker(colour, 0.4))
    middle = complex(0, (up + top) / 2 + 6)
    height = top - up + 12
    work.sheet.blot(box(middle, 48, height, 7), work.metal, 3.8, edge=darker(work.metal, 0.5))
    work.sheet.blot(box(middle, 30, height - 18, 3), darker(colour, 0.2), 3.4)
    work.sheet.line(Curve(middle - 15).line(middle + 10), lighter(work.metal, 0.2), 5)
    for k in range(3):
        work.sheet.blot(circle(middle + 44 + 20 * k - 1j * k, 3.4), darker(colour, 0.7), 3.1)
    if work.design.category in ("trousers", "shorts"):
        for share in (-0.66, -0.36, 0.6):
            at = complex(share * half, (up + top) / 2 + 5 * (1 - share**2))
            work.sheet.panel(box(at, 12, top - up + 14, 3), work.cloth(height=3.8), seam=work.ink)


def _draw_sash(work: Work, half: float, up: float, top: float) -> None:
    """A fabric belt tied in a bow."""
    sheet = work.sheet
    sash = (
        Curve(complex(-half, up))
        .quad(complex(0, up + 12), complex(half, up))
        .line(complex(half, top))
    )
    sash.quad(complex(0, top + 12), complex(-half, top))
    sheet.panel(sash, work.piece(height=3.0, origin=7j), seam=work.ink)
    sheet.line(
        Curve(complex(-half, (up + top) / 2)).quad(
            complex(0, (up + top) / 2 + 12), complex(half, (up + top) / 2)
        ),
        work.ink,
        2.2,
    )
    if not work.pose.back:
        draw_bow(work, complex(-12, (up + top) / 2 + 6), 74, 130)


def draw_bow(work: Work, knot: complex, loop: float, tail: float) -> None:
    """Two loops and two tails."""
    sheet = work.sheet
    for sign in (1, -1):
        end = knot + complex(sign * tail * 0.3, tail)
        strip = Curve(knot + sign * 4).smooth([knot + complex(sign * tail * 0.2, tail * 0.5), end])
        strip.line(end + complex(-sign * 30, 6)).smooth([knot + complex(-sign * 2, 14)])
        sheet.panel(strip, work.piece(height=3.2, grain=sign * 10), seam=work.ink)
    for sign in (1, -1):
        far = knot + complex(sign * loop, 6)
        ring = Curve(knot).cubic(knot + complex(sign * loop * 0.4, -44), far - 34j, far)
        ring.cubic(far + 26j, knot + complex(sign * loop * 0.4, 30), knot)
        sheet.panel(ring, work.piece(height=3.6, grain=sign * 80), seam=work.ink)
        sheet.line(Curve(knot).line(knot + complex(sign * loop * 0.5, 0)), work.ink, 2.6)
    sheet.panel(box(knot, 26, 30, 9), work.piece(height=4.2), seam=work.ink)


def _draw_string(work: Work, half: float, up: float, top: float) -> None:
    cord = (238, 236, 228) if lightness(work.main) < 0.62 else (60, 60, 66)
    middle = complex(0, (up + top) / 2 + 8)
    for sign in (1, -1):
        hole = middle + sign * 16
        work.sheet.blot(circle(hole, 5), darker(cord, 0.6), 2.6)
        string = Curve(hole).smooth([hole + complex(sign * 14, 50), hole + complex(sign * 9, 104)])
        work.sheet.line(string, darker(cord, 0.35), 10)
        work.sheet.line(string, cord, 6.5)
        work.sheet.line(Curve(string.end - 12j).line(string.end), darker(cord, 0.55), 9)


def _draw_tie(work: Work, half: float, up: float, top: float) -> None:
    draw_bow(work, complex(-46, (up + top) / 2 + 8), 62, 130)


_ADDED = {
    "loops": _draw_loops,
    "belt": lambda work, half, up, top: _draw_belt(work, half + 3, up - 1, top + 3),
    "drawstring": _draw_string,
    "tie": _draw_tie,
}
