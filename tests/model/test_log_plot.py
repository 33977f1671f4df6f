"""Plots over logarithmic axes."""

from xml.etree import ElementTree

from model.evaluation.log_plot import Axis, Curve, Point, log_plot, plot_page


def draw(points: list[Point], log: bool = True) -> ElementTree.Element:
    figure = log_plot("a < b", Axis("items"), Axis("ms", "ms", log), [Curve("x & y", 1, points)])
    return ElementTree.fromstring(figure)


def test_a_decade_is_as_wide_as_the_next() -> None:
    dots = draw([Point(10, 1), Point(100, 10), Point(1000, 100)]).findall(".//circle")
    x, y = ([float(dot.attrib[key]) for dot in dots] for key in ("cx", "cy"))
    assert abs((x[1] - x[0]) - (x[2] - x[1])) < 0.2
    assert abs((y[1] - y[0]) - (y[2] - y[1])) < 0.2
    assert y[0] > y[2]


def test_a_linear_axis_has_round_ticks_and_whiskers() -> None:
    figure = draw([Point(10, 0.61, low=0.5, high=0.7), Point(20, 0.8)], log=False)
    texts = [each.text for each in figure.findall(".//text")]
    assert "0.6 ms" in texts
    assert len(figure.findall(".//polyline[@class='whisker c1']")) == 1


def test_what_a_logarithm_cannot_hold_is_left_out() -> None:
    assert len(draw([Point(10, 0), Point(100, 1)]).findall(".//circle")) == 1
    assert log_plot("t", Axis("x"), Axis("y"), [Curve("c", 1, [Point(0, 1)])]) == ""


def test_one_point_is_a_plot() -> None:
    assert len(draw([Point(10, 5)], log=False).findall(".//circle")) == 1


def test_a_page_escapes_what_it_says() -> None:
    page = plot_page("a & b", ["<figure></figure>"], ["1 < 2"])
    assert "<h1>a &amp; b</h1>" in page
    assert "1 &lt; 2" in page
