"""The page: tables, plots and the worst queries, in one file without scripts or links."""

from collections.abc import Sequence
from html import escape

from model.evaluation.published import COLUMNS, find_published, published_rows
from model.evaluation.results import Curve, Evaluation, Measured, Row
from model.evaluation.style import STYLE
from model.evaluation.svg import Mark, Series, dot_plot, line_plot
from model.evaluation.thumbnails import Miss

_COLOURS = 4


def render_page(evaluation: Evaluation, misses: Sequence[Miss] = ()) -> str:
    """The whole page as HTML."""
    counts, main = evaluation.counts, evaluation.main_row
    head = [(name, main.metrics[name]) for name in ("R@1", "R@10", "mAP") if name in main.metrics]
    body = [
        f"<header><p class=kind>Evaluation</p><h1>{escape(evaluation.data_set)}</h1>",
        f"<p>{counts.queries:,} queries of {counts.items:,} items; {counts.gallery:,} gallery "
        f"photos; alpha {evaluation.alpha:g}.</p>{_checkpoint(evaluation)}</header>",
        f"<section><h2>A search: {escape(evaluation.main)}</h2><div class=tiles>",
        *(_tile(name, value) for name, value in head),
        "</div></section>",
        "<section class=plots>" + "".join(_plots(evaluation)) + "</section>",
        _section("Rankings (%)", _rows(evaluation)),
        _section("Differences (points, paired by query)", _gains(evaluation)),
        _published(evaluation),
        _misses(misses),
        _section("How to read this", "<ul>" + "".join(map(_item, evaluation.notes)) + "</ul>"),
    ]
    title = escape(f"Evaluation: {evaluation.data_set}")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style><main>{''.join(body)}</main></html>\n"
    )


def _plots(evaluation: Evaluation) -> list[str]:
    shown = [row for row in evaluation.rows if row.candidates is None]
    shown.append(evaluation.main_row)
    plots = [_rankings_plot(shown), _stages_plot(evaluation)]
    settings = dict.fromkeys(curve.setting for curve in evaluation.curves)
    for setting in settings:
        curves = [curve for curve in evaluation.curves if curve.setting == setting]
        plots.append(_curve_plot(setting, curves))
    return [*plots, _reliability_plot(evaluation)]


def _rankings_plot(rows: Sequence[Row]) -> str:
    names = [row.name for row in rows]
    series = [
        Series(metric, colour, [_mark(x, row.metrics[metric]) for x, row in enumerate(rows)])
        for colour, metric in enumerate(("R@1", "mAP"), start=1)
        if all(metric in row.metrics for row in rows)
    ]
    return dot_plot("Each ranking, with its interval", names, series)


def _stages_plot(evaluation: Evaluation) -> str:
    ks = [k for k in evaluation.ceilings[0].recall if k >= 10] or list(
        evaluation.ceilings[0].recall
    )
    series = []
    for number, ceiling in enumerate(evaluation.ceilings):
        marks = [_mark(x, ceiling.recall[k]) for x, k in enumerate(ks)]
        colour = number * 2 % _COLOURS + 1
        series.append(Series(f"ceiling by {ceiling.vector}", colour, marks))
        rows = {r.candidates: r for r in evaluation.rows if r.recall == ceiling.vector}
        fused = [
            _mark(x, rows[k].metrics["R@1"])
            for x, k in enumerate(ks)
            if k in rows and "R@1" in rows[k].metrics
        ]
        series.append(Series(f"R@1 after re-ranking, {ceiling.vector}", colour % 4 + 1, fused))
    return line_plot("What stage one lets through", [str(k) for k in ks], series, "K candidates")


def _curve_plot(setting: str, curves: Sequence[Curve]) -> str:
    labels = [f"{p.value}{' *' if p.chosen else ''}" for p in curves[0].points]
    series: list[Series] = []
    for curve in curves:
        for metric in curve.points[0].metrics:
            if metric == "mAP" and len(curves) > 1:
                continue
            name = metric if len(curves) == 1 else f"{metric}, {curve.ranking}"
            marks = [_mark(x, p.metrics[metric]) for x, p in enumerate(curve.points)]
            series.append(Series(name, len(series) % _COLOURS + 1, marks))
    own = "" if len(curves) > 1 else f" ({curves[0].ranking})"
    if setting == "reduction":
        return dot_plot(f"Sensitivity to {setting}{own}; * as stored", labels, series)
    return line_plot(f"Sensitivity to {setting}{own}", labels, series, f"{setting}; * as stored")


def _reliability_plot(evaluation: Evaluation) -> str:
    found = evaluation.reliability
    if found is None:
        return ""
    marks = [Mark(10 * b.said, b.true, b.true, b.true) for b in found.bins]
    labels = [f"{10 * k}" for k in range(11)]
    title = f"Confidence of the best hit: off by {100 * found.error:.1f} points on average"
    axis = f"said, % (up: how often true; {found.source})"
    return line_plot(title, labels, [Series("true", 1, marks)], axis, diagonal=True)


def _rows(evaluation: Evaluation) -> str:
    names = list(evaluation.rows[0].metrics)
    lines = [
        ([row.name, *map(_value, row.metrics.values())], row.name == evaluation.main)
        for row in evaluation.rows
    ]
    return _table(["ranking", *names], lines)


def _gains(evaluation: Evaluation) -> str:
    names = list(evaluation.gains[0].metrics)
    lines = [([g.name, *map(_value, g.metrics.values())], False) for g in evaluation.gains]
    return _table(["difference", *names], lines)


def _published(evaluation: Evaluation) -> str:
    table = find_published(evaluation.data_set)
    if table is None:
        return ""
    lines = [
        (
            [
                escape(row.method),
                *("–" if v is None else f"{v:.1f}" for v in row.values),
                f"<small>{escape(row.remark)}</small>",
            ],
            row.method.startswith("this"),
        )
        for row in published_rows(evaluation)
    ]
    notes = "<ul>" + "".join(map(_item, table.notes)) + "</ul>"
    return _section(table.title, _table(["method", *COLUMNS, "remark"], lines) + notes)


def _misses(misses: Sequence[Miss]) -> str:
    if not misses:
        return ""
    cards = []
    for miss in misses:
        found = "".join(_picture(uri, item, "found") for item, uri in miss.found)
        pair = _picture(miss.query, "query", "asked") + _picture(
            miss.wanted, f"wanted, rank {miss.rank:,}", "wanted"
        )
        cards.append(f"<li><h3>{escape(miss.item)}</h3><div>{pair}{found}</div></li>")
    title = "The queries that went worst, and what was found instead"
    return _section(title, f"<ol class=misses>{''.join(cards)}</ol>")


def _picture(uri: str, caption: str, kind: str) -> str:
    text = escape(caption, quote=True)
    return f'<div class="{kind}"><img src="{uri}" alt="{text}"><small>{text}</small></div>'


def _checkpoint(evaluation: Evaluation) -> str:
    pairs = evaluation.checkpoint.items()
    return "".join(f"<p class=from>{escape(key)}: {escape(value)}</p>" for key, value in pairs)


def _tile(name: str, value: Measured) -> str:
    low, high = 100 * value.low, 100 * value.high
    return (
        f"<div><small>{escape(name)}</small><strong>{100 * value.value:.1f} %</strong>"
        f"<small>{low:.1f} to {high:.1f}</small></div>"
    )


def _value(value: Measured) -> str:
    low, high = 100 * value.low, 100 * value.high
    return f"{100 * value.value:.1f}<small>{low:.1f} … {high:.1f}</small>"


def _table(head: Sequence[str], lines: Sequence[tuple[Sequence[str], bool]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    rows = "".join(
        f"<tr{' class=main' if main else ''}>" + "".join(f"<td>{x}</td>" for x in line) + "</tr>"
        for line, main in lines
    )
    return (
        f"<div class=wide><table><thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _item(note: str) -> str:
    return f"<li>{escape(note)}</li>"


def _mark(x: int, value: Measured) -> Mark:
    return Mark(x, value.value, value.low, value.high)
