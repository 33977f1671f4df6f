"""The verbs of `python -m model`; each parses, calls one function, and prints."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from model.attributes.asen.cli import train_with_attributes
from model.attributes.asen.recipes import ASEN_RECIPES
from model.attributes.cli import app as attributes_app
from model.attributes.data import load_attribute_data
from model.baseline import baseline
from model.checkpoint import load_checkpoint, save_checkpoint
from model.config import with_query_scales
from model.data import load_datasets
from model.distil import distil, load_teacher
from model.errors import ParameterError, SelvedgeError
from model.evaluation.cli import Method, calibrate, evaluate
from model.evaluation.validation import validate
from model.recipes import DISTIL, RECIPES, get_recipe
from model.train import Watch, train

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
app.command()(evaluate)
app.command()(baseline)
app.command()(calibrate)
app.add_typer(attributes_app, name="attributes")


@app.callback()
def verbs() -> None:
    """Train MGA, and measure and calibrate checkpoints."""


@app.command("train")
def train_command(
    data: Annotated[
        list[str],
        typer.Option(
            help="Data set, such as inshop:DIR, csv:FILE or stitch; several: all at once."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoint, the log and the state.")],
    method: Annotated[
        Method, typer.Option(help="mga: find the very garment; asen: embed single attributes.")
    ] = Method.MGA,
    recipe: Annotated[
        str | None,
        typer.Option(
            help=f"One of {', '.join(RECIPES)}; shop if not given. With --method asen: "
            f"{', '.join(ASEN_RECIPES)}; small if not given."
        ),
    ] = None,
    init: Annotated[
        str,
        typer.Option(
            help="Backbone weights: random, imagenet, a safetensors file; or a checkpoint."
        ),
    ] = "random",
    local_init: Annotated[
        str | None,
        typer.Option(
            help="With --method asen: weights of the local branch. If not given, --init's where "
            "both branches have the same network, else random."
        ),
    ] = None,
    loss: Annotated[
        str | None, typer.Option(help="identity, triplet or multi-granular (the recipe's).")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Network, in place of the recipe's.")] = None,
    epochs: Annotated[
        int | None, typer.Option(help="In place of the recipe's; time grows with it.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[int, typer.Option(help="Processes that load photos; 0: threads.")] = 2,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last epoch.")] = False,
    teacher: Annotated[
        str | None,
        typer.Option(
            "--distil",
            metavar="TEACHER",
            help="Learn to see as this network does, in place of a recipe: a checkpoint, or with "
            "--teacher-preset safetensors weights or imagenet. No labels are used.",
        ),
    ] = None,
    teacher_preset: Annotated[
        str | None, typer.Option(help="Network of a teacher that is bare weights.")
    ] = None,
) -> None:
    """Train a checkpoint: `python -m model train --data csv:shop.csv --out out/run`.

    Writes OUT/checkpoint.safetensors after every epoch, OUT/log.csv, and what --resume
    needs. Held-out items are measured after each epoch; a test set is never touched.
    With --distil, the checkpoint is written and measured once, at the end.
    """
    if method == Method.ASEN:
        _refuse_mga_choices(data, loss, teacher, teacher_preset)
        attributes = load_attribute_data(data[0], seed=seed)
        for note in attributes.notes:
            _say(note)
        with _bar() as watch:
            path = train_with_attributes(
                attributes, out, recipe=recipe, preset=preset, epochs=epochs, seed=seed, init=init,
                local_init=local_init, device=device, workers=workers, resume=resume, watch=watch,
                say=_say,
            )  # fmt: skip
        typer.echo(path)
        return
    if local_init is not None:
        raise ParameterError("--local-init is for --method asen; MGA has one branch, leave it out")
    changes = {"preset": preset, "epochs": epochs, "seed": seed}
    learn: Callable[..., Path]
    if teacher is not None:
        _refuse_other_choices(recipe, loss)
        learn = partial(distil, DISTIL.changed(**changes), load_teacher(teacher, teacher_preset))
    elif teacher_preset is not None:
        raise ParameterError("--teacher-preset is given without --distil TEACHER; give both")
    else:
        learn = partial(train, get_recipe(recipe or "shop").changed(loss=loss, **changes))
    found = load_datasets(data, seed=seed)
    for note in found.notes:
        _say(note)
    with _bar() as watch:
        path = learn(
            found,
            out,
            init=init,
            device=device,
            resume=resume,
            workers=workers,
            validate=lambda model: validate(model, found.validation),
            watch=watch,
        )
    typer.echo(path)


def _refuse_mga_choices(data: list[str], *choices: str | None) -> None:
    if any(choice is not None for choice in choices):
        raise ParameterError(
            "--loss, --distil and --teacher-preset are for MGA; with --method asen the losses are "
            "the recipe's: leave them out"
        )
    if len(data) != 1:
        raise ParameterError(
            f"--method asen learns from one data set, and --data names {len(data)}; give one"
        )


def _refuse_other_choices(recipe: str | None, loss: str | None) -> None:
    if recipe is not None or loss is not None:
        raise ParameterError(
            "--recipe and --loss say how to learn from items, and --distil has choices of its own; "
            "leave them out, and train the checkpoint further with --init afterwards"
        )


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint, as training writes it.")],
    out: Annotated[Path, typer.Argument(help="The file to write.")],
    query_scale: Annotated[
        list[float] | None,
        typer.Option(
            help="Encode query photos at this fraction of the image size; repeatable: at each of "
            "them. The checkpoint's own when not given."
        ),
    ] = None,
) -> None:
    """Write a checkpoint in half precision, for serving: half the size.

    Other query scales leave the fingerprint, and so galleries, as they are.
    """
    loaded = load_checkpoint(checkpoint)
    if query_scale:
        loaded.model.config = with_query_scales(loaded.model.config, query_scale)
    fingerprint = save_checkpoint(out, loaded.model, loaded.record, half=True)
    megabytes = out.stat().st_size / 1e6
    typer.echo(f"{out}: {megabytes:.1f} MB, fingerprint {fingerprint[:12]}")


def main() -> None:
    """Run a verb; what a user can cause ends in a sentence: exit 1, or 2 when misused."""
    try:
        app(prog_name="python -m model")
    except SelvedgeError as error:
        _say(f"Error: {error}")
        sys.exit(2 if isinstance(error, ParameterError) else 1)
    except KeyboardInterrupt:
        _say("Stopped; what was finished is kept.")
        sys.exit(130)


@contextmanager
def _bar() -> Iterator[Watch]:
    """Draw one bar an epoch on stderr, with the running loss."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        tasks: dict[int, object] = {}

        def watch(epoch: int, step: int, steps: int, loss: float) -> None:
            if epoch not in tasks:
                tasks[epoch] = bar.add_task("", total=steps)
            words = f"epoch {epoch + 1}, loss {loss:.3f}"
            bar.update(tasks[epoch], completed=step + 1, description=words)  # type: ignore[arg-type]

        yield watch


def _say(sentence: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(sentence, markup=False)
