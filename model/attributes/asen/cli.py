"""What `--method asen` does: the commands of `python -m model` hand over to these functions."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import typer

from model.attributes.asen.checkpoint import load_asen
from model.attributes.asen.measure import measure_asen, validate_asen
from model.attributes.asen.recipes import get_asen_recipe
from model.attributes.asen.train import Say, Watch, train_asen
from model.attributes.data import load_attribute_data
from model.attributes.metrics import compare
from model.attributes.records import AttributeData, AttributeSplit
from model.attributes.report import attributes_to_json, render_attributes, write_attribute_report
from model.attributes.results import AttributeResults
from model.devices import resolve_device
from model.errors import ParameterError
from model.evaluation.embedding import Progress


def train_with_attributes(
    data: AttributeData,
    out: Path,
    *,
    recipe: str | None,
    preset: str | None,
    epochs: int | None,
    seed: int,
    init: str,
    local_init: str | None,
    device: str,
    workers: int,
    resume: bool,
    watch: Watch,
    say: Say,
) -> Path:
    """Train by a named recipe with changes; measures the validation set where it is due."""
    chosen = get_asen_recipe(recipe or "small").shortened(epochs)
    return train_asen(
        chosen.changed(preset=preset, seed=seed),
        data,
        out,
        init=init,
        local_init=local_init,
        device=device,
        resume=resume,
        workers=workers,
        validate=lambda network: validate_asen(network, data),
        watch=watch,
        say=say,
    )


def evaluate_with_attributes(
    data: str,
    checkpoint: Path,
    *,
    against: Sequence[Path] = (),
    split: str | None,
    out: Path | None,
    seed: int,
    device: str,
    as_json: bool,
    progress: Progress,
) -> None:
    """Measure checkpoints attribute by attribute, and print what others published beside them.

    `against` are further ones, each compared with the first, paired by query. A network of
    two branches is also compared with its global branch alone.
    """
    place = resolve_device(device)
    # Bad files are better known before the data is read.
    loaded = {file: load_asen(file) for file in (checkpoint, *against)}
    found = load_attribute_data(data, seed=seed)
    found, photos = choose_split(found, split)
    results: list[AttributeResults] = []
    for file, each in loaded.items():
        measured = measure_asen(
            each, found, photos, name=_call(file), device=place, seed=seed, progress=progress
        )
        results.append(measured.whole)
        if file == checkpoint and measured.global_alone is not None:
            results.append(measured.global_alone)
    first, *others = results
    gains = [compare(f"{first.method} − {other.method}", first, other) for other in others]
    if out is not None:
        write_attribute_report(out, results, gains)
    show = attributes_to_json if as_json else render_attributes
    typer.echo(show(results, gains), nl=False)


def choose_split(data: AttributeData, split: str | None) -> tuple[AttributeData, AttributeSplit]:
    """The named part of the data, test without a name; the data is called after another part."""
    if split in (None, "test"):
        return data, data.test
    if split == "validation":
        return replace(data, name=f"validation split of {data.name}"), data.valid
    raise ParameterError(f"{data.name} has no split {split!r}; choose one of test, validation")


def _call(file: Path) -> str:
    """A short name for a run's checkpoint: the folder says which run."""
    return f"{file.resolve().parent.name}/{file.name}"
