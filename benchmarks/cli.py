"""The verbs of `python -m benchmarks`."""

import sys

import typer

from benchmarks.attributes import attributes
from benchmarks.encode import encode
from benchmarks.fuzz import fuzz
from benchmarks.milvus import milvus
from benchmarks.probes import probes
from benchmarks.queries import queries
from benchmarks.report import report
from benchmarks.serve import serve
from benchmarks.soak.command import soak
from benchmarks.training import training
from model.errors import ParameterError, SelvedgeError

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def verbs() -> None:
    """Measure this project; results go to stdout."""


app.command()(encode)
app.command()(attributes)
app.command()(fuzz)
app.command()(milvus)
app.command()(probes)
app.command()(queries)
app.command()(report)
app.command()(serve)
app.command()(soak)
app.command()(training)


def main() -> None:
    """Run a verb; what a user can cause ends in a sentence: exit 1, or 2 when misused."""
    try:
        app(prog_name="python -m benchmarks")
    except SelvedgeError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(2 if isinstance(error, ParameterError) else 1)
