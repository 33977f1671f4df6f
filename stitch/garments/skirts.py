"""Skirts, alone or below a dress's waist."""

import numpy as np

from stitch.curve import Curve, Points, polyline
from stitch.garments.frills import draw_frill
from stitch.garments.work import Work

# half width gained per unit of length, number of waves at the hem
_FLARES = {"slim": (-0.03, 0), "a-line": (0.2, 3), "flared": (0.5, 6), "pleated": (0.26, 0)}


def hem_half(work: Work, waist: float, length: float) -> float:
    """Half the width at the hem."""
    flare, _ = _FLARES.get(work.design.silhouette, (0.05, 0))
    hip = max(waist + 22, 138.0)
    return hip + max(0.0, length - 110) * flare + (8 if length < 110 else 0)


def draw_skirt(work: Work, waist: float, top: float, bottom: float) -> None:
    """Draw the panel from the waist's line to the hem."""
    design, sheet = work.design, work.sheet
    ruffle = design.hem == "ruffle"
    low = bottom - (64 if ruffle else 0)
    width = hem_half(work, waist, low - top)
    hem = _hem_points(work, width, low)
    if ruffle:
        draw_frill(work, hem, 1.14, 68)
    hip = complex(
        max(waist + 20, 136.0) if design.silhouette != "flared" else waist + 52, top + 118
    )
    right = Curve(complex(width, float(hem[-1].imag))).smooth([hip, complex(waist, top)], 0.15)
    left = right.mirrored().reversed()
    outline = polyline(hem).then(right).then(left)
    region = work.cloth(across=complex((width + waist) / 2 + 20, 0), origin=complex(0, top))
    sheet.panel(outline, region, seam=work.ink)
    _draw_folds(work, waist, top, width, hem)
    if design.hem == "split" and not work.pose.back:
        _draw_split(work, width, low)
    if not ruffle:
        inner = polyline(hem - 13j)
        if design.trim == "contrast-edge":
            sheet.panel(
                polyline(np.concatenate([hem, hem[::-1] - 20j])),
                work.trim(across=complex(width, 0)),
            )
        else:
            work.stitch(inner)
    sheet.focus("hem", complex(width * 0.6, low - 30), 140)


def _hem_points(work: Work, width: float, y: float) -> Points:
    """The hem from left to right; a wide skirt falls in waves."""
    _, waves = _FLARES.get(work.design.silhouette, (0.05, 0))
    x = np.linspace(-1, 1, 49)
    sag = 10 + width * 0.06 * min(waves, 4)
    if work.design.hem == "curved":
        sag = 46.0
    falls = waves > 2 and work.design.hem != "ruffle"
    wave = (3 + waves) * np.cos(x * np.pi * waves) * falls
    if work.design.silhouette == "pleated":
        wave = 5 * np.abs(((x * 8) % 1) - 0.5) * 2
    points: Points = x * width + 1j * (y + sag * (1 - x**2) - sag * 0.6 + wave)
    return points


def _draw_split(work: Work, width: float, y: float) -> None:
    at = complex(width * 0.42, y + 6)
    height = min(190.0, 0.4 * y + 60)
    cut = Curve(at + complex(-16, 4)).line(at + complex(0, -height)).line(at + complex(20, 0))
    work.sheet.blot(cut, work.lining, 0.3, edge=work.ink)
    work.stitch(Curve(at + complex(-25, 0)).line(at + complex(-7, -height - 6)))


def _draw_folds(work: Work, waist: float, top: float, width: float, hem: Points) -> None:
    rng, sheet, shape = work.rng, work.sheet, work.design.silhouette
    if shape == "pleated":
        for share in np.linspace(-0.875, 0.875, 15):
            head, foot = complex(share * waist, top), _on_hem(hem, share)
            sheet.line(Curve(head).line(foot), work.ink, 3)
            sheet.crease([head + 4, foot + 9], 11, 1.3)
        return
    waves = {"flared": 7, "a-line": 5}.get(shape, 3)
    for share in np.linspace(-0.86, 0.86, waves * 2 + 1):
        share += rng.uniform(-0.04, 0.04)
        foot = _on_hem(hem, share)
        head = complex(share * waist, top)
        begin = rng.uniform(0.05, 0.5) if shape == "flared" else rng.uniform(0.3, 0.75)
        strength = {"flared": 1.5, "a-line": 0.9}.get(shape, 0.5) * rng.uniform(0.6, 1.1)
        line = [head + (foot - head) * t for t in (begin, (1 + begin) / 2, 1)]
        sheet.crease(line, 22 if shape == "flared" else 18, strength)
    if work.design.waist in ("elastic", "tie", "drawstring"):
        x = np.linspace(-0.92, 0.92, 13)
        heads = x * waist + 1j * (top + 4)
        sheet.hatch(heads, heads + x * 8 + 26j, work.ink, 2.4)
        for head, share in zip(heads, x, strict=True):
            sheet.crease(
                [complex(head), complex(head) + complex(share * 26, rng.uniform(60, 110))], 11, 0.8
            )


def _on_hem(hem: Points, share: float) -> complex:
    """The hem's point at a share (-1 left to 1 right) of its width."""
    x = np.linspace(-1, 1, len(hem))
    return complex(np.interp(share, x, hem.real), np.interp(share, x, hem.imag))
