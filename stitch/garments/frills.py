"""Ruffles below a hem."""

import numpy as np

from stitch.curve import Points, polyline
from stitch.garments.work import Work


def draw_frill(work: Work, edge: Points, gain: float, depth: float) -> None:
    """A gathered strip with a wavy edge, hung on a hem that runs from left to right."""
    x = np.linspace(-1, 1, 73)
    along = np.interp(x, np.linspace(-1, 1, len(edge)), edge.real)
    down = np.interp(x, np.linspace(-1, 1, len(edge)), edge.imag)
    heads = along + 1j * (down - 6)
    feet = along * gain + 1j * (down + depth + 8 * np.cos(x * np.pi * 6))
    shape = polyline(np.concatenate([feet, heads[::-1]]))
    region = work.cloth(height=1.8, origin=17 + 9j, across=complex(float(feet[-1].real), 0))
    work.sheet.panel(shape, region, seam=work.ink)
    work.sheet.hatch(heads[3::6], (heads + (feet - heads) * 0.5)[3::6], work.ink, 2.4)
    for head, foot in zip(heads[::6], feet[::6], strict=True):
        work.sheet.crease([complex(head), complex(foot)], 15, 1.0)
