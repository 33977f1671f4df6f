"""The commands under one name, and how their failures become sentences and exit codes.

Exit code 0: fine, 1: failed, 2: misused, 130: interrupted with Ctrl-C.
"""

from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from indexer.cli.attribute import attribute
from indexer.cli.build import build
from indexer.cli.copy import copy
from indexer.cli.inspect import info, verify
from indexer.cli.plan import plan
from indexer.cli.search import search
from indexer.cli.tune import tune
from indexer.cli.update import add, remove
from model.errors import ParameterError, SelvedgeError

INTERRUPTED = 130


class SentenceGroup(TyperGroup):
    """Runs a command; what the user can cause ends in a sentence, never in a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except SelvedgeError as error:
            _say(f"Error: {error}")
            raise typer.Exit(2 if isinstance(error, ParameterError) else 1) from error
        except KeyboardInterrupt as error:
            _say("Interrupted; what was committed is kept, and a build goes on when run again")
            raise typer.Exit(INTERRUPTED) from error


app = typer.Typer(
    name="indexer",
    cls=SentenceGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Index product photos into a gallery, and search it.",
)
app.command()(build)
app.command()(add)
app.command()(remove)
app.command()(search)
app.command()(info)
app.command()(verify)
app.command()(plan)
app.command()(tune)
app.command()(copy)
app.add_typer(attribute)


def main() -> None:
    """Run the command line."""
    app(prog_name="python -m indexer")


def _say(sentence: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(sentence, markup=False)
