"""`python -m model baseline`: the rows of the paper's Table 2, trained by one script.

Identity loss alone, with the plain triplet loss, with the multi-granular triplet loss:
from the same weights, on the same batches, for the same number of epochs.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from model.checkpoint import load_checkpoint
from model.data import DataSet, load_dataset
from model.data.records import RetrievalSet
from model.devices import resolve_device
from model.errors import CheckpointError, TrainingError
from model.evaluation.cli import choose_split
from model.evaluation.evaluate import embed_set, evaluate_embedded
from model.evaluation.pairing import Pairing
from model.evaluation.results import Counts, Evaluation, Gain, Measured
from model.evaluation.settings import Settings
from model.evaluation.summary import SHORT, compare
from model.evaluation.validation import validate
from model.recipes import RECIPES, Loss, Recipe, get_recipe
from model.train import CHECKPOINT, Validate, Watch, train
from model.trainstate import STATE

JSON, MARKDOWN, PLAN = "baseline.json", "baseline.md", "plan.json"
LOSSES: tuple[Loss, ...] = ("identity", "triplet", "multi-granular")
# What each row is searched by: only the last loss trains FGA and ATA.
JUDGED_BY = {"identity": "global", "triplet": "global", "multi-granular": "fused"}
# Table 2 of the paper, on In-Shop, in per cent.
PUBLISHED = {
    "identity": {"mAP": 82.4, "R@1": 95.2},
    "triplet": {"mAP": 82.6, "R@1": 95.2},
    "multi-granular": {"mAP": 84.2, "R@1": 95.6},
}
WatchRow = Callable[[str], Watch]


class Line(BaseModel):
    """One loss: its figures by the global score, and fused; the row stands by `judged_by`."""

    model_config = ConfigDict(frozen=True)

    loss: str
    judged_by: str
    global_score: dict[str, Measured]
    fused: dict[str, Measured]
    published: dict[str, float]
    fingerprint: str
    weights: str


class Baseline(BaseModel):
    """Three rows and their differences; a gain's metrics are paired by query."""

    model_config = ConfigDict(frozen=True)

    data_set: str
    counts: Counts
    ranking: str
    alpha: float
    recipe: dict[str, object]
    lines: tuple[Line, ...]
    gains: tuple[Gain, ...]
    notes: tuple[str, ...]


class Judged(NamedTuple):
    """One network on one set, ranked both ways."""

    global_score: Evaluation
    fused: Evaluation


def train_rows(
    recipe: Recipe,
    data: DataSet,
    out: Path,
    *,
    init: str = "random",
    device: str = "auto",
    workers: int = 0,
    validate: Validate | None = None,
    watch: WatchRow | None = None,
) -> dict[str, Path]:
    """Train what is not finished yet; returns the checkpoint of each loss.

    Raises:
        TrainingError: `out` holds rows of another recipe, data set or start.
    """
    _keep_plan(out, recipe, data, init)
    paths: dict[str, Path] = {}
    for loss in LOSSES:
        chosen, folder = recipe.changed(loss=loss), out / loss
        paths[loss] = folder / CHECKPOINT
        if not is_finished(paths[loss], chosen):
            train(
                chosen,
                data,
                folder,
                init=init,
                device=device,
                resume=(folder / STATE).exists(),
                workers=workers,
                validate=validate,
                watch=watch(loss) if watch else None,
            )
    return paths


def is_finished(path: Path, recipe: Recipe) -> bool:
    """Say whether a checkpoint is the end of this very recipe."""
    if not path.exists():
        return False
    try:
        record = load_checkpoint(path).record
    except CheckpointError:
        return False
    return record.epochs == recipe.epochs and record.recipe == recipe.model_dump(mode="json")


def measure_rows(
    recipe: Recipe,
    paths: dict[str, Path],
    data: DataSet,
    retrieval: RetrievalSet,
    *,
    settings: Settings | None = None,
    device: str = "auto",
) -> Baseline:
    """Measure the trained rows on one retrieval set and compare them, query by query."""
    settings = settings or table_settings(recipe.alpha)
    found = {loss: _judge(path, retrieval, settings, device) for loss, path in paths.items()}
    last = found["multi-granular"].fused
    return Baseline(
        data_set=f"{data.name}, {retrieval.name}",
        counts=last.counts,
        ranking=last.main,
        alpha=last.alpha,
        recipe=recipe.model_dump(mode="json", exclude={"loss"}),
        lines=tuple(_line(loss, paths[loss], found[loss]) for loss in paths),
        gains=tuple(_gains(found)),
        notes=(*data.notes, *_notes(recipe)),
    )


def table_settings(alpha: float, candidates: int = 100) -> Settings:
    """The global ranking and one two-stage ranking, with one alpha for all rows."""
    return Settings(
        alpha=alpha, candidates=(candidates,), main=candidates, exhaustive=False, alphas=()
    )


def render(found: Baseline) -> str:
    """The table, the differences and how to read them, as Markdown; values in per cent."""
    head = ["loss", *(f"{kind} {name}" for kind in ("global", "fused") for name in SHORT)]
    rows = [_cells(line) for line in found.lines]
    gains = [[gain.name, *(str(gain.metrics[name]) for name in SHORT)] for gain in found.gains]
    counts = found.counts
    parts = [
        f"# Three losses from one start: {found.data_set}",
        f"{counts.queries:,} queries of {counts.items:,} items, {counts.gallery:,} gallery photos. "
        f"Recipe {found.recipe['name']}, preset {found.recipe['preset']}, "
        f"{found.recipe['epochs']} epochs, seed {found.recipe['seed']}. "
        f"Fused is: {found.ranking}, alpha {found.alpha:g}. Bold: what the row is judged by.",
        _table([*head, *(f"paper {name}" for name in SHORT)], rows),
        "## Differences (points, paired by query)",
        _table(["difference", *SHORT], gains),
        "## How to read this",
        "\n".join(f"- {note}" for note in found.notes),
    ]
    return "\n\n".join(parts) + "\n"


def write_table(out: Path, found: Baseline) -> tuple[Path, Path]:
    """Write the table as JSON and as Markdown into `out`."""
    _write(out / JSON, found.model_dump_json(indent=2) + "\n")
    _write(out / MARKDOWN, render(found))
    return out / JSON, out / MARKDOWN


def baseline(
    data: Annotated[str, typer.Option(help="Data set, such as inshop:DIR, csv:FILE or stitch.")],
    out: Annotated[Path, typer.Option(help="Folder for three runs and the table.")],
    recipe: Annotated[str, typer.Option(help=f"One of {', '.join(RECIPES)}.")] = "shop",
    init: Annotated[
        str, typer.Option(help="Backbone weights: random, imagenet, or a safetensors file.")
    ] = "random",
    split: Annotated[
        str | None, typer.Option(help="What to measure on; test where there is one.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Network, in place of the recipe's.")] = None,
    epochs: Annotated[
        int | None, typer.Option(help="In place of the recipe's; time grows with it, threefold.")
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Weight of the global score; the one of the training.")
    ] = None,
    candidates: Annotated[int, typer.Option(help="K that are compared token by token.")] = 100,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[int, typer.Option(help="Processes that load photos; 0: threads.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="JSON to stdout, not a table.")] = False,
) -> None:
    """Train the rows of the paper's Table 2 and compare them.

    Example: `python -m model baseline --data stitch --recipe quick --out out/table2`.
    Run it again after a stop: finished rows are kept, a started one goes on from its last
    epoch. OUT/baseline.json and OUT/baseline.md hold the table, OUT/LOSS/ the runs.
    """
    chosen = get_recipe(recipe).changed(preset=preset, epochs=epochs, seed=seed)
    settings = table_settings(chosen.alpha if alpha is None else alpha, candidates)
    place = resolve_device(device)
    found = load_dataset(data, seed=seed)
    retrieval = choose_split(found, split)
    with _bars(chosen.epochs) as watch:
        paths = train_rows(
            chosen,
            found,
            out,
            init=init,
            device=device,
            workers=workers,
            validate=lambda model: validate(model, found.validation),
            watch=watch,
        )
    settings = replace(settings, seed=seed, batch=64 if place.type == "cuda" else 16)
    table = measure_rows(chosen, paths, found, retrieval, settings=settings, device=device)
    files = write_table(out, table)
    _say(f"Written: {', '.join(map(str, files))}")
    typer.echo(table.model_dump_json(indent=2) if as_json else render(table))


def _keep_plan(out: Path, recipe: Recipe, data: DataSet, init: str) -> None:
    """Remember what the rows have in common, so that no row is ever of another run."""
    common = recipe.model_dump(mode="json", exclude={"loss"})
    plan = {"data": data.name, "photos": len(data.train), "init": init, **common}
    path = out / PLAN
    if not path.exists():
        _write(path, json.dumps(plan, indent=2) + "\n")
        return
    try:
        kept = dict(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{path} cannot be read ({error}); choose another --out folder"
        ) from error
    for name in plan:
        if kept.get(name) != plan[name]:
            raise TrainingError(
                f"{out} holds rows with {name} = {kept.get(name)}, now it is {plan[name]}; "
                "give the same options to go on, or choose another --out folder"
            )


def _judge(path: Path, retrieval: RetrievalSet, settings: Settings, device: str) -> Judged:
    """Encode once; rank by the global score and fused."""
    model = load_checkpoint(path).model.to(resolve_device(device))
    queries, gallery, _ = embed_set(model, retrieval, settings)

    def rank(chosen: Settings) -> Evaluation:
        return evaluate_embedded(
            queries, gallery, Pairing.of(retrieval), model.alignment, chosen,
            name=retrieval.name, alpha=model.config.alpha,
        )  # fmt: skip

    # A single candidate keeps its place: the main ranking is then the global one itself.
    alone = replace(settings, alpha=1.0, candidates=(1,), main=1)
    return Judged(rank(alone), rank(settings))


def _line(loss: str, path: Path, judged: Judged) -> Line:
    loaded = load_checkpoint(path)
    return Line(
        loss=loss,
        judged_by=JUDGED_BY[loss],
        global_score=judged.fused.row("global").metrics,
        fused=judged.fused.main_row.metrics,
        published=PUBLISHED[loss],
        fingerprint=loaded.fingerprint[:16],
        weights=loaded.record.weights,
    )


def _gains(found: dict[str, Judged]) -> Iterator[Gain]:
    """The paper's steps first; then where a gain comes from."""
    one, two, three = (found[loss] for loss in LOSSES)
    pairs = (
        ("triplet − identity, both global", two.global_score, one.global_score),
        ("multi-granular fused − triplet global", three.fused, two.global_score),
        ("multi-granular fused − identity global", three.fused, one.global_score),
        ("multi-granular − triplet, both global", three.global_score, two.global_score),
        ("multi-granular: fused − global", three.fused, three.global_score),
        ("multi-granular − triplet, both fused", three.fused, two.fused),
        ("triplet − identity, both fused", two.fused, one.fused),
    )
    for name, better, than in pairs:
        yield compare(name, better, than)


def _notes(recipe: Recipe) -> list[str]:
    return [
        "All rows start from the same weights, see the same batches and views, and are measured "
        "after the last epoch; nothing is chosen by the set that is measured.",
        "Identity and triplet are judged by the global score: their losses never reach FGA and "
        "ATA, so their fused column says what tokens do that were fitted but not trained.",
        "Multi-granular is judged fused, as it is searched; its global column says what the loss "
        "did to the global feature alone.",
        "Brackets are 95 % bootstrap intervals over items. They do not hold the luck of training: "
        f"all rows have seed {recipe.seed}; another --seed (and --out) shows how much that is.",
        "The paper's columns are In-Shop with an EfficientNetV2 trained for 130 epochs; on other "
        "data only their order can be compared.",
        "Ties count against the network.",
    ]


def _cells(line: Line) -> list[str]:
    cells = [line.loss]
    for kind, metrics in (("global", line.global_score), ("fused", line.fused)):
        mark = "**" if kind == line.judged_by else ""
        cells += [f"{mark}{metrics[name]}{mark}" for name in SHORT]
    return cells + [f"{line.published[name]:.1f}" for name in SHORT]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise TrainingError(
            f"cannot write {path}: {error.strerror}; choose another --out folder"
        ) from error


@contextmanager
def _bars(epochs: int) -> Iterator[WatchRow]:
    """Draw one bar a row on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:

        def begin(loss: str) -> Watch:
            task = bar.add_task(loss, total=None)

            def watch(epoch: int, step: int, steps: int, value: float) -> None:
                words = f"{loss}: epoch {epoch + 1} of {epochs}, loss {value:.3f}"
                done = epoch * steps + step + 1
                bar.update(task, completed=done, total=epochs * steps, description=words)

            return watch

        yield begin


def _say(sentence: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(sentence, markup=False)
