"""Where a trouser leg runs."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Leg:
    """The right leg: where waist, hip and crotch lie and where the axis goes."""

    waist: float
    hip: float
    crotch: complex
    way: complex
    length: float
    knee: float
    hem: float

    def at(self, t: float) -> complex:
        """The axis, t from 0 at the crotch to 1 at the hem."""
        start = complex(self.hip * 0.5 + 4, self.crotch.imag)
        return start + self.way * self.length * t

    def half(self, t: float) -> float:
        """Half the leg's width."""
        top = self.hip * 0.5
        return float(np.interp(t, [0, 0.5, 1], [top, self.knee, self.hem]))

    def edge(self, t: float, out: float, extra: float = 0.0) -> complex:
        """The outer (out = 1) or inner (out = -1) edge."""
        return self.at(t) - 1j * self.way * out * (self.half(t) + extra)
