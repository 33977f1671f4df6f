"""What `--method asen` does: the commands of `python -m model` hand over to these functions."""

from pathlib import Path

import typer

from model.attributes.asen.checkpoint import load_asen
from model.attributes.asen.measure import measure_asen, validate_asen
from model.attributes.asen.recipes import get_asen_recipe
from model.attributes.asen.report import render, write_figures
from model.attributes.asen.train import Watch, train_asen
from model.attributes.data import load_attribute_data
from model.attributes.records import AttributeData, AttributeSplit
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
    )


def evaluate_with_attributes(
    data: str,
    checkpoint: Path,
    *,
    split: str | None,
    out: Path | None,
    seed: int,
    device: str,
    as_json: bool,
    progress: Progress,
) -> None:
    """Measure a checkpoint attribute by attribute, and print what others published beside it."""
    place = resolve_device(device)
    loaded = load_asen(checkpoint)  # a bad one is better known before the data is read
    found = load_attribute_data(data, seed=seed)
    chosen = choose_split(found, split)
    figures = measure_asen(
        loaded, found, chosen, file=checkpoint.name, device=place, seed=seed, progress=progress
    )
    if out is not None:
        write_figures(out, figures)
    typer.echo(figures.model_dump_json(indent=2) if as_json else render(figures))


def choose_split(data: AttributeData, split: str | None) -> tuple[str, AttributeSplit]:
    """The named part of the data; test without a name."""
    known = {"test": data.test, "validation": data.valid}
    name = split or "test"
    if name not in known:
        raise ParameterError(f"{data.name} has no split {split!r}; choose one of test, validation")
    return name, known[name]
