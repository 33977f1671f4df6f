"""`indexer copy`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from indexer.cli import options
from indexer.cli.render import print_facts, print_json, show_progress
from indexer.milvus.address import is_address, parse_address
from model.errors import ParameterError

_PLACE = "A folder, or milvus://HOST:PORT/COLLECTION."


def copy(
    source: Annotated[str, typer.Option("--from", help=_PLACE, show_default=False)],
    target: Annotated[str, typer.Option("--to", help=_PLACE, show_default=False)],
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace the gallery on the server; it is searched until the new one is complete.",
        ),
    ] = False,
    drop_old: Annotated[
        bool,
        typer.Option(
            "--drop-old",
            help="Delete the replaced collection at once, and not with the next copy: half the "
            "space, and searches fail for the seconds that services take to follow.",
        ),
    ] = False,
    index_kind: Annotated[
        str,
        typer.Option(
            help="Index over the vectors on the server: auto (by the number of items), FLAT, HNSW, "
            "IVF_FLAT, IVF_SQ8 or GPU_CAGRA.",
        ),
    ] = "auto",
    as_json: options.Json = False,
) -> None:
    """Copy a gallery between a folder and a Milvus server, and compare every item.

    Nothing is encoded again; a copy that was killed goes on when it is run again.

    Example: `python -m indexer copy --from out/shop --to milvus://localhost:19530/shop`
    """
    from indexer.milvus.copying import copy_to_milvus
    from indexer.milvus.returning import copy_from_milvus

    if is_address(source) == is_address(target):
        raise ParameterError(
            f"--from {source} and --to {target} are of one kind; expected a folder and a "
            "milvus://HOST:PORT/COLLECTION, in either order"
        )
    with show_progress() as progress:
        if is_address(target):
            report = copy_to_milvus(
                Path(source),
                parse_address(target),
                overwrite=overwrite,
                drop_old=drop_old,
                index_kind=index_kind,  # type: ignore[arg-type]
                progress=progress,
            )
        else:
            report = copy_from_milvus(parse_address(source), Path(target), progress=progress)
    if as_json:
        print_json(report)
    else:
        print_facts(asdict(report))
