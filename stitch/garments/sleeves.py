"""Sleeves and their cuffs."""

from dataclasses import dataclass, replace

import numpy as np

from stitch.curve import Curve
from stitch.garments.cut import Cut
from stitch.garments.work import Work
from stitch.palette import darker, ink, lighter
from stitch.paper import Region

LENGTHS = {"cap": 52.0, "short": 158.0, "elbow": 250.0, "long": 436.0}
ELBOW = 222.0

# half widths at the shoulder, the elbow and the wrist
_WIDTHS = {
    "slim": (64.0, 50.0, 35.0), "straight": (70.0, 58.0, 42.0), "relaxed": (76.0, 68.0, 52.0),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Arm:
    """The line an arm follows, and how far the sleeve stands off it."""

    joint: complex
    upper: complex
    lower: complex
    length: float
    widths: tuple[float, float, float]

    def at(self, t: float) -> complex:
        """The point of the axis at distance t from the joint."""
        if t <= ELBOW:
            return self.joint + self.upper * t
        return self.joint + self.upper * ELBOW + self.lower * (t - ELBOW)

    def heading(self, t: float) -> complex:
        """Unit direction of the axis, turning over a stretch around the elbow."""
        share = min(1.0, max(0.0, (t - ELBOW + 40) / 80))
        way = self.upper * (1 - share) + self.lower * share
        return way / abs(way)

    def edge(self, t: float, out: float, extra: float = 0.0) -> complex:
        """The outer (out = 1) or inner (out = -1) edge at distance t."""
        return self.at(t) - 1j * self.heading(t) * out * (self.width(t) + extra)

    def width(self, t: float) -> float:
        """Half the sleeve's width at distance t."""
        return float(np.interp(t, [0, ELBOW, LENGTHS["long"]], self.widths))


def find_arm(work: Work, cut: Cut, side: int) -> Arm:
    """The arm on one side (0 right, 1 left); both are drawn as right ones."""
    angle, bend = work.pose.arms[side], work.pose.bends[side]
    upper, lower = (complex(np.exp(1j * np.deg2rad(90 - a))) for a in (angle, angle + bend))
    design = work.design
    widths = _WIDTHS.get(design.silhouette, _WIDTHS["slim"])
    if design.category in ("coat", "jacket", "hoodie"):
        widths = (widths[0] + 6, widths[1] + 5, widths[2] + 5)
    if design.sleeve_shape == "bell":
        flare = 26 if design.sleeve_length == "elbow" else -4
        widths = (widths[0] - 8, widths[1] + flare, widths[2] + 52)
    if design.sleeve_shape == "puff":
        widths = (widths[0] + 2, widths[1] + 12, widths[2])
    joint = (cut.shoulder * 0.48 + cut.pit * 0.52) + (-6 if angle < 40 else 0)
    return Arm(joint, upper, lower, LENGTHS.get(design.sleeve_length, 0.0), widths)


def draw_sleeve(work: Work, cut: Cut, side: int) -> None:
    """Draw one sleeve with its cuff."""
    if work.design.sleeve_length == "none":
        return
    arm = find_arm(work, cut, side)
    with work.sheet.mirror(side == 1):
        if work.design.sleeve_length == "cap":
            _draw_cap(work, cut, arm)
        elif work.design.sleeve_shape == "puff" and work.design.sleeve_length != "long":
            _draw_ball(work, cut, arm)
        else:
            _draw_tube(work, cut, arm)


def _region(work: Work, arm: Arm, t: float, height: float) -> Region:
    """Cloth whose grain follows the arm at distance t."""
    heading = arm.heading(t)
    turn = float(np.rad2deg(np.angle(heading * -1j)))
    across = -1j * heading * (arm.width(t) + 6)
    return work.cloth(grain=turn, origin=arm.at(0), centre=arm.at(t), across=across, height=height)


def _draw_cap(work: Work, cut: Cut, arm: Arm) -> None:
    tip = cut.shoulder + arm.upper * 48 + 34
    shape = Curve(cut.shoulder - 12 - 4j).quad(cut.shoulder + 34 + 10j, tip)
    low = cut.pit * 0.5 + cut.shoulder * 0.5 - 4
    shape.quad(tip - 22 + 34j, low).line(cut.shoulder - 60 + 60j, cut.shoulder - 60 + 10j)
    work.sheet.panel(shape, work.cloth(height=1.4, tone=0.97, grain=-30), seam=work.ink)
    hem = Curve(tip - 10 - 2j).quad(tip - 32 + 28j, low - 12 - 4j)
    work.stitch(hem)


def _draw_ball(work: Work, cut: Cut, arm: Arm) -> None:
    """A short puff sleeve: gathered at the shoulder and at the band."""
    end = arm.length - 24
    puff = 34.0
    out = [arm.edge(end * 0.18, 1, puff * 0.9), arm.edge(end * 0.55, 1, puff), arm.edge(end, 1, 4)]
    inner = [arm.edge(end, -1, 2), arm.edge(end * 0.62, -1, puff * 0.5), cut.pit]
    shape = Curve(cut.shoulder - 10).smooth(out, 0.2).line(inner[0]).smooth(inner[1:], 0.2)
    shape.line(complex(cut.pit.real - 60, cut.pit.imag - 10), cut.shoulder + complex(-60, 20))
    work.sheet.panel(shape, _region(work, arm, end * 0.5, 1.4), seam=work.ink)
    for share in np.linspace(-0.8, 0.8, 6):
        low, high = arm.at(end) - 1j * arm.upper * share * arm.width(end), arm.at(end * 0.6)
        high += -1j * arm.upper * share * (arm.width(end * 0.6) + puff)
        work.sheet.crease([low, high], 13, 0.8)
        work.sheet.line(Curve(low).line(low + (high - low) * 0.32), work.ink, 2.6)
        top = cut.shoulder * (0.5 - share / 2) + (cut.pit * 0.3 + cut.shoulder * 0.7) * (
            0.5 + share / 2
        )
        work.sheet.crease([top, top + arm.upper * 40 + 24], 12, 0.8)
    _draw_cuff(work, arm, work.design.cuff, end)


def _draw_tube(work: Work, cut: Cut, arm: Arm) -> None:
    design = work.design
    cuff = design.cuff
    length = arm.length
    long = design.sleeve_length == "long"
    puff = 20.0 if design.sleeve_shape == "puff" else 0.0
    body_end = length - {"ribbed": 46 if long else 22, "buttoned": 52, "elastic": 20}.get(cuff, 0)
    top = cut.shoulder
    stops = [t for t in (12.0, 74.0, 140.0, ELBOW, 300.0, 370.0) if t < body_end - 20]

    def bulge(t: float) -> float:
        rise = puff * np.sin(np.pi * min(1, t / body_end)) ** 0.5
        # Cloth gathers above a cuff that holds it.
        loose = 11 if cuff in ("ribbed", "elastic", "buttoned") and long else 0
        return float(rise + loose * np.exp(-(((body_end - 36 - t) / 36) ** 2)))

    # The shoulder's slope goes on a little before the arm turns down.
    outer_stops = [t for t in (52.0, *stops[2:]) if t < body_end - 20]
    outer = [top + 34 + 20j, *(arm.edge(t, 1, bulge(t)) for t in (*outer_stops, body_end))]
    # Near the armpit the inner edge runs below the body; a raglan sleeve lies above it.
    hidden = 200 if design.sleeve_shape == "raglan" else 20
    inner_stops = [t for t in stops[::-1] if t > hidden]
    inner = [arm.edge(t, -1, bulge(t)) for t in (body_end, *inner_stops)]
    start = cut.neck if design.sleeve_shape == "raglan" else top
    shape = Curve(start)
    if design.sleeve_shape == "raglan":
        shape.line(start + (top - start) * 0.7)
    shape.smooth(outer)
    heading = arm.heading(body_end)
    shape.quad(arm.at(body_end) + heading * (12 if cuff in ("plain", "rolled") else 0), inner[0])
    shape.smooth([*inner[1:], cut.pit])
    if design.sleeve_shape != "raglan":  # tucked under the body
        shape.line(complex(cut.pit.real - 60, cut.pit.imag - 10), top + complex(-60, 20))
    if design.sleeve_shape == "raglan":
        shape.quad(complex(cut.pit.real - 46, cut.pit.imag - 84), cut.neck + 2 + 14j)
    height = 2.3 if design.sleeve_shape == "raglan" else 1.4
    work.sheet.panel(shape, _region(work, arm, 60, height), seam=work.ink)
    if body_end > ELBOW + 30:
        low = [t for t in stops if t >= ELBOW]
        forearm = Curve(arm.edge(ELBOW, 1, bulge(ELBOW)))
        forearm.smooth([arm.edge(t, 1, bulge(t)) for t in (*low[1:], body_end)])
        forearm.line(arm.edge(body_end, -1, bulge(body_end)))
        forearm.smooth([arm.edge(t, -1, bulge(t)) for t in low[::-1]])
        work.sheet.refine(forearm, _region(work, arm, (ELBOW + body_end) / 2, height))
    _draw_sleeve_folds(work, arm, body_end)
    _draw_cuff(work, arm, cuff, body_end)


def _draw_sleeve_folds(work: Work, arm: Arm, end: float) -> None:
    rng, sheet = work.rng, work.sheet
    sharp = abs(arm.lower - arm.upper) > 0.3
    for t in np.arange(30, end, 62):
        t += rng.uniform(-18, 18)
        near_elbow = np.exp(-(((t - ELBOW) / 60) ** 2))
        slant = rng.uniform(-34, 34)
        inner, outer = arm.edge(t, -1), arm.edge(min(end, max(0, t + slant)), 1)
        share = rng.uniform(0.35, 0.75)
        strength = (0.45 + 0.5 * near_elbow * (2 if sharp else 1)) * rng.uniform(0.5, 1.1)
        sheet.crease([inner, inner + (outer - inner) * share], 13, float(strength))


def _draw_cuff(work: Work, arm: Arm, cuff: str, start: float) -> None:
    sheet, end = work.sheet, arm.length
    heading = arm.heading(end)
    turn = float(np.rad2deg(np.angle(heading * -1j)))
    across = -1j * heading * (arm.width(end) + 6)
    middle = (arm.at(start) + arm.at(end)) / 2
    if cuff == "ribbed":
        shape = Curve(arm.edge(start, 1, -1)).line(arm.edge(end, 1, -8)).line(arm.edge(end, -1, -8))
        sheet.panel(
            shape.line(arm.edge(start, -1, -1)),
            work.trim(grain=turn, centre=middle, across=across),
            seam=ink(work.edge),
        )
        work.ribs(Curve(arm.edge(start, 1, -2)).line(arm.edge(start, -1, -2)),
                  Curve(arm.edge(end, 1, -9)).line(arm.edge(end, -1, -9)))  # fmt: skip
    elif cuff == "buttoned":
        shape = Curve(arm.edge(start, 1, 0)).line(arm.edge(end, 1, 2)).line(arm.edge(end, -1, 2))
        region = work.piece(height=2.2, grain=turn, origin=middle + 17)
        sheet.panel(shape.line(arm.edge(start, -1, 0)), region, seam=work.ink)
        work.stitch(Curve(arm.edge(start + 7, 1, -2)).line(arm.edge(start + 7, -1, -2)))
        work.stitch(Curve(arm.edge(end - 7, 1, -2)).line(arm.edge(end - 7, -1, -2)))
        work.button(middle - 1j * heading * arm.width(end) * 0.3, 8)
    elif cuff == "rolled":
        _draw_roll(work, arm, heading, turn, across)
    elif cuff == "elastic":
        frill = 8
        shape = Curve(arm.edge(start, 1, -8)).line(arm.edge(end, 1, frill))
        shape.quad(arm.at(end) + heading * 10, arm.edge(end, -1, frill)).line(
            arm.edge(start, -1, -8)
        )
        sheet.panel(shape, work.piece(height=2.0, grain=turn, origin=middle + 20), seam=work.ink)
        _gather(work, arm, start)
    else:
        heavy = Curve(arm.edge(end - 17, 1, -2)).quad(arm.at(end - 17) + heading * 12,
                                                      arm.edge(end - 17, -1, -2))  # fmt: skip
        work.stitch(heavy)
        if work.design.trim == "contrast-edge":
            strip = Curve(arm.edge(end - 15, 1, 1)).line(arm.edge(end, 1, 1))
            strip.quad(arm.at(end) + heading * 12, arm.edge(end, -1, 1)).line(
                arm.edge(end - 15, -1, 1)
            )
            strip.quad(arm.at(end - 15) + heading * 12, arm.edge(end - 15, 1, 1))
            sheet.panel(strip, work.trim(grain=turn, centre=middle, across=across))
    sheet.focus("cuff", arm.at(end - 24), 120)


def _draw_roll(work: Work, arm: Arm, heading: complex, turn: float, across: complex) -> None:
    """Turned up twice: a wide band, lighter because it is the wrong side of the cloth."""
    end, sheet = arm.length, work.sheet
    depth = 54 if work.design.sleeve_length == "long" else 38
    start = end - depth
    shape = Curve(arm.edge(start, 1, 9)).line(arm.edge(end, 1, 7))
    shape.quad(arm.at(end) + heading * 13, arm.edge(end, -1, 7)).line(arm.edge(start, -1, 9))
    shape.quad(arm.at(start) + heading * 13, arm.edge(start, 1, 9))
    colour = work.second if work.design.trim == "contrast-edge" else lighter(work.main, 0.24)
    region = work.trim(height=3.0, grain=turn, centre=arm.at(end), across=across)
    region = replace(region, colour=colour)
    sheet.panel(shape, region, seam=darker(colour, 0.3))
    fold = Curve(arm.edge(start + depth * 0.5, 1, 8)).quad(
        arm.at(start + depth * 0.5) + heading * 13, arm.edge(start + depth * 0.5, -1, 8)
    )
    sheet.line(fold, darker(colour, 0.25), 3)


def _gather(work: Work, arm: Arm, start: float) -> None:
    """Short lines where cloth is drawn together."""
    heading = arm.heading(start)
    shares = np.linspace(-0.8, 0.8, 7)
    base = arm.at(start) - 1j * heading * shares * (arm.width(start) - 6)
    work.sheet.hatch(base, base - heading * 26 - 1j * heading * shares * 10, work.ink, 2.6)
    for point, share in zip(base, shares, strict=True):
        work.sheet.crease(
            [complex(point), complex(point - heading * (46 + 18 * abs(share)))], 9, 0.7
        )
