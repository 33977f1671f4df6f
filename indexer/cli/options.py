"""Options that several commands share; each can also be set in the environment."""

from pathlib import Path
from typing import Annotated

import typer

from model.runtime.names import HELP

Photos = Annotated[
    Path,
    typer.Argument(
        metavar="PHOTOS",
        help="A folder of photos (its gallery.csv is used when there is one), a CSV, or one photo.",
        show_default=False,
    ),
]
Index = Annotated[
    Path,
    typer.Option(
        "--index",
        envvar="SELVEDGE_INDEX_DIR",
        help="Folder of the index; to search, also milvus://HOST:PORT/COLLECTION.",
        show_default=False,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON; progress stays on stderr.")
]
Device = Annotated[
    str,
    typer.Option(envvar="SELVEDGE_DEVICE", help="auto, cpu, cuda or cuda:N."),
]
Runtime = Annotated[
    str,
    typer.Option(envvar="SELVEDGE_RUNTIME", help=HELP),
]
ImageColumn = Annotated[
    str | None,
    typer.Option(
        envvar="SELVEDGE_IMAGE_COLUMN",
        help="CSV column with the photo's path, relative to the CSV. Default: image.",
        show_default=False,
    ),
]
ProductColumn = Annotated[
    str | None,
    typer.Option(
        envvar="SELVEDGE_PRODUCT_COLUMN",
        help="CSV column that says which photos show one product. Default: product_id, "
        "or each photo is its own product.",
        show_default=False,
    ),
]
IdColumn = Annotated[
    str | None,
    typer.Option(
        envvar="SELVEDGE_ID_COLUMN",
        help="CSV column with a unique id. Default: the photo's path.",
        show_default=False,
    ),
]
MaxFailures = Annotated[
    int | None,
    typer.Option(
        envvar="SELVEDGE_MAX_FAILURES",
        help="Stop when more photos than this cannot be read. Default: never stop; raising it "
        "lets more broken photos go missing from the gallery, listed in failures.csv.",
        show_default=False,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        envvar="SELVEDGE_WORKERS",
        help="Threads that decode photos. Default: one a core, at most 16; more cost about "
        "4 MB a megapixel of photo each.",
        show_default=False,
    ),
]
