"""What every tailor of this package holds: the sheet, the design, its colours, the pose."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from stitch.curve import Curve, Points, circle
from stitch.design import Design
from stitch.palette import COLOURS, RGB, contrast, darker, ink, lighter, lightness, mix
from stitch.paper import CLOTH, TRIM, Region, Sheet


@dataclass(frozen=True, slots=True)
class Pose:
    """How the garment lies or hangs; angles in degrees, outwards from straight down."""

    arms: tuple[float, float] = (20.0, 20.0)  # upper arm, right then left in the picture
    bends: tuple[float, float] = (0.0, 0.0)  # added to the upper arm's angle below the elbow
    spread: float = 0.0  # legs apart
    back: bool = False
    worn: bool = False
    seed: int = 0
    skin: RGB = (228, 182, 148)
    hair: RGB = (66, 42, 28)


@dataclass
class Work:
    """One garment in the making."""

    sheet: Sheet
    design: Design
    pose: Pose
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    @cached_property
    def main(self) -> RGB:
        """The colour of the cloth."""
        return COLOURS[self.design.colour]

    @cached_property
    def second(self) -> RGB:
        """The colour of the print or the trim; the cloth's own where there is neither."""
        return COLOURS.get(self.design.second_colour, self.main)

    @cached_property
    def ink(self) -> RGB:
        """The colour of seams."""
        return ink(self.main)

    @cached_property
    def thread(self) -> RGB:
        """The colour of top stitches."""
        return self.second if self.design.trim == "contrast-stitch" else ink(self.main, 0.26)

    @cached_property
    def edge(self) -> RGB:
        """The colour of ribs, bands and collars that may stand out."""
        if self.design.trim == "contrast-edge":
            return self.second
        return darker(self.main, 0.07) if lightness(self.main) > 0.2 else lighter(self.main, 0.05)

    @cached_property
    def lining(self) -> RGB:
        """The inside of the garment, in its own shadow."""
        return mix(self.main, (20, 18, 22), 0.52)

    @cached_property
    def metal(self) -> RGB:
        """The colour of buttons and zips."""
        tonal = darker(self.main, 0.3) if lightness(self.main) > 0.35 else lighter(self.main, 0.3)
        named = {"white": (246, 244, 238), "black": (26, 26, 28), "brass": (196, 152, 66)}
        return named.get(self.design.hardware, tonal)

    def cloth(
        self, *, grain: float = 0.0, origin: complex = 0j, centre: complex = 0j,
        across: complex = 0j, height: float = 2.0, tone: float = 1.0,
    ) -> Region:  # fmt: skip
        """A region of the main cloth, with its print and weave."""
        return Region(CLOTH, self.main, grain, origin, centre, across, height, tone)

    def trim(
        self, *, grain: float = 0.0, centre: complex = 0j, across: complex = 0j,
        height: float = 2.4, tone: float = 1.0,
    ) -> Region:  # fmt: skip
        """A region of rib or edging: no print."""
        return Region(TRIM, self.edge, grain, 0j, centre, across, height, tone)

    def piece(self, *, height: float = 2.6, grain: float = 0.0, origin: complex = 0j) -> Region:
        """A small piece sewn on top: the trim's colour where trims stand out, else the cloth."""
        if self.design.trim == "contrast-edge":
            return self.trim(height=height, grain=grain)
        return self.cloth(height=height, grain=grain, origin=origin)

    def stitch(self, curve: Curve) -> None:
        """A row of top stitches."""
        bold = self.design.trim == "contrast-stitch" or self.design.fabric == "denim"
        self.sheet.line(curve, self.thread, 4.0 if bold else 2.6, "9 5")

    def button(self, at: complex, radius: float = 9.0) -> None:
        """A button with its rim and its holes."""
        self.sheet.blot(circle(at, radius), self.metal, height=3.4, edge=darker(self.metal, 0.45))
        hole = contrast(self.metal) if self.design.hardware == "brass" else darker(self.metal, 0.5)
        self.sheet.line(Curve(at - 2.4).line(at + 2.4), hole, 2.6)

    def ribs(self, top: Curve, bottom: Curve, step: float = 11.0) -> None:
        """Vertical ribs between two edges that run the same way."""
        count = max(4, int(np.abs(np.diff(top.points(4))).sum() / step))
        dark = lightness(self.edge) < 0.2
        colour = lighter(self.edge, 0.17) if dark else ink(self.edge, 0.26)
        self.sheet.hatch(_evenly(top, count), _evenly(bottom, count), colour, 3.4)


def _evenly(curve: Curve, count: int) -> Points:
    """Points at equal arc length, ends left out."""
    points = curve.points(6)
    along = np.append(0, np.abs(np.diff(points)).cumsum())
    wanted = np.linspace(0, along[-1], count + 2)[1:-1]
    even: Points = np.interp(wanted, along, points.real) + 1j * np.interp(
        wanted, along, points.imag
    )
    return even
