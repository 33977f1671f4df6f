"""Two small plots as inline SVG: lines over ordered values, and dots with intervals.

Colours are CSS variables of the page, so that one drawing serves light and dark.
"""

from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 16, 12, 40
_ROW = 34
# More bands than this hide each other; the intervals stay in the dots' tooltips.
_BANDS = 2
Place = Callable[[float, float], tuple[float, float]]


class Mark(NamedTuple):
    """One measured value in 0..1 with its interval; `x` counts along the axis, from 0."""

    x: float
    value: float
    low: float
    high: float


class Series(NamedTuple):
    """A line, with one of the page's colours 1..4."""

    name: str
    colour: int
    marks: Sequence[Mark]


def line_plot(
    title: str, labels: Sequence[str], series: Sequence[Series], axis: str, diagonal: bool = False
) -> str:
    """Lines with interval bands over evenly spaced `labels`; the y axis holds per cents."""
    low, high = (0.0, 1.0) if diagonal else _range(series)
    span = max(len(labels) - 1, 1)

    def at(x: float, y: float) -> tuple[float, float]:
        right = _LEFT + x / span * (WIDTH - _LEFT - _RIGHT)
        up = (min(max(y, low), high) - low) / (high - low)
        return round(right, 1), round(HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM), 1)

    parts = [_grid(low, high, at, span)]
    for k, label in enumerate(labels):
        x, _ = at(k, low)
        parts.append(_text(x, HEIGHT - _BOTTOM + 17, label, "middle"))
    parts.append(_text((WIDTH + _LEFT) / 2, HEIGHT - 5, axis, "middle", "axis"))
    if diagonal:
        parts.append(_line([at(0, 0.0), at(span, 1.0)], "ideal"))
    for one in series:
        if not one.marks:
            continue
        band = [at(m.x, m.high) for m in one.marks] + [at(m.x, m.low) for m in one.marks[::-1]]
        if len(series) <= _BANDS:
            parts.append(f'<polygon class="band c{one.colour}" points="{_points(band)}"/>')
        parts.append(_line([at(m.x, m.value) for m in one.marks], f"line c{one.colour}"))
        parts += [_dot(*at(m.x, m.value), one, m) for m in one.marks]
    return _figure(title, _svg(title, HEIGHT, parts), series)


def dot_plot(title: str, names: Sequence[str], series: Sequence[Series]) -> str:
    """A row a name; each series has one dot a row (`x` is the row), with its interval."""
    low, high = _range(series)
    left, height = 200, _TOP + _ROW * len(names) + _BOTTOM

    def at(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return round(left + share * (WIDTH - left - _RIGHT), 1)

    parts = []
    for tick in _ticks(low, high):
        parts.append(_line([(at(tick), _TOP), (at(tick), height - _BOTTOM)], "grid"))
        parts.append(_text(at(tick), height - _BOTTOM + 17, f"{100 * tick:g} %", "middle"))
    for row, name in enumerate(names):
        parts.append(_text(left - 14, _TOP + _ROW * (row + 0.5) + 4, name, "end"))
    for number, one in enumerate(series):
        shift = (number - (len(series) - 1) / 2) * 10
        for m in one.marks:
            y = round(_TOP + _ROW * (m.x + 0.5) + shift, 1)
            parts.append(_line([(at(m.low), y), (at(m.high), y)], f"whisker c{one.colour}"))
            parts.append(_dot(at(m.value), y, one, m))
    return _figure(title, _svg(title, height, parts), series)


def _range(series: Sequence[Series]) -> tuple[float, float]:
    """Ends of the y axis: whole tenths around all intervals, inside 0..1."""
    lows = [m.low for one in series for m in one.marks] or [0.0]
    highs = [m.high for one in series for m in one.marks] or [1.0]
    low = max(0, int(min(lows) * 10)) / 10
    high = min(10, int(max(highs) * 10 + 0.999)) / 10
    return (low, high) if high > low else (max(0.0, low - 0.1), max(high, 0.1))


def _ticks(low: float, high: float) -> list[float]:
    step = 0.2 if high - low > 0.5 else 0.1 if high - low > 0.2 else 0.05
    count = round((high - low) / step + 0.25)
    return [round(low + k * step, 3) for k in range(count + 1) if low + k * step <= high + 1e-9]


def _grid(low: float, high: float, at: Place, span: int) -> str:
    parts = []
    for tick in _ticks(low, high):
        parts.append(_line([at(0, tick), at(span, tick)], "grid"))
        parts.append(_text(_LEFT - 8, at(0, tick)[1] + 4, f"{100 * tick:g} %", "end"))
    return "".join(parts)


def _dot(x: float, y: float, one: Series, mark: Mark) -> str:
    said = f"{one.name}: {100 * mark.value:.1f} % [{100 * mark.low:.1f}, {100 * mark.high:.1f}]"
    return (
        f'<circle class="dot c{one.colour}" cx="{x}" cy="{y}" r="4">'
        f"<title>{escape(said)}</title></circle>"
    )


def _line(points: Sequence[tuple[float, float]], kind: str) -> str:
    return f'<polyline class="{kind}" points="{_points(points)}"/>'


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def _text(x: float, y: float, text: str, anchor: str, kind: str = "tick") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    box = f'viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(title, quote=True)}"'
    return f"<svg {box}>{''.join(parts)}</svg>"


def _figure(title: str, svg: str, series: Sequence[Series]) -> str:
    keys = "".join(
        f'<span class="key"><i class="c{one.colour}"></i>{escape(one.name)}</span>'
        for one in series
        if len(series) > 1
    )
    return f"<figure><figcaption>{escape(title)}<div>{keys}</div></figcaption>{svg}</figure>"
