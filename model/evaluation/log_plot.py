"""A plot over a logarithmic axis as inline SVG: how cost grows, and what quality costs.

Looks as those of `svg.py`, whose colours come from the page.
"""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from model.evaluation.style import STYLE

WIDTH, HEIGHT = 560, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 20, 14, 42


class Point(NamedTuple):
    """A measured point, x above 0; `said` is its tooltip; low and high its interval, if any."""

    x: float
    y: float
    said: str = ""
    low: float | None = None
    high: float | None = None


class Curve(NamedTuple):
    """Points with one of the page's colours 1..4; joined by a line, or not."""

    name: str
    colour: int
    points: Sequence[Point]
    joined: bool = True


class Axis(NamedTuple):
    """What an axis says; `unit` follows its numbers."""

    title: str
    unit: str = ""
    log: bool = True


def log_plot(title: str, x: Axis, y: Axis, curves: Sequence[Curve]) -> str:
    """One figure: curves over a logarithmic x, and y logarithmic or from the least to the most.

    Points that a logarithmic axis cannot hold (0 or less) are left out.
    """
    shown = [
        one._replace(points=[p for p in one.points if p.x > 0 and (p.y > 0 or not y.log)])
        for one in curves
    ]
    points = [p for one in shown for p in one.points]
    if not points:
        return ""
    across = _Scale([p.x for p in points], x, _LEFT, WIDTH - _RIGHT)
    ends = [e for p in points for e in (p.y, p.low, p.high) if e is not None]
    up = _Scale(ends, y, HEIGHT - _BOTTOM, _TOP)
    parts = [
        *(_tick_x(across.at(t), _number(t, x.unit)) for t in across.ticks()),
        *(_tick_y(up.at(t), _number(t, y.unit)) for t in up.ticks()),
        _text((WIDTH + _LEFT) / 2, HEIGHT - 5, x.title, "middle", "axis"),
        _text(_LEFT, 10, y.title, "start", "axis"),
    ]
    for one in shown:
        parts += _draw(one, across, up)
    body = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title, quote=True)}">'
    )
    keys = "".join(
        f'<span class="key"><i class="c{one.colour}"></i>{escape(one.name)}</span>' for one in shown
    )
    head = f"<figcaption>{escape(title)}<div>{keys}</div></figcaption>"
    return f"<figure>{head}{body}{''.join(parts)}</svg></figure>"


def plot_page(title: str, figures: Sequence[str], remarks: Sequence[str]) -> str:
    """A page of figures with sentences below, in one file without scripts or links."""
    said = "".join(f"<li>{escape(each)}</li>" for each in remarks)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style><main>"
        f"<header><h1>{escape(title)}</h1></header>"
        f'<section class="plots">{"".join(figures)}</section><ul>{said}</ul></main></html>\n'
    )


class _Scale:
    """From values to places on the paper."""

    def __init__(self, values: Sequence[float], axis: Axis, start: float, end: float) -> None:
        self._log, self._start, self._end = axis.log, start, end
        low, high = min(values), max(values)
        if axis.log:
            low, high = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
        else:
            pad = (high - low or 1.0) * 0.08
            low, high = low - pad, high + pad
        self._low, self._high = low, max(high, low + 1) if axis.log else high

    def at(self, value: float) -> float:
        place = math.log10(value) if self._log else value
        share = (place - self._low) / (self._high - self._low)
        return round(self._start + share * (self._end - self._start), 1)

    def ticks(self) -> list[float]:
        if self._log:
            return [10.0**k for k in range(int(self._low), int(self._high) + 1)]
        rough = (self._high - self._low) / 5
        step = 10 ** math.floor(math.log10(rough))
        step *= next(m for m in (1, 2, 5, 10) if m * step >= rough)
        first = math.ceil(self._low / step)
        return [k * step for k in range(first, int(self._high / step) + 1)]


def _draw(one: Curve, across: _Scale, up: _Scale) -> list[str]:
    places = [(across.at(p.x), up.at(p.y)) for p in one.points]
    parts = []
    if one.joined:
        parts.append(_line(places, f"line c{one.colour}"))
    for (x, y), point in zip(places, one.points, strict=True):
        if point.low is not None and point.high is not None:
            ends = [(x, up.at(point.low)), (x, up.at(point.high))]
            parts.append(_line(ends, f"whisker c{one.colour}"))
        said = escape(point.said or one.name)
        parts.append(
            f'<circle class="dot c{one.colour}" cx="{x:g}" cy="{y:g}" r="4">'
            f"<title>{said}</title></circle>"
        )
    return parts


def _tick_x(x: float, text: str) -> str:
    bottom = HEIGHT - _BOTTOM
    return _line([(x, _TOP), (x, bottom)], "grid") + _text(x, bottom + 17, text, "middle")


def _tick_y(y: float, text: str) -> str:
    return _line([(_LEFT, y), (WIDTH - _RIGHT, y)], "grid") + _text(_LEFT - 8, y + 4, text, "end")


def _line(places: Sequence[tuple[float, float]], kind: str) -> str:
    text = " ".join(f"{x:g},{y:g}" for x, y in places)
    return f'<polyline class="{kind}" points="{text}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "tick") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(value: float, unit: str) -> str:
    """Shortly: 1000000 is 1M.

    >>> _number(1_000_000, ""), _number(0.25, "s")
    ('1M', '0.25 s')
    """
    for step, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= step:
            return f"{value / step:g}{name} {unit}".strip()
    return f"{round(value, 6):g} {unit}".strip()
