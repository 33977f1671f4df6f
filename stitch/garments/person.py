"""A plain body under the garment: neck, head, arms and legs, so that a photo looks worn."""

from collections.abc import Sequence

import numpy as np

from stitch.curve import Curve, circle, symmetric
from stitch.garments.cut import Cut
from stitch.garments.sleeves import ELBOW, Arm
from stitch.garments.work import Work
from stitch.palette import COLOURS, RGB, darker
from stitch.paper import SKIN, Region

_UNDER = ("charcoal", "navy", "black", "beige", "grey", "blue")


def draw_body_behind(work: Work, cut: Cut) -> None:
    """Legs, hips and arms behind a top; seen from behind also neck and hair."""
    legs = work.design.category in ("dress", "coat") or cut.hem.imag > 200
    _draw_lower(work, bare=legs)
    for side in (0, 1):
        with work.sheet.mirror(side == 1):
            _draw_arm(work, cut, side)
    if work.pose.back:
        _draw_neck(work)
        _draw_head(work, hair_only=True)


def draw_body_above(work: Work, cut: Cut) -> None:
    """Neck and head, in front of the inside of the garment."""
    if work.design.collar != "hood":
        _draw_hair_behind(work)
    _draw_neck(work, low=min(cut.throat.imag + 60, -150))
    _draw_head(work)


def draw_legs_behind(work: Work, legs: Sequence[tuple[complex, complex]] = ()) -> None:
    """What is seen beside a skirt, trousers or shorts: a plain top, arms, legs and shoes.

    `legs` are knee and foot of the right leg where the garment has legs of its own.
    """
    if legs:
        for sign in (1, -1):
            with work.sheet.mirror(sign == -1):
                _draw_shin(work, *legs[0])
    else:
        _draw_lower(work, bare=True)
    colour = COLOURS[_UNDER[int(work.rng.integers(len(_UNDER)))]]
    if abs(sum(colour) - sum(work.main)) < 120:
        colour = COLOURS["white"]
    half = (
        Curve(complex(0, -300)).line(complex(70, -330)).quad(complex(160, -300), complex(150, -150))
    )
    half.smooth([complex(122, -40), complex(130, 40)]).line(complex(0, 46))
    for side in (0, 1):
        with work.sheet.mirror(side == 1):
            arm = _body_arm(work, complex(152, -225), side)
            work.sheet.panel(
                _limb(arm, 436, 0), _skin(work, complex(arm.at(200)), 40), counts=False
            )
    work.sheet.panel(symmetric(half), Region(1, colour, across=complex(150, 0), height=0.8),
                     seam=darker(colour, 0.3), counts=False)  # fmt: skip


def _draw_shin(work: Work, knee: complex, foot: complex) -> None:
    way = (foot - knee) / abs(foot - knee)
    out = -1j * way
    calf = (knee + foot) / 2
    shape = Curve(knee + out * 40).smooth([calf + out * 36, foot + out * 21]).line(foot - out * 21)
    shape.smooth([calf - out * 33, knee - out * 38])
    work.sheet.panel(shape, _skin(work, knee, 44, 0.6), counts=False)
    shoe = Curve(foot + out * 22 - way * 14).line(foot - out * 22 - way * 14)
    shoe.smooth([foot - out * 24 + way * 40, foot + out * 8 + way * 52, foot + out * 34 + way * 40,
                 foot + out * 22 - way * 14])  # fmt: skip
    work.sheet.blot(shoe, (58, 52, 52), 0.8)


def _skin(work: Work, centre: complex, half: float, height: float = 0.7) -> Region:
    return Region(SKIN, work.pose.skin, centre=centre, across=complex(half, 0), height=height)


def _draw_neck(work: Work, low: float = -150.0) -> None:
    skin = work.pose.skin
    half = (
        Curve(complex(0, -430)).line(complex(46, -430)).quad(complex(44, -360), complex(62, -336))
    )
    half.quad(complex(120, -318), complex(132, -292)).line(complex(120, low), complex(0, low))
    work.sheet.panel(
        symmetric(half), Region(SKIN, skin, across=complex(120, 0), height=0.7), counts=False
    )
    for sign in (1, -1):
        with work.sheet.mirror(sign == -1):
            bone = Curve(complex(12, -286)).quad(complex(50, -304), complex(96, -306))
            work.sheet.line(bone, darker(skin, 0.16), 4)


def _draw_head(work: Work, *, hair_only: bool = False) -> None:
    skin, hair = work.pose.skin, work.pose.hair
    half = Curve(complex(0, -590)).cubic(complex(64, -590), complex(76, -520), complex(68, -462))
    half.cubic(complex(60, -412), complex(30, -386), complex(0, -384))
    if hair_only:
        work.sheet.panel(symmetric(half), Region(1, hair, across=complex(70, 0)), counts=False)
        return
    shade = darker(skin, 0.24)
    work.sheet.line(Curve(complex(-42, -398)).quad(complex(0, -366), complex(42, -398)), shade, 16)
    work.sheet.panel(
        symmetric(half), Region(SKIN, skin, across=complex(80, 0), height=1.2), counts=False
    )
    line = Curve(complex(-16, -420)).quad(complex(0, -411), complex(16, -420))
    work.sheet.line(line, darker((190, 90, 90), 0.2), 6)
    work.sheet.line(Curve(complex(-7, -446)).quad(complex(0, -440), complex(7, -446)), shade, 4)
    for sign in (1, -1):
        work.sheet.blot(circle(complex(sign * 27, -490), 5), (50, 38, 34), 1.2)
        work.sheet.line(Curve(complex(sign * 16, -508)).quad(
            complex(sign * 28, -515), complex(sign * 40, -506)), hair, 5)  # fmt: skip
    fringe = Curve(complex(-76, -500)).cubic(
        complex(-84, -640), complex(84, -640), complex(76, -500)
    )
    fringe.cubic(complex(60, -560), complex(-20, -560), complex(-76, -500))
    work.sheet.blot(fringe, hair, 1.4)


def _draw_hair_behind(work: Work) -> None:
    if work.pose.seed % 3 == 0:
        return
    low = -300 if work.pose.seed % 3 == 1 else -400
    half = Curve(complex(0, -612)).cubic(complex(110, -606), complex(92, -440), complex(98, low))
    half.quad(complex(60, low + 12), complex(0, low))
    work.sheet.panel(symmetric(half), Region(1, work.pose.hair, height=0.6), counts=False)


def _body_arm(work: Work, joint: complex, side: int) -> Arm:
    angle, bend = work.pose.arms[side], work.pose.bends[side]
    ways = [complex(np.exp(1j * np.deg2rad(90 - a))) for a in (angle, angle + bend)]
    return Arm(joint, ways[0], ways[1], 440, (40.0, 32.0, 22.0))


def _draw_arm(work: Work, cut: Cut, side: int) -> None:
    joint = complex(min(cut.shoulder.real, 150) - 8, -236)
    if work.design.sleeve_length != "none":
        joint = cut.shoulder * 0.5 + cut.pit * 0.5 - 4
    arm = _body_arm(work, joint, side)
    work.sheet.panel(_limb(arm, 436, 1), _skin(work, arm.at(220), 60, 1.0), counts=False)


def _limb(arm: Arm, length: float, hand: int) -> Curve:
    """An arm with a simple hand."""
    stops = (0.0, 90.0, ELBOW, 330.0, length)
    tip = arm.at(length) + arm.heading(length) * 78
    shape = Curve(arm.at(0) - arm.upper * 40).smooth([arm.edge(t, 1) for t in stops])
    side = -1j * arm.heading(length)
    shape.smooth(
        [
            arm.at(length) + arm.heading(length) * 36 + side * 30,
            tip,
            arm.at(length) + arm.heading(length) * 34 - side * 24,
            arm.edge(length, -1),
        ]
    )
    shape.smooth([arm.edge(t, -1) for t in stops[-2::-1]])
    return shape


def _draw_lower(work: Work, *, bare: bool) -> None:
    """Hips and legs: bare under a skirt or dress, in plain trousers under a top."""
    colour: RGB = work.pose.skin
    kind = SKIN
    if not bare:
        colour, kind = COLOURS[_UNDER[int(work.rng.integers(len(_UNDER)))]], 1
        if abs(sum(colour) - sum(work.main)) < 90:
            colour = COLOURS["white"] if sum(work.main) < 400 else COLOURS["charcoal"]
    for sign in (1, -1):
        with work.sheet.mirror(sign == -1):
            half = (
                Curve(complex(0, 60))
                .line(complex(126, 60))
                .smooth(
                    [
                        complex(142, 170),
                        complex(122, 330),
                        complex(104, 450),
                        complex(110, 560),
                        complex(86, 760),
                    ]
                )
            )
            half.line(complex(46, 760)).smooth(
                [complex(44, 580), complex(40, 440), complex(4, 210)]
            )
            region = Region(kind, colour, centre=complex(75, 0), across=complex(74, 0), height=0.6)
            work.sheet.panel(half, region, seam=darker(colour, 0.22), counts=False)
            shoe = (
                Curve(complex(42, 750))
                .line(complex(92, 750))
                .smooth([complex(112, 790), complex(100, 806)])
            )
            work.sheet.blot(shoe.line(complex(44, 806)), (52, 48, 50), 0.8)
