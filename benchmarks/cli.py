"""The verbs of `python -m benchmarks`."""

import sys

import typer

from benchmarks.attributes import attributes
from benchmarks.codecs.command import codecs
from benchmarks.encode import encode
from benchmarks.footprint import memory
from benchmarks.fuzz import fuzz
from benchmarks.goals import all_goals
from benchmarks.growth import growth
from benchmarks.index import index
from benchmarks.milvus import milvus
from benchmarks.probes import probes
from benchmarks.queries import queries
from benchmarks.recall import recall
from benchmarks.report import report
from benchmarks.rerank import rerank
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
app.command()(codecs)
app.command()(fuzz)
app.command()(growth)
app.command()(index)
app.command()(memory)
app.command()(milvus)
app.command()(probes)
app.command()(queries)
app.command()(recall)
app.command()(report)
app.command()(rerank)
app.command()(serve)
app.command()(soak)
app.command()(training)
app.command("all")(all_goals)


def main() -> None:
    """Run a verb; what a user can cause ends in a sentence: exit 1, or 2 when misused."""
    try:
        app(prog_name="python -m benchmarks")
    except SelvedgeError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(2 if isinstance(error, ParameterError) else 1)
