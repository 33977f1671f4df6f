"""The command line: parse, call, say what happened. Exit 0 fine, 1 failed, 2 misused."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from stitch.errors import StitchError
from stitch.gallery import GallerySettings, write_gallery
from stitch.render import View, render
from stitch.sampling import Split, sample_designs
from stitch.sheet import draw_sheet, write_sheet

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Draw garments whose every detail is known.",
)
_errors = Console(stderr=True, highlight=False, soft_wrap=True)

Out = Annotated[Path, typer.Argument(help="Folder to draw into; made when missing.")]
Seed = Annotated[int, typer.Option(min=0, help="Other seeds draw other garments.")]


@app.command()
def draw(
    out: Out,
    products: Annotated[int, typer.Option(help="Different garments.")] = 200,
    photos: Annotated[
        int, typer.Option(help="Photos of each: shop, back, detail, second shop.")
    ] = 2,
    queries: Annotated[int, typer.Option(help="People's photos to search with.")] = 50,
    families: Annotated[
        int, typer.Option(help="Hard families of 2 to 4 among the products: one detail differs.")
    ] = 10,
    seed: Seed = 0,
    size: Annotated[
        int, typer.Option(help="Pixels a side; twice the size takes 4x the time.")
    ] = 320,
    split: Annotated[Split, typer.Option(help="Which designs; splits share none.")] = Split.TEST,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 is one a core.")] = 0,
) -> None:
    """Draw a gallery with its CSV, and people's photos to search with.

    Photos that are there are kept, so a stopped run continues.

    Example: python -m stitch draw out/demo --products 200 --seed 0 --size 320
    """
    try:
        settings = GallerySettings(products, photos, queries, seed, size, families, split.value)
    except StitchError as error:
        raise _fail(error, 2) from error
    try:
        with _progress() as progress:
            task = progress.add_task("drawing", total=None)
            path = write_gallery(
                out,
                settings,
                workers=workers or None,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            )
    except StitchError as error:
        raise _fail(error, 1) from error
    typer.echo(path)


@app.command()
def sheet(
    out: Annotated[Path, typer.Argument(help="PNG file to write.")],
    products: Annotated[int, typer.Option(help="Garments, or families, to show.")] = 24,
    persons: Annotated[int, typer.Option(help="People's photos beside each.")] = 2,
    families: Annotated[bool, typer.Option(help="One hard family a row instead.")] = False,
    seed: Seed = 0,
    size: Annotated[int, typer.Option(min=32, max=1024, help="Pixels a photo.")] = 192,
) -> None:
    """Write a contact sheet to look at.

    Example: python -m stitch sheet look.png --products 24 --persons 3
    """
    try:
        picture = draw_sheet(products, seed=seed, size=size, persons=persons, families=families)
    except StitchError as error:
        raise _fail(error, 2) from error
    try:
        write_sheet(out, picture)
    except StitchError as error:
        raise _fail(error, 1) from error
    typer.echo(out)


@app.command()
def bench(
    count: Annotated[int, typer.Option(min=1, help="Photos of each view.")] = 60,
    size: Annotated[int, typer.Option(min=32, max=2048, help="Pixels a side.")] = 224,
) -> None:
    """Measure one process: photos a second by the clock, and CPU seconds a photo.

    Example: OMP_NUM_THREADS=1 python -m stitch bench --count 60
    """
    designs = sample_designs(Split.TRAIN, count, 1)
    for view in View:
        render(designs[0], view, 0, size)  # tiles are made at first use
        start, before = time.perf_counter(), time.process_time()
        for number, design in enumerate(designs):
            render(design, view, number, size)
        wall, spent = time.perf_counter() - start, time.process_time() - before
        rate, cost = count / wall, 1000 * spent / count
        typer.echo(f"{view.value:>7}: {rate:6.1f} photos/s, {cost:5.1f} ms CPU a photo")


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True),
    )  # fmt: skip


def _fail(error: StitchError, code: int) -> typer.Exit:
    _errors.print(f"stitch: {error}", style="red", markup=False)
    return typer.Exit(code)
