"""`indexer add` and `indexer remove`."""

from pathlib import Path
from typing import Annotated

import typer

from indexer import update
from indexer.checkpoint import StoredCheckpoint
from indexer.cli import options
from indexer.cli.render import print_json, remark, show_progress
from indexer.staging import BuildOptions
from model.runtime.names import check_runtime


def add(
    photos: options.Photos,
    index: options.Index,
    image_column: options.ImageColumn = None,
    product_column: options.ProductColumn = None,
    id_column: options.IdColumn = None,
    max_failures: options.MaxFailures = None,
    workers: options.Workers = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            envvar="SELVEDGE_CHECKPOINT",
            help="Must be the one that built the index, whose own copy is used by default.",
            show_default=False,
        ),
    ] = None,
    device: options.Device = "auto",
    runtime: options.Runtime = "auto",
    as_json: options.Json = False,
) -> None:
    """Add photos; items of the same id are replaced, unchanged ones are skipped.

    Example: `python -m indexer add new-photos/ --index out/shop`
    """
    chosen = BuildOptions(
        image_column=image_column,
        product_column=product_column,
        id_column=id_column,
        max_failures=max_failures,
        workers=workers,
    )
    plan = StoredCheckpoint(checkpoint, device, check_runtime(runtime))
    with show_progress() as progress:
        report = update.add(photos, index, plan, options=chosen, progress=progress)
    if as_json:
        print_json(report)
        return
    if report.failed:
        remark(f"{report.failed:,} photos could not be read; see {report.failures}")
    typer.echo(
        f"Added {report.added:,}, updated {report.updated:,}, unchanged {report.unchanged:,}; "
        f"{report.index} holds {report.items:,} items."
    )


def remove(
    item_ids: Annotated[list[str], typer.Argument(help="Ids of items.", show_default=False)],
    index: options.Index,
    as_json: options.Json = False,
) -> None:
    """Remove items; when one of the ids is unknown, nothing is removed.

    Example: `python -m indexer remove shirts/0012.jpg --index out/shop`
    """
    with show_progress() as progress:
        report = update.remove(item_ids, index, progress=progress)
    if as_json:
        print_json(report)
        return
    typer.echo(f"Removed {report.removed:,}; {report.index} holds {report.items:,} items.")
