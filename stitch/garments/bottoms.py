"""Skirts on their own, trousers and shorts."""

from dataclasses import replace

import numpy as np

from stitch.curve import Curve
from stitch.garments import pockets, waists
from stitch.garments.closures import draw_fly, draw_skirt_closure
from stitch.garments.legs import Leg
from stitch.garments.logos import draw_thigh_logo
from stitch.garments.person import draw_legs_behind
from stitch.garments.skirts import draw_skirt
from stitch.garments.work import Work
from stitch.palette import darker, ink, lighter

TOP = -20.0
_SKIRT_ENDS = {"mini": 250.0, "knee": 390.0, "midi": 520.0, "maxi": 680.0}
_LEG_ENDS = {"mini": 262.0, "knee": 400.0, "ankle": 640.0, "full": 724.0}
# half widths of hip, knee and hem
_LEGS = {
    "slim": (148.0, 54.0, 38.0), "straight": (152.0, 66.0, 60.0),
    "relaxed": (162.0, 92.0, 92.0), "flared": (146.0, 58.0, 104.0),
}  # fmt: skip
_SHORT_LEGS = {"slim": 78.0, "straight": 90.0, "relaxed": 108.0}


def draw_bottom(work: Work) -> None:
    """Draw a skirt, trousers or shorts."""
    waist = 112.0 if work.design.category == "skirt" else 118.0
    if work.pose.worn:
        draw_legs_behind(work, _find_shins(work, waist))
    if work.design.category == "skirt":
        draw_skirt(work, waist, TOP, _SKIRT_ENDS[work.design.length])
        if not work.pose.back:
            draw_skirt_closure(work, TOP, _SKIRT_ENDS[work.design.length])
        pockets.draw_skirt_pockets(work, waist, TOP)
    else:
        _draw_legs(work, waist)
    waists.draw_waistband(work, waist, TOP)
    work.sheet.focus("body", complex(0, TOP + 120), 180)


def _find_shins(work: Work, waist: float) -> list[tuple[complex, complex]]:
    """Knee and foot of the right leg inside trousers or shorts."""
    if work.design.category == "skirt":
        return []
    leg = _find_leg(work, waist)
    knee = leg.at(0.5)
    return [(knee, knee + leg.way * (752 - knee.imag) / leg.way.imag)]


def _find_leg(work: Work, waist: float) -> Leg:
    design = work.design
    hip, knee, hem = _LEGS[design.silhouette]
    end = _LEG_ENDS[design.length]
    if design.category == "shorts":
        hip, knee, hem = hip + 6, _SHORT_LEGS[design.silhouette], _SHORT_LEGS[design.silhouette]
    crotch = complex(0, 196 if design.silhouette != "relaxed" else 214)
    angle = np.deg2rad(90 - 3.5 - work.pose.spread - (5 if design.category == "shorts" else 0))
    way = complex(np.exp(1j * angle))
    return Leg(waist, hip, crotch, way, (end - crotch.imag) / way.imag, knee, hem)


def _draw_legs(work: Work, waist: float) -> None:
    leg = _find_leg(work, waist)
    for sign in (1, -1):
        with work.sheet.mirror(sign == -1):
            _draw_leg(work, leg)
    work.sheet.line(Curve(complex(0, TOP)).line(leg.crotch), work.ink, 3)
    if work.pose.back:
        pockets.draw_seat_pockets(work)
    else:
        pockets.draw_leg_pockets(work, leg)
        draw_fly(work, TOP)
        at = leg.at(0.22) if work.design.category == "trousers" else complex(leg.hip * 0.54, 178)
        draw_thigh_logo(work, at)


def _draw_leg(work: Work, leg: Leg) -> None:
    design, sheet = work.design, work.sheet
    cuff = design.cuff
    depth = {"ribbed": 66.0, "elastic": 12.0}.get(cuff, 0.0) if design.category == "trousers" else (
        34.0 if cuff == "ribbed" else 0.0)  # fmt: skip
    end = 1 - depth / leg.length
    side = -1j * leg.way
    # Ribs hold the cloth so that it bags above them; elastic draws it in.
    bag = 8.0 if depth else 0.0
    held = {"ribbed": 6.0, "elastic": -15.0}.get(cuff, 0.0) if depth else 0.0
    edge = leg.edge
    hip = complex(leg.hip, TOP + 130)
    long = leg.length > 250
    shape = Curve(complex(0, TOP)).line(complex(leg.waist, TOP))
    stops = [edge(0.25, 1), edge(0.55, 1), edge(0.84, 1, bag)] if long else [edge(end * 0.5, 1)]
    shape.smooth([hip, *stops, edge(end, 1, held)])
    shape.quad(leg.at(end) + leg.way * (12 if not depth else 0), edge(end, -1, held))
    inner = [edge(0.84, -1, bag), edge(0.5, -1), edge(0.2, -1, -4)] if long else []
    shape.smooth([*inner, leg.crotch])
    grain = float(np.rad2deg(np.angle(leg.way * -1j)))
    region = work.cloth(
        grain=grain, origin=complex(10, TOP), centre=leg.at(0.4), across=side * leg.hip * 0.58
    )
    sheet.panel(shape, region, seam=work.ink)
    outer = Curve(complex(leg.waist - 9, TOP)).smooth(
        [hip - 9, edge(0.25, 1, -9), edge(0.55, 1, -9), edge(end, 1, held - 9)])  # fmt: skip
    if design.trim == "side-stripe":
        for shift in (0, -16):
            sheet.line(outer.moved(shift), work.second, 9)
    elif design.fabric == "denim" or design.trim == "contrast-stitch":
        work.stitch(outer)
    _draw_leg_folds(work, leg)
    _draw_leg_hem(work, leg, end)


def _draw_leg_folds(work: Work, leg: Leg) -> None:
    rng, sheet = work.rng, work.sheet
    side = -1j * leg.way
    for k in range(4):
        way = complex(np.exp(1j * np.deg2rad(rng.uniform(-14, 60))))
        start = leg.crotch + complex(2, -10 + 12 * k)
        sheet.crease([start, start + way * rng.uniform(50, 120)], 15, rng.uniform(0.5, 1.1))
    for t in (0.42, 0.5, 0.58, 0.84, 0.92) if leg.length > 250 else (0.6,):
        t += rng.uniform(-0.03, 0.03)
        out = rng.choice([-1.0, 1.0])
        start = leg.at(t) + side * out * leg.half(t)
        stop = leg.at(t + rng.uniform(-0.04, 0.04)) - side * out * leg.half(t) * rng.uniform(0, 0.6)
        sheet.crease([start, stop], 15, rng.uniform(0.4, 0.9))
    if work.design.silhouette in ("relaxed", "flared") or work.design.fabric == "wool":
        sheet.crease([leg.at(0.0) - 40j, leg.at(0.5), leg.at(1)], 12, 0.9)


def _draw_leg_hem(work: Work, leg: Leg, end: float) -> None:
    design, sheet, edge = work.design, work.sheet, leg.edge
    grain = float(np.rad2deg(np.angle(leg.way * -1j)))
    across = -1j * leg.way * leg.half(1)
    if end < 1:
        tight = -12.0 if design.silhouette != "slim" else -4.0
        top = -15.0 if design.cuff == "elastic" else 0.0
        shape = Curve(edge(end, 1, top)).line(edge(1, 1, tight), edge(1, -1, tight))
        shape.line(edge(end, -1, top))
        region = work.trim(grain=grain, centre=leg.at(1), across=across)
        if design.cuff == "elastic":
            region = work.cloth(grain=grain, height=2.4, centre=leg.at(1), across=across)
        sheet.panel(shape, region, seam=ink(work.edge))
        work.ribs(Curve(edge(end, 1, -2)).line(edge(end, -1, -2)),
                  Curve(edge(1, 1, tight - 2)).line(edge(1, -1, tight - 2)),
                  11.0 if design.cuff == "ribbed" else 20.0)  # fmt: skip
    elif design.cuff == "rolled":
        top = 1 - 44 / leg.length
        colour = lighter(work.main, 0.3)
        region = work.trim(grain=grain, centre=leg.at(1), across=across, height=3.0)
        region = replace(region, colour=colour)
        shape = (
            Curve(edge(top, 1, 7))
            .line(edge(1, 1, 6))
            .quad(leg.at(1) + leg.way * 14, edge(1, -1, 6))
        )
        shape.line(edge(top, -1, 7)).quad(leg.at(top) + leg.way * 14, edge(top, 1, 7))
        sheet.panel(shape, region, seam=darker(colour, 0.3))
    else:
        t = 1 - 17 / leg.length
        work.stitch(Curve(edge(t, 1, -2)).quad(leg.at(t) + leg.way * 12, edge(t, -1, -2)))
        if design.hem == "split":
            at = edge(1, 1, -14)
            sheet.blot(
                Curve(at + 4).line(at - 22, at + complex(2, -64)), work.lining, 0.4, edge=work.ink
            )
    sheet.focus("cuff", leg.at(0.95), 130)
