"""The drawing sheet: flat shapes for resvg, and beside them what the cloth effects need to know.

resvg paints gradients, patterns and clips slowly, flat shapes fast. So a sheet holds flat shapes
only; prints, weave and light are added to the pixels later (`stitch.cloth`), guided by regions:
which panel covers a pixel, how its grain runs, how it curves and how high it lies.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import resvg_py

from stitch.curve import Curve, Points, flip
from stitch.palette import RGB, css

CLOTH, PLAIN, SKIN, TRIM = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Region:
    """How the cloth lies in one panel; angles in degrees, lengths in canvas units."""

    kind: int
    colour: RGB
    grain: float = 0.0
    origin: complex = 0j
    centre: complex = 0j
    across: complex = 0j  # from the middle of the panel to its edge; 0 when it is flat
    height: float = 1.0
    tone: float = 1.0


@dataclass(frozen=True, slots=True)
class Fold:
    """A ridge (strength > 0) or a valley (< 0) in the cloth along a line."""

    points: Points
    width: float
    strength: float


@dataclass(frozen=True, slots=True)
class Frame:
    """The window on the canvas that a picture shows: its top left corner and its side."""

    corner: complex
    side: float

    @classmethod
    def around(cls, centre: complex, side: float) -> "Frame":
        """A square window with this middle."""
        return cls(centre - complex(side, side) / 2, side)


@dataclass(slots=True)
class Sheet:
    """Shapes in painting order."""

    shapes: list[str] = field(default_factory=list)
    regions: list[Region] = field(default_factory=list)
    areas: list[tuple[Points, int]] = field(default_factory=list)
    folds: list[Fold] = field(default_factory=list)
    foci: dict[str, tuple[complex, float]] = field(default_factory=dict)
    extent: list[Points] = field(default_factory=list)
    flipped: bool = False

    @contextmanager
    def mirror(self, on: bool = True) -> Iterator[None]:
        """Draw what follows on the other side of the axis."""
        before, self.flipped = self.flipped, self.flipped != on
        try:
            yield
        finally:
            self.flipped = before

    def panel(
        self, curve: Curve, region: Region, *, seam: RGB | None = None, counts: bool = True
    ) -> None:
        """Lay down a piece of cloth; `counts` says whether it belongs to the garment's extent."""
        curve, region = self._place(curve), self._place_region(region)
        edge = f' stroke="{css(seam)}" stroke-width="2.6"' if seam else ""
        self.shapes.append(f'<path d="{curve.d(closed=True)}" fill="{css(region.colour)}"{edge}/>')
        points = curve.points()
        self.regions.append(region)
        self.areas.append((points, len(self.regions)))
        if counts:
            self.extent.append(points)

    def refine(self, curve: Curve, region: Region) -> None:
        """Say that part of the last panel lies differently; nothing is painted."""
        self.regions.append(self._place_region(region))
        self.areas.append((self._place(curve).points(), len(self.regions)))

    def line(
        self, curve: Curve, colour: RGB, width: float = 3.0, dash: str = "", closed: bool = False
    ) -> None:
        """Draw a line on top: a seam, a row of stitches, a cord."""
        dashes = (
            f' stroke-dasharray="{dash}"'
            if dash
            else ' stroke-linecap="round" stroke-linejoin="round"'
        )
        self.shapes.append(
            f'<path d="{self._place(curve).d(closed)}" fill="none" stroke="{css(colour)}" '
            f'stroke-width="{width:g}"{dashes}/>'
        )

    def hatch(self, starts: Points, ends: Points, colour: RGB, width: float = 3.0) -> None:
        """Draw a line from each start to its end: ribs, gathers."""
        if self.flipped:
            starts, ends = _flip_points(starts), _flip_points(ends)
        pairs = zip(starts.tolist(), ends.tolist(), strict=True)
        text = "".join(f"M{a.real:.1f} {a.imag:.1f}L{b.real:.1f} {b.imag:.1f}" for a, b in pairs)
        self.shapes.append(
            f'<path d="{text}" fill="none" stroke="{css(colour)}" stroke-width="{width:g}"/>'
        )

    def blot(self, curve: Curve, colour: RGB, height: float = 1.0, edge: RGB | None = None) -> None:
        """Lay down something that is not cloth: a button, a zip, a logo."""
        self.panel(curve, Region(PLAIN, colour, height=height), seam=edge, counts=False)

    def crease(self, points: Sequence[complex], width: float, strength: float) -> None:
        """Remember a fold."""
        line = np.asarray(points, dtype=np.complex128)
        self.folds.append(Fold(_flip_points(line) if self.flipped else line, width, strength))

    def focus(self, name: str, centre: complex, radius: float) -> None:
        """Remember where a detail is, for close-ups."""
        self.foci[name] = (flip(centre) if self.flipped else centre, radius)

    def bounds(self) -> tuple[complex, complex]:
        """Top left and bottom right of the garment."""
        points = np.concatenate(self.extent)
        low = complex(points.real.min(), points.imag.min())
        return low, complex(points.real.max(), points.imag.max())

    def rasterise(self, frame: Frame, size: int) -> bytes:
        """Paint the shapes, RGBA, as a PNG file."""
        corner, side = frame.corner, frame.side
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" '
            f'viewBox="{corner.real:.1f} {corner.imag:.1f} {side:.1f} {side:.1f}">'
        )
        text = head + "".join(self.shapes) + "</svg>"
        return resvg_py.svg_to_bytes(svg_string=text, skip_system_fonts=True)

    def _place(self, curve: Curve) -> Curve:
        return curve.mirrored() if self.flipped else curve

    def _place_region(self, region: Region) -> Region:
        if not self.flipped:
            return region
        return Region(
            region.kind, region.colour, -region.grain, flip(region.origin),
            flip(region.centre), flip(region.across), region.height, region.tone,
        )  # fmt: skip


def _flip_points(points: Points) -> Points:
    flipped: Points = -points.conj()
    return flipped
