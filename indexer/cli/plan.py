"""`indexer plan`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from indexer.cli import options
from indexer.cli.render import print_facts, print_json, remark
from indexer.planning.sizes import format_bytes, format_count, parse_items, parse_memory
from model.errors import ParameterError
from model.runtime.names import check_runtime
from model.shipped import shipped_checkpoint

if TYPE_CHECKING:
    from indexer.planning.measure import Measured
    from indexer.planning.predict import Plan


def plan(
    items: Annotated[
        str, typer.Option(help="Photos the gallery will hold, such as 12612, 100k or 10M.")
    ],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            envvar="SELVEDGE_CHECKPOINT",
            help="Default: the one that comes with the program.",
            show_default=False,
        ),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            help="Memory the service may use, such as 24G. Default: this machine's.",
            show_default=False,
        ),
    ] = None,
    device: options.Device = "auto",
    runtime: options.Runtime = "auto",
    as_json: options.Json = False,
) -> None:
    """Predict what a gallery of any size will cost on this machine, and name its settings.

    Example: `python -m indexer plan --items 10M --memory 64G`

    Measures what one photo and one search cost: 10 to 20 seconds on an idle machine. On a busy
    one the prediction is for a machine that is as busy.
    """
    count = parse_items(items)
    allowed = None if memory is None else parse_memory(memory)
    check_runtime(runtime)
    if checkpoint is not None and not checkpoint.is_file():
        raise ParameterError(f"--checkpoint {checkpoint} is not a file; check the path")
    from indexer.planning.measure import measure  # torch is slow to load
    from indexer.planning.predict import predict

    remark("Measuring this machine ...")
    measured = measure(checkpoint or shipped_checkpoint(), device=device, runtime=runtime)
    found = predict(measured, count, allowed)
    if as_json:
        print_json(to_plain(found, measured))
        return
    _print(found, measured)


def to_plain(found: "Plan", measured: "Measured") -> dict[str, Any]:
    """Lay a plan out for programs: bytes and seconds."""
    return {
        "items": found.items,
        "memory_bytes": found.memory_bytes,
        "configuration": found.configuration,
        "predictions": [each._asdict() for each in found.predictions],
        "notes": found.notes,
        "measured": {**vars(measured), "dims": measured.dims.model_dump()},
    }


def _print(found: "Plan", measured: "Measured") -> None:
    print_facts(
        {
            "items": format_count(found.items),
            "machine": f"{measured.cores} cores, {format_bytes(found.memory_bytes)} of memory",
            **found.configuration,
        }
    )
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("predicted", justify="right")
    table.add_column("from", overflow="fold")
    for each in found.predictions:
        table.add_row(each.name, str(each), each.source)
    runtimes = ", ".join(f"{name} {1000 * s:.0f} ms" for name, s in measured.runtime_s.items())
    console = Console(highlight=False, markup=False)
    console.print(table)
    console.print(f"One query photo through the network: {runtimes}.")
    for note in found.notes:
        console.print(f"Note: {note}.")
