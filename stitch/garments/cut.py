"""Measurements of tops: where neck, shoulder, armpit, waist and hem lie (right half, y down)."""

from dataclasses import dataclass

from stitch.curve import Curve
from stitch.design import Design

# shoulder, chest, waist, hip half widths
_WIDTHS = {
    "slim": (146.0, 144.0, 124.0, 146.0),
    "straight": (160.0, 162.0, 154.0, 164.0),
    "relaxed": (178.0, 192.0, 190.0, 194.0),
    "a-line": (150.0, 150.0, 142.0, 168.0),
    "flared": (142.0, 140.0, 116.0, 150.0),
}
_HEMS = {
    "cropped": 38.0, "hip": 150.0, "long": 262.0, "mini": 268.0,
    "knee": 420.0, "midi": 540.0, "maxi": 690.0,
}  # fmt: skip
WAIST_Y = 22.0

# neck half width, drop of the front
_NECKS = {
    "crew": (64.0, 58.0), "v": (66.0, 158.0), "scoop": (84.0, 132.0), "square": (88.0, 112.0),
    "boat": (118.0, 30.0),
}  # fmt: skip
_COLLAR_NECKS = {
    "polo": (64.0, 66.0), "point": (62.0, 62.0), "button-down": (62.0, 62.0),
    "camp": (66.0, 118.0), "mandarin": (60.0, 50.0), "peter-pan": (66.0, 56.0),
    "bow": (60.0, 60.0), "roll-neck": (56.0, 34.0), "funnel": (66.0, 44.0),
    "hood": (74.0, 78.0), "notch-lapel": (66.0, 300.0), "shawl": (66.0, 270.0),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cut:
    """Points on the right half."""

    neck: complex
    shoulder: complex
    pit: complex
    waist: complex
    hip: complex
    hem: complex
    drop: float
    kind: str

    @property
    def throat(self) -> complex:
        """The lowest point of the front neckline."""
        return complex(0, self.neck.imag + self.drop)

    def neckline(self) -> Curve:
        """The front neckline from the right neck point to the axis."""
        neck, throat = self.neck, self.throat
        curve, w, d = Curve(neck), neck.real, self.drop
        if self.kind in ("v", "notch-lapel", "camp"):
            return curve.quad(complex(w * 0.56, neck.imag + d * 0.42), throat)
        if self.kind == "shawl":
            return curve.quad(complex(w * 0.75, neck.imag + d * 0.5), throat)
        if self.kind == "square":
            corner = complex(w * 0.92, throat.imag)
            return curve.line(corner + 4 - 10j).quad(corner, corner - 12).line(throat)
        if self.kind == "boat":
            return curve.cubic(
                complex(w * 0.8, neck.imag + d), complex(w * 0.5, throat.imag), throat
            )
        return curve.cubic(
            complex(w * 0.99, neck.imag + d * 0.6), complex(w * 0.62, throat.imag), throat
        )

    def back_neckline(self) -> Curve:
        """The back neckline from the right neck point to the axis: nearly straight."""
        low = complex(0, self.neck.imag + 16)
        return Curve(self.neck).quad(complex(self.neck.real * 0.7, low.imag), low)

    def side(self) -> Curve:
        """From the hem's corner up to the armpit."""
        if self.hem.imag < 70:
            return Curve(self.hem).smooth([self.pit + complex(-2, 60), self.pit])
        stops = [self.waist, self.pit]
        if self.hem.imag > 200:
            stops.insert(0, self.hip)
        return Curve(self.hem).smooth(stops)

    def armhole(self) -> Curve:
        """From the armpit up to the shoulder's tip."""
        inward = complex(min(self.pit.real, self.shoulder.real) - 26, self.pit.imag - 50)
        return Curve(self.pit).cubic(
            complex(inward.real + 6, self.pit.imag - 14), inward, self.shoulder
        )

    def shoulder_line(self) -> Curve:
        """From the shoulder's tip to the neck."""
        middle = (self.shoulder + self.neck) / 2
        return Curve(self.shoulder).quad(middle - 4j, self.neck)


def measure(design: Design) -> Cut:
    """Find the points of a top, a dress or a coat."""
    shoulder, chest, waist, hip = _WIDTHS[design.silhouette]
    if design.category in ("coat", "jacket", "hoodie"):
        shoulder, chest, waist, hip = shoulder + 6, chest + 10, waist + 14, hip + 12
    if design.category in ("dress", "blouse"):
        shoulder, chest, waist = shoulder - 10, chest - 8, waist - 6
    kind = design.neckline if design.neckline != "none" else design.collar
    neck_width, drop = (_NECKS | _COLLAR_NECKS)[kind]
    neck_y = -338.0 + (neck_width - 62) * 0.32
    tip = complex(shoulder, -296)
    if design.sleeve_length == "none":
        tip = complex(max(neck_width + 26, shoulder - 34), -312)
    elif design.sleeve_shape == "dropped":
        tip = complex(shoulder + 30, -278)
    pit = complex(chest, -138.0 if design.silhouette == "relaxed" else -150.0)
    hem_y = _HEMS[design.length]
    return Cut(
        complex(neck_width, neck_y), tip, pit, complex(waist, WAIST_Y), complex(hip, 150),
        complex(_hem_width(design, chest, waist, hip, hem_y), hem_y), drop, kind,
    )  # fmt: skip


def _hem_width(design: Design, chest: float, waist: float, hip: float, hem_y: float) -> float:
    if hem_y < 70:
        return (chest + waist * 2) / 3
    flare = {"a-line": 0.20, "flared": 0.3}.get(design.silhouette, 0.02)
    return hip + max(0.0, hem_y - 150) * flare
