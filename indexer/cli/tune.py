"""`indexer tune`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from indexer.cli import options
from indexer.cli.render import print_json, remark
from model.errors import ParameterError
from model.runtime.names import check_runtime

if TYPE_CHECKING:
    from indexer.tuning.choose import Quality, Setting, Tuned


def tune(
    index: options.Index,
    queries: Annotated[
        Path, typer.Option(help="CSV with the columns image and product_id, one row a photo.")
    ],
    p95_ms: Annotated[
        float, typer.Option("--p95-ms", help="95 % of the searches shall take at most so long.")
    ],
    page: Annotated[
        Path | None,
        typer.Option(help="Also write the trade-off as a plot, to this HTML file."),
    ] = None,
    device: options.Device = "auto",
    runtime: options.Runtime = "auto",
    seed: Annotated[int, typer.Option(help="Which products fall into which half.")] = 0,
    as_json: options.Json = False,
) -> None:
    """Choose candidates, alpha and runtime by labelled queries, for a time that searches may take.

    Example: `python -m indexer tune --index out/shop --queries queries.csv --p95-ms 100`

    Chooses on one half of the products and reports on the other. Time is that of one search at a
    time on this machine, without HTTP.
    """
    from indexer.gallery import EmbeddedGallery, require_fingerprint
    from indexer.tuning.choose import tune as choose  # torch is slow to load
    from indexer.tuning.sweep import Searched, read_queries
    from model.encoder import Encoder

    check_runtime(runtime)
    if page is not None and not page.absolute().parent.is_dir():
        raise ParameterError(f"--page {page} lies in no folder that exists; create it first")
    asked = read_queries(queries)
    remark(f"Encoding {len(asked):,} queries once, then trying every setting ...")
    with EmbeddedGallery.open(index, device=device) as gallery:
        encoder = Encoder.from_checkpoint(gallery.checkpoint, device, runtime)
        require_fingerprint(index, gallery.manifest, encoder.fingerprint)
        found = choose(Searched(gallery, encoder), asked, p95_ms, seed)
    if page is not None:
        page.write_text(draw(found), encoding="utf-8")
    if as_json:
        print_json(to_plain(found))
        return
    _print(found)


def to_plain(found: "Tuned") -> dict[str, Any]:
    """Lay the result out for programs."""
    return {
        **found._asdict(),
        "front": [_plain_setting(one) for one in found.front],
        "chosen": _plain_setting(found.chosen),
        "default": _plain_setting(found.default),
        "gain": found.gain._asdict(),
    }


def draw(found: "Tuned") -> str:
    """The page: R@1 over the time of a search, on the choosing half and for the choice."""
    from model.evaluation.log_plot import Axis, Curve, Point, log_plot, plot_page

    def point(one: "Setting", name: str) -> Point:
        quality = one.r1 if name == "R@1" else one.r10
        said = f"K {one.candidates}, alpha {one.alpha:g}: {_show(quality)}"
        return Point(one.p95_ms, 100 * quality.value, said, 100 * quality.low, 100 * quality.high)

    figures = [
        log_plot(
            f"{name}, 95 % interval over products",
            Axis("p95 of a search, ms"), Axis("per cent", "%", log=False),
            [Curve("best of each K, choosing half", 1, [point(s, name) for s in found.front]),
             Curve("chosen, other half", 2, [point(found.chosen, name)]),
             Curve("default, other half", 3, [point(found.default, name)])],
        )
        for name in ("R@1", "R@10")
    ]  # fmt: skip
    return plot_page("What a better answer costs", figures, _sentences(found))


def _print(found: "Tuned") -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("half", "candidates", "alpha", "p95 ms", "R@1", "R@10"):
        table.add_column(name, justify="left" if name == "half" else "right")
    lines = [("choosing", one) for one in found.front]
    lines += [("other, default", found.default), ("other, chosen", found.chosen)]
    for half, one in lines:
        numbers = (str(one.candidates), f"{one.alpha:g}", f"{one.p95_ms:.0f}")
        table.add_row(half, *numbers, _show(one.r1), _show(one.r10))
    console = Console(highlight=False, markup=False)
    console.print(table)
    for sentence in _sentences(found):
        console.print(sentence)
    console.print(f"SELVEDGE_RUNTIME={found.runtime}")
    console.print(f"-F candidates={found.chosen.candidates} -F alpha={found.chosen.alpha:g}")


def _sentences(found: "Tuned") -> list[str]:
    said = [f"Chosen on {found.choosing} queries, reported on {found.reporting} of other products."]
    if not found.in_time:
        said.append(
            f"No setting answers 95 % of the searches within {found.limit_ms:g} ms here; this is "
            "the fastest. A faster runtime or machine is what helps: encoding is most of a search."
        )
    if found.chosen[:2] == found.default[:2]:
        said.append("The defaults are already the best.")
    elif found.gain.low <= 0:
        said.append(
            f"R@1 changes by {100 * found.gain.value:+.1f} points [{100 * found.gain.low:+.1f}, "
            f"{100 * found.gain.high:+.1f}] against the default: no gain that these queries prove."
        )
    else:
        said.append(
            f"R@1 gains {100 * found.gain.value:.1f} points [{100 * found.gain.low:.1f}, "
            f"{100 * found.gain.high:.1f}] against the default."
        )
    return said


def _plain_setting(one: "Setting") -> dict[str, Any]:
    return {**one._asdict(), "r1": one.r1._asdict(), "r10": one.r10._asdict()}


def _show(quality: "Quality") -> str:
    return f"{quality.value:.3f} [{quality.low:.2f}, {quality.high:.2f}]"
