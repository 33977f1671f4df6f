"""The verbs of `python -m benchmarks`."""

import typer

from benchmarks.probes import probes
from benchmarks.queries import queries
from benchmarks.training import training

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def main() -> None:
    """Measure this project; results go to stdout."""


app.command()(probes)
app.command()(queries)
app.command()(training)
