"""Curves of cubic Bezier pieces over complex numbers: x + yj, y downwards, 1000 units a canvas."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

# complex128 at run time; numpy's stubs widen it in mixed expressions
Points = NDArray[np.complexfloating[Any, Any]]


class Curve:
    """A path built from its start: `Curve(0).line(10).quad(10+10j, 20j)`."""

    __slots__ = ("pieces", "start")

    def __init__(self, start: complex) -> None:
        self.start = complex(start)
        self.pieces: list[tuple[complex, complex, complex]] = []

    @property
    def end(self) -> complex:
        """Where the pen is."""
        return self.pieces[-1][2] if self.pieces else self.start

    def line(self, *points: complex) -> Self:
        """Go straight to each of the points."""
        for point in points:
            here = self.end
            third = (point - here) / 3
            self.pieces.append((here + third, point - third, complex(point)))
        return self

    def quad(self, control: complex, point: complex) -> Self:
        """Bend towards one control point."""
        here = self.end
        self.pieces.append(
            (here + (control - here) * 2 / 3, point + (control - point) * 2 / 3, complex(point))
        )
        return self

    def cubic(self, first: complex, second: complex, point: complex) -> Self:
        """Bend towards two control points."""
        self.pieces.append((complex(first), complex(second), complex(point)))
        return self

    def smooth(self, points: Sequence[complex], pull: float = 1 / 6) -> Self:
        """Pass through all points without a corner (Catmull-Rom)."""
        line = [self.end, *points]
        padded = [line[0], *line, line[-1]]
        for before, here, there, after in zip(
            padded, padded[1:], padded[2:], padded[3:], strict=False
        ):
            self.pieces.append(
                (here + (there - before) * pull, there - (after - here) * pull, complex(there))
            )
        return self

    def then(self, other: "Curve") -> Self:
        """Join another curve with a straight line where they do not touch."""
        if abs(self.end - other.start) > 1e-6:
            self.line(other.start)
        self.pieces.extend(other.pieces)
        return self

    def reversed(self) -> "Curve":
        """The same curve walked from its end."""
        back = Curve(self.end)
        stops = [self.start, *(piece[2] for piece in self.pieces)]
        for (first, second, _), before in zip(
            reversed(self.pieces), reversed(stops[:-1]), strict=True
        ):
            back.pieces.append((second, first, before))
        return back

    def mirrored(self) -> "Curve":
        """Left and right exchanged."""
        other = Curve(flip(self.start))
        other.pieces = [(flip(a), flip(b), flip(c)) for a, b, c in self.pieces]
        return other

    def moved(self, by: complex) -> "Curve":
        """The same shape elsewhere."""
        other = Curve(self.start + by)
        other.pieces = [(a + by, b + by, c + by) for a, b, c in self.pieces]
        return other

    def points(self, per_piece: int = 8) -> Points:
        """Sample the curve, both ends included."""
        if not self.pieces:
            return np.array([self.start])
        ends = np.array([self.start, *(piece[2] for piece in self.pieces)])
        inner = np.array([piece[:2] for piece in self.pieces])
        control = np.stack([ends[:-1], inner[:, 0], inner[:, 1], ends[1:]], axis=1)
        sampled = control @ _bernstein(per_piece)
        return np.append(sampled.ravel(), ends[-1])

    def offset(self, distance: float) -> "Curve":
        """A parallel polyline; positive is to the right of the walking direction on screen."""
        points = self.points(6)
        ahead = np.gradient(points)
        normal = 1j * ahead / np.maximum(np.abs(ahead), 1e-9)
        return polyline(points + normal * distance)

    def d(self, closed: bool = False) -> str:
        """The path in SVG's words."""
        here = self.start
        text = [f"M{_xy(here)}"]
        for a, b, c in self.pieces:
            # Straight pieces are said as such: less text, and less work for resvg.
            straight = abs(a + a - here - b) + abs(b + b - a - c) < 0.02
            text.append(f"L{_xy(c)}" if straight else f"C{_xy(a)} {_xy(b)} {_xy(c)}")
            here = c
        return "".join(text) + ("Z" if closed else "")


def _xy(point: complex) -> str:
    return f"{point.real:.1f} {point.imag:.1f}"


def flip(point: complex) -> complex:
    """Mirror at the vertical through x = 0."""
    return complex(-point.real, point.imag)


def polyline(points: Sequence[complex] | Points) -> Curve:
    """Straight pieces through all points."""
    return Curve(complex(points[0])).line(*(complex(point) for point in points[1:]))


def symmetric(half: Curve) -> Curve:
    """Close a right half, walked between two points of the axis, by its mirror image."""
    return Curve(half.start).then(half).then(half.mirrored().reversed())


def band(edge: Curve, width: float) -> Curve:
    """The strip between a curve and its parallel."""
    points = edge.points(6)
    ahead = np.gradient(points)
    normal = 1j * ahead / np.maximum(np.abs(ahead), 1e-9)
    return polyline(np.concatenate([points, (points + normal * width)[::-1]]))


def box(
    centre: complex, width: float, height: float, corner: float = 0.0, turn: float = 0.0
) -> Curve:
    """A rectangle with cut-round corners, turned by degrees."""
    w, h, c = width / 2, height / 2, min(corner, width / 2, height / 2)
    shape = Curve(complex(-w + c, -h)).line(complex(w - c, -h))
    shape.quad(complex(w, -h), complex(w, -h + c)).line(complex(w, h - c))
    shape.quad(complex(w, h), complex(w - c, h)).line(complex(-w + c, h))
    shape.quad(complex(-w, h), complex(-w, h - c)).line(complex(-w, -h + c))
    shape.quad(complex(-w, -h), complex(-w + c, -h))
    return turned(shape, turn).moved(centre)


def circle(centre: complex, radius: float) -> Curve:
    """A circle of four pieces."""
    k = 0.5523
    shape = Curve(1 + 0j).cubic(1 + k * 1j, k + 1j, 1j).cubic(-k + 1j, -1 + k * 1j, -1 + 0j)
    shape.cubic(-1 - k * 1j, -k - 1j, -1j).cubic(k - 1j, 1 - k * 1j, 1 + 0j)
    return scaled(shape, radius).moved(centre)


def turned(curve: Curve, degrees: float) -> Curve:
    """Rotate about the origin, clockwise on screen."""
    if not degrees:
        return curve
    return scaled(curve, complex(np.exp(1j * np.deg2rad(degrees))))


def scaled(curve: Curve, factor: complex) -> Curve:
    """Multiply every point: a scale, a rotation, or both."""
    other = Curve(curve.start * factor)
    other.pieces = [(a * factor, b * factor, c * factor) for a, b, c in curve.pieces]
    return other


@cache
def _bernstein(count: int) -> NDArray[np.float64]:
    t = np.linspace(0, 1, count, endpoint=False)
    return np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3])
