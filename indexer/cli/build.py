"""`indexer build`."""

from pathlib import Path
from typing import Annotated

import typer

from indexer.build import BuildOptions, BuildReport, build_index
from indexer.checkpoint import CheckpointChoice
from indexer.cli import options
from indexer.cli.render import print_json, remark, show_progress, warn_untrained
from model.runtime.names import check_runtime


def build(
    photos: options.Photos,
    index: options.Index,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            envvar="SELVEDGE_CHECKPOINT",
            help="A finished checkpoint; excludes the three options below.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            envvar="SELVEDGE_PRESET",
            help="Network to make a checkpoint of: mga-b0 (default), mga-mobile, "
            "mga-r50, mga-s (the paper's; about ten times the work of mga-b0), tiny (tests).",
            show_default=False,
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            envvar="SELVEDGE_INIT",
            help="Weights to start from: random (default), imagenet (downloaded), or a file.",
            show_default=False,
        ),
    ] = None,
    fit_centres: Annotated[
        bool | None,
        typer.Option(
            "--fit-centres/--no-fit-centres",
            envvar="SELVEDGE_FIT_CENTRES",
            help="Fit the token centres on a sample of at most 500 of the photos. Default: yes.",
            show_default=False,
        ),
    ] = None,
    attributes: Annotated[
        Path | None,
        typer.Option(
            envvar="SELVEDGE_ATTRIBUTES",
            help="Attributes that belong to the checkpoint (`python -m model attributes train`). "
            "Default: those of the checkpoint that comes with the program, where that is used.",
            show_default=False,
        ),
    ] = None,
    tokens: Annotated[
        str | None,
        typer.Option(
            envvar="SELVEDGE_TOKENS",
            help="How tokens are stored: int8 (default), or pq16, pq8, ...: product codes of so "
            "many bytes a token, learned from a sample of the photos. Fewer bytes find less.",
            show_default=False,
        ),
    ] = None,
    image_column: options.ImageColumn = None,
    product_column: options.ProductColumn = None,
    id_column: options.IdColumn = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace an index; the old one serves until the new is complete."
        ),
    ] = False,
    max_failures: options.MaxFailures = None,
    workers: options.Workers = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            envvar="SELVEDGE_BATCH_SIZE",
            help="Photos in one forward pass. Default: 8 on a CPU, 64 on a GPU; more cost memory, "
            "and gain nothing on a CPU.",
            show_default=False,
        ),
    ] = None,
    device: options.Device = "auto",
    runtime: options.Runtime = "auto",
    as_json: options.Json = False,
) -> None:
    """Build an index of all photos. Killed at any moment, it resumes when run again.

    Example: `python -m indexer build photos/ --index out/shop`
    """
    choice = CheckpointChoice(checkpoint, preset, init, fit_centres, device, check_runtime(runtime))
    chosen = BuildOptions(
        image_column=image_column,
        product_column=product_column,
        id_column=id_column,
        overwrite=overwrite,
        max_failures=max_failures,
        workers=workers,
        batch_size=batch_size,
        attributes=attributes,
        tokens=tokens,
    )
    with show_progress() as progress:
        report = build_index(photos, index, choice, options=chosen, progress=progress)
    warn_untrained(report.weights, report.trained_for_retrieval)
    if as_json:
        print_json(report)
    else:
        _print_report(report)


def _print_report(report: BuildReport) -> None:
    if report.up_to_date:
        typer.echo(f"{report.index} is up to date: {report.items:,} items, nothing added.")
        return
    if report.resumed_at:
        remark(f"Resumed after {report.resumed_at:,} photos.")
    if report.failed:
        remark(f"{report.failed:,} photos could not be read; see {report.failures}")
    typer.echo(
        f"Indexed {report.added:,} photos into {report.index} in {report.seconds:.1f} s; "
        f"it holds {report.items:,} items."
    )
