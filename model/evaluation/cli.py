"""`python -m model evaluate` and `calibrate`: from a data set and a checkpoint to the tables,
and to a checkpoint that knows what its scores are worth.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from model.attributes.asen.cli import evaluate_with_attributes
from model.checkpoint import Checkpoint, load_checkpoint
from model.data import load_dataset
from model.data.records import DataSet, RetrievalSet
from model.devices import resolve_device
from model.errors import ParameterError
from model.evaluation.calibrate import calibrate_checkpoint, measure_reliability
from model.evaluation.embedding import Progress, RecallVector, recall_vectors
from model.evaluation.evaluate import embed_set, evaluate_embedded
from model.evaluation.pairing import Pairing
from model.evaluation.report import render_markdown, write_report
from model.evaluation.results import Evaluation
from model.evaluation.sensitivity import token_sensitivity
from model.evaluation.settings import Settings
from model.evaluation.summary import compare
from model.evaluation.thumbnails import find_misses
from model.runtime.names import HELP, RuntimeName, check_runtime
from model.runtime.opening import open_trunk


class Method(StrEnum):
    """The two networks: MGA, and ASEN++ with its baseline."""

    MGA = "mga"
    ASEN = "asen"


_BATCH = {"cpu": 16, "cuda": 64}


def evaluate(
    data: Annotated[str, typer.Option(help="Data set, such as inshop:DIR, csv:FILE or stitch.")],
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint to measure.")],
    method: Annotated[
        Method, typer.Option(help="What the checkpoint is: mga, or asen for single attributes.")
    ] = Method.MGA,
    out: Annotated[
        Path | None, typer.Option(help="Folder for evaluation.json, .md and .html.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="test, validation, or another set of the data; test where there is one."),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Another checkpoint to compare with, paired by query; repeatable."),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Weight of the global score; the checkpoint's own.")
    ] = None,
    candidates: Annotated[
        list[int] | None, typer.Option(help="K of two-stage rankings, repeatable; 10 to 1000.")
    ] = None,
    exhaustive: Annotated[
        bool | None,
        typer.Option(help="Compare the tokens of all pairs; slow. By default only small sets."),
    ] = None,
    sensitivity: Annotated[bool, typer.Option(help="Also sweep tau, reduction and M.")] = True,
    int8: Annotated[bool, typer.Option(help="Round tokens as a gallery stores them.")] = False,
    thumbnails: Annotated[int, typer.Option(help="Worst queries on the page; 0 for none.")] = 12,
    seed: Annotated[int, typer.Option(help="Of held-out items and bootstrap draws.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    runtime: Annotated[str, typer.Option(help=HELP)] = "eager",
    as_json: Annotated[bool, typer.Option("--json", help="JSON to stdout, not tables.")] = False,
) -> None:
    """Measure a checkpoint: mAP, mAP@R and R@k with intervals, ceilings, sensitivity.

    Example: `python -m model evaluate --data inshop:photos --checkpoint mga.safetensors
    --out report`. Results go to stdout, progress to stderr. With --method asen: mAP of each
    attribute, and the options --against, --split, --out, --seed, --device and --json.
    """
    if method == Method.ASEN:
        _refuse_mga_choices(alpha, candidates, exhaustive, int8 or None)
        with _bar() as progress:
            return evaluate_with_attributes(
                data, checkpoint, against=against or (), split=split, out=out, seed=seed,
                device=device, as_json=as_json, progress=progress,
            )  # fmt: skip
    place, how = resolve_device(device), check_runtime(runtime)
    options: dict[str, object] = {} if not candidates else {"candidates": tuple(candidates)}
    settings = Settings(
        alpha=alpha, exhaustive=exhaustive, int8=int8, seed=seed, batch=_BATCH[place.type],
        **options,  # type: ignore[arg-type]
    )  # fmt: skip
    for file in (checkpoint, *(against or [])):
        load_checkpoint(file)  # a bad one is better known before the data is drawn or read
    found_data = load_dataset(data, seed=seed)
    retrieval = choose_split(found_data, split)
    name = f"{found_data.name}, {retrieval.name}"
    with _bar() as progress:
        found = measure_checkpoint(
            checkpoint, retrieval, settings, str(place), sensitivity, progress, runtime=how
        )
        gains = list(found.gains)
        for other in against or []:
            than = measure_checkpoint(
                other, retrieval, settings, str(place), False, progress, runtime=how
            )
            gains.append(compare(f"this checkpoint − {other.name}", found, than))
    notes = (*found_data.notes, *found.notes)
    found = found.model_copy(update={"data_set": name, "gains": tuple(gains), "notes": notes})
    if out is not None:
        files = write_report(out, found, find_misses(found, retrieval, count=thumbnails))
        _say(f"Written: {', '.join(map(str, files))}")
    typer.echo(found.model_dump_json(indent=2) if as_json else render_markdown(found))


def _refuse_mga_choices(*choices: object) -> None:
    if any(choice is not None for choice in choices):
        raise ParameterError(
            "--alpha, --candidates, --exhaustive and --int8 speak of MGA's scores; with "
            "--method asen there is one score an attribute: leave them out"
        )


def calibrate(
    data: Annotated[str, typer.Option(help="Data set, such as inshop:DIR, csv:FILE or stitch.")],
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint to calibrate.")],
    out: Annotated[
        Path | None, typer.Option(help="Where to write it; without this, in its own place.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of held-out items.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Fit how probable it is that a hit shows the same product, on held-out items.

    Example: `python -m model calibrate --data csv:shop.csv --checkpoint mga.safetensors`.
    The validation items of the data are used, never its test set. The fingerprint stays:
    open an index with --checkpoint to give its hits a confidence without building it again.
    """
    place = resolve_device(device)
    found_data = load_dataset(data, seed=seed)
    with _bar() as progress:
        found = calibrate_checkpoint(
            checkpoint,
            found_data.validation,
            out or checkpoint,
            name=f"{found_data.name}, {found_data.validation.name}",
            settings=Settings(seed=seed, batch=_BATCH[place.type]),
            device=str(place),
            progress=progress,
        )
    curve = found.calibration
    _say(f"Fitted on {curve.num_pairs} best hits, of which {curve.num_same} show the same product.")
    if not curve.slope:
        _say("Their scores do not tell right from wrong: every hit gets the same confidence.")
    typer.echo(found.path)


def choose_split(data: DataSet, split: str | None) -> RetrievalSet:
    """The set of this name; without one, test where there is one, or else validation."""
    known: dict[str, RetrievalSet] = {"validation": data.validation, **data.extra}
    if data.test is not None:
        known["test"] = data.test
    chosen = split or ("test" if data.test is not None else "validation")
    if chosen not in known:
        names = ", ".join(sorted(known))
        raise ParameterError(f"{data.name} has no split {chosen!r}; choose one of {names}")
    return known[chosen]


def measure_checkpoint(
    path: Path,
    retrieval: RetrievalSet,
    settings: Settings,
    device: str,
    sensitivity: bool,
    progress: Progress | None = None,
    recall: Mapping[str, RecallVector] | None = None,
    runtime: RuntimeName = "eager",
) -> Evaluation:
    """Load a checkpoint and measure it; with `sensitivity` also the sweeps of its tokens.

    Without `recall`, all three vectors are measured, the checkpoint's own first.
    """
    loaded = load_checkpoint(path)
    model = loaded.model.to(resolve_device(device))
    recall = recall or recall_vectors(model)
    trunk = open_trunk(model.eval(), loaded.fingerprint, runtime)
    queries, gallery, seconds = embed_set(
        model, retrieval, settings, progress=progress, trunk=trunk.run
    )
    pairing, alpha = Pairing.of(retrieval), model.config.alpha
    found = evaluate_embedded(
        queries, gallery, pairing, model.alignment, settings,
        name=retrieval.name, alpha=alpha, recall=recall, progress=progress,
    )  # fmt: skip
    curves = list(found.curves)
    if sensitivity:
        curves += token_sensitivity(
            model.alignment, queries, gallery, pairing, settings,
            alpha=found.alpha, recall=recall, progress=progress,
        )  # fmt: skip
    timings = {"encode": seconds, **found.timings_s}
    notes = list(found.notes)
    if trunk.name != "eager":
        notes.append(f"The backbone was computed by runtime {trunk.name}, not eager float32.")
    if model.config.recall.vector == "global":
        notes.append("The granular vector is in full width: this checkpoint has no projection.")
    update: dict[str, object] = {
        "curves": tuple(curves),
        "timings_s": timings,
        "checkpoint": _story(path, loaded),
        "notes": tuple(notes),
    }
    calibration = loaded.record.calibration
    # The curve speaks of scores at the checkpoint's own alpha.
    if calibration and found.hits and found.alpha == alpha:
        source = f"the checkpoint's own curve, fitted on {loaded.record.calibrated_on}"
        update["reliability"] = measure_reliability(calibration, found.hits, source)
    return found.model_copy(update=update)


def _story(path: Path, loaded: Checkpoint) -> dict[str, str]:
    trained = "yes" if loaded.record.trained_for_retrieval else "no"
    return {
        "checkpoint": path.name,
        "fingerprint": loaded.fingerprint[:16],
        "preset": loaded.model.config.preset,
        "recall vector": loaded.model.config.recall.vector,
        "weights": loaded.record.weights,
        "trained for retrieval": trained,
    }


@contextmanager
def _bar() -> Iterator[Progress]:
    """Draw progress on stderr, a line a stage."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:>12}"), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, TimeRemainingColumn(), console=console) as bar:
        current: dict[str, object] = {"stage": None, "task": None}

        def advance(stage: str, done: int, total: int) -> None:
            if stage != current["stage"]:
                current.update(stage=stage, task=bar.add_task(stage, total=total))
            bar.update(current["task"], completed=done, total=total)  # type: ignore[arg-type]
            if done == total:
                current["stage"] = None

        yield advance


def _say(sentence: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(sentence, markup=False)
