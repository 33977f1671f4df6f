"""Things that get in the way in people's photos. They are drawn on the garment's own sheet, above
everything, so that they throw shadows on the cloth."""

import numpy as np

from stitch.curve import Curve, box, circle, polyline
from stitch.palette import HAIR, RGB, darker, lighter
from stitch.paper import SKIN, Region, Sheet

_STRAPS: tuple[RGB, ...] = (
    (60, 40, 30),
    (30, 30, 34),
    (150, 104, 64),
    (180, 176, 168),
    (120, 30, 40),
)


def add_strap(sheet: Sheet, rng: np.random.Generator) -> None:
    """A bag's strap across the chest."""
    colour = _STRAPS[int(rng.integers(len(_STRAPS)))]
    side = 1 if rng.random() < 0.5 else -1
    width = rng.uniform(22, 40)
    line = Curve(complex(side * -112, -330)).smooth(
        [complex(side * rng.uniform(-30, 10), -90), complex(side * rng.uniform(130, 190), 180)]
    )
    strip = polyline([*line.offset(-width / 2).points(1), *line.offset(width / 2).points(1)[::-1]])
    sheet.blot(strip, colour, 5.0, edge=darker(colour, 0.4))
    sheet.line(polyline(line.offset(width / 2 - 4).points(1)), lighter(colour, 0.25), 2, "7 5")


def add_hair(sheet: Sheet, rng: np.random.Generator, colour: RGB | None = None) -> None:
    """Long hair over a shoulder."""
    colour = colour or HAIR[int(rng.integers(len(HAIR)))]
    side = 1 if rng.random() < 0.5 else -1
    low = rng.uniform(-170, -60)

    def at(x: float, y: float) -> complex:
        return complex(side * x, y)

    mass = Curve(at(38, -560)).smooth([at(84, -520), at(96, -420), at(120, -300), at(112, low)])
    mass.smooth([at(84, low + 34), at(62, low - 8)]).smooth(
        [at(74, -280), at(66, -400), at(56, -500)]
    )
    sheet.blot(mass, colour, 5.0, edge=darker(colour, 0.3))
    for share in np.linspace(0.12, 0.88, 7):
        lock = Curve(at(48 + 26 * share, -530)).smooth(
            [at(64 + 30 * share, -410), at(74 + 44 * share, -290), at(64 + 46 * share, low + 16)]
        )
        sheet.line(
            lock, lighter(colour, 0.22) if int(share * 10) % 2 else darker(colour, 0.35), 3.6
        )


def add_arm(sheet: Sheet, rng: np.random.Generator, skin: RGB) -> None:
    """A forearm with a hand, holding something up or reaching in."""
    low, high = sheet.bounds()
    side = 1 if rng.random() < 0.5 else -1
    start = complex(side * 420, high.imag - rng.uniform(-60, 160))
    stop = complex(side * rng.uniform(30, 120), (low.imag + high.imag) / 2 + rng.uniform(10, 150))
    way = (stop - start) / abs(stop - start)
    out = 1j * way
    hand = [stop + way * 30 + out * 36, stop + way * 66 + out * 34]
    shape = Curve(start + out * 52).line(stop + out * 27).smooth(hand)
    shape.line(stop + way * 60 - out * 30, stop - out * 27, start - out * 52)
    edge = darker(skin, 0.28)
    middle = (start + stop) / 2
    sheet.panel(shape, Region(SKIN, skin, centre=middle, across=out * 56, height=5.5),
                seam=edge, counts=False)  # fmt: skip
    turn = float(np.rad2deg(np.angle(way)))
    for k, reach in ((-23, 92), (-7, 106), (9, 110), (25, 98)):
        finger = box(stop + way * (reach - 26) + out * k, 62, 17, 8.5, turn)
        sheet.panel(finger, Region(SKIN, skin, height=5.6), seam=edge, counts=False)
    thumb = box(stop + way * 34 - out * 40, 60, 20, 10, turn - 32)
    sheet.panel(thumb, Region(SKIN, skin, height=5.7), seam=edge, counts=False)


def add_phone(sheet: Sheet, rng: np.random.Generator, skin: RGB) -> None:
    """The phone of a mirror selfie, with the fingers that hold it."""
    at = complex(rng.uniform(-150, 150), rng.uniform(-330, -180))
    sheet.blot(box(at, 112, 206, 20, rng.uniform(-8, 8)), (34, 34, 38), 6.0, edge=(70, 70, 76))
    for k, (dx, dy) in enumerate(((-30, -72), (-30, -36), (4, -72))):
        sheet.blot(
            circle(at + complex(dx, dy), 13 if k < 2 else 8), (14, 14, 18), 6.1, edge=(86, 86, 92)
        )
    side = 1 if at.real > 0 else -1
    for k in range(4):
        y = at.imag - 20 + 30 * k
        finger = box(complex(at.real + side * 40, y), 76, 26, 13, -side * 8)
        sheet.panel(finger, Region(SKIN, skin, height=6.6), seam=darker(skin, 0.25), counts=False)


def add_hanger(sheet: Sheet, rng: np.random.Generator, behind: Sheet) -> None:
    """A hanger: hook and shoulders behind the cloth, hook drawn above everything."""
    colour = ((150, 104, 64), (40, 40, 44), (226, 224, 220))[int(rng.integers(3))]
    low, _ = sheet.bounds()
    top = max(low.imag, -352.0)
    bar = Curve(complex(-150, top + 46)).quad(complex(-60, top + 4), complex(0, top - 14))
    behind.line(
        bar.then(Curve(complex(0, top - 14)).quad(complex(60, top + 4), complex(150, top + 46))),
        colour,
        16,
    )
    hook = Curve(complex(0, top - 12)).line(complex(0, top - 56)).cubic(
        complex(44, top - 60), complex(48, top - 122), complex(4, top - 120))  # fmt: skip
    hook.quad(complex(-24, top - 118), complex(-26, top - 96))
    behind.line(hook, (150, 150, 154), 8)


def add_clips(sheet: Sheet) -> None:
    """A trouser hanger with two clips."""
    low, high = sheet.bounds()
    top = low.imag
    middle = (low.real + high.real) / 2
    sheet.line(
        Curve(complex(middle - 110, top - 14)).line(complex(middle + 110, top - 14)),
        (170, 170, 174),
        9,
    )
    for x in (-84, 84):
        sheet.blot(box(complex(middle + x, top + 6), 36, 46, 5), (60, 60, 66), 6, edge=(30, 30, 34))
    hook = (
        Curve(complex(middle, top - 14))
        .line(complex(middle, top - 50))
        .cubic(
            complex(middle + 40, top - 56),
            complex(middle + 44, top - 108),
            complex(middle + 2, top - 108),
        )
    )
    sheet.line(hook, (170, 170, 174), 8)
