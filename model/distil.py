"""Teach a backbone to see as another one does, from photos without labels.

Teacher and student look at the same crops, and every cell of the student's maps has to
foretell the teacher's (`model/imitation.py`). Tokens, projections and the recall vector
are fitted on the photos afterwards, so that the checkpoint can be served, measured, or
trained for retrieval. As in `model/train.py`, everything random follows the seed, and a
run that was killed ends with the same weights.
"""

from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.backbone import Features
from model.checkpoint import (
    Record,
    compute_fingerprint,
    is_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from model.config import get_preset
from model.data import DataSet, ItemSampler, Loader
from model.data.augment import crop_view
from model.devices import in_bfloat16, resolve_device
from model.errors import CheckpointError
from model.fit import fit
from model.imitation import ImitationLoss
from model.initialise import initialise
from model.mga import MGA
from model.optimise import build_optimiser, cosine_factor, descend, set_rate
from model.recipes import Distillation
from model.train import CHECKPOINT, Validate, Watch, choose_fit_photos
from model.trainstate import Run, claim_folder, load_state, require_finite, save_state, write_log

# Batches that say what the mean and the spread of the teacher's cells are.
NUM_MEASURED_BATCHES = 8


class Teacher(NamedTuple):
    """A network in eval mode, and what it is in words."""

    model: MGA
    words: str


def load_teacher(weights: str, preset: str | None = None) -> Teacher:
    """Read a teacher: a whole checkpoint, or `preset` with bare backbone weights.

    Args:
        weights: a safetensors file, or "imagenet" (fetched through timm: needs a network).
        preset: the network that bare weights belong to.

    Raises:
        CheckpointError: weights that cannot be had, read or fitted.
    """
    path = Path(weights)
    if weights != "imagenet" and not path.is_file():
        raise CheckpointError(
            f"the teacher {weights} is not a file; expected a checkpoint, or safetensors weights "
            "or imagenet together with --teacher-preset"
        )
    if weights != "imagenet" and is_checkpoint(path):
        return _load_whole(path, preset)
    if preset is None:
        raise CheckpointError(
            f"the teacher {weights} is not a Selvedge checkpoint; "
            "for bare weights, say which network they are with --teacher-preset"
        )
    model, words, _ = initialise(get_preset(preset), weights)
    return _introduce(model, words)


def _load_whole(path: Path, preset: str | None) -> Teacher:
    model, record, *_ = load_checkpoint(path)
    if preset not in (None, model.config.preset):
        raise CheckpointError(
            f"the teacher {path} is a checkpoint of preset {model.config.preset}, "
            f"not {preset}; leave --teacher-preset out"
        )
    return _introduce(model, record.weights)


def _introduce(model: MGA, words: str) -> Teacher:
    """Name the weights by their fingerprint too: another file is another teacher."""
    state = dict(model.backbone.state_dict())
    fingerprint = compute_fingerprint(model.config, state)[:12]
    return Teacher(
        model.eval().requires_grad_(False), f"{model.config.preset} ({words}; {fingerprint})"
    )


def distil(
    recipe: Distillation,
    teacher: Teacher,
    data: DataSet,
    out: Path,
    *,
    init: str = "random",
    device: str = "auto",
    resume: bool = False,
    workers: int = 0,
    validate: Validate | None = None,
    watch: Watch | None = None,
) -> Path:
    """Teach on crops of `data.train`, fit the rest, and return the path of the checkpoint.

    Args:
        recipe: every choice of the run; `recipe.preset` is the student.
        teacher: as `load_teacher` reads it.
        data: photos; who shows the same item does not matter.
        out: a folder for `checkpoint.safetensors`, `log.csv` and the state to resume from.
        init: what the student starts from, as in `model.train.train`.
        device: auto, cpu, cuda or cuda:N.
        resume: go on from the last finished epoch in `out`.
        workers: processes that load photos; 0 loads by threads of this one.
        validate: measures the finished model; its figures go to the record.
        watch: called after each step with (epoch, step, steps an epoch, loss).

    Raises:
        CheckpointError: teacher and student have no level in common.
        TrainingError: a loss that is not finite, or nothing (or another run) to resume.
    """
    where = resolve_device(device)
    claim_folder(out, resume=resume)
    student, words, _ = initialise(get_preset(recipe.preset), init, recipe.seed)
    run = start_run(recipe, student.to(where), teacher.model.to(where))
    run.origin = f"{words}; taught by {teacher.words} on {data.name}: {len(data.train)} photos"
    with _make_loader(recipe, student, data, workers) as loader:
        if resume:
            load_state(out, recipe, run)
        else:
            _measure(recipe, run, teacher.model, loader)
        for epoch in range(run.epoch, recipe.epochs):
            loss, distances = _teach_epoch(recipe, run, teacher.model, loader, epoch, out, watch)
            run.epoch = epoch + 1
            factor = cosine_factor(epoch, recipe.epochs, recipe.warmup_epochs)
            write_log(out, epoch, loss, factor, distances)
            save_state(out, recipe, run)
    # From the state alone: a run that was killed in here fits the same again.
    photos = choose_fit_photos(data)
    fit(student.eval(), photos, seed=recipe.seed, amp=recipe.amp)
    record = Record(
        weights=f"{run.origin}; centres fitted on {len(photos)} photos",
        taught_by=teacher.words,
        metrics=validate(student) if validate else {},
        recipe=recipe.model_dump(mode="json"),
        epochs=run.epoch,
    )
    save_checkpoint(out / CHECKPOINT, student, record)
    return out / CHECKPOINT


def start_run(recipe: Distillation, student: MGA, teacher: MGA) -> Run:
    """Add the heads, which are not part of the checkpoint, and the optimiser."""
    for model in (student, teacher):
        model.backbone.to(memory_format=torch.channels_last)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        criterion = ImitationLoss(student.backbone, teacher.backbone).to(student.mean.device)
    optimiser = build_optimiser(
        [(student.backbone.named_parameters(), 1.0), (criterion.named_parameters(), 1.0)],
        "adamw",
        rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
    )
    return Run(student, criterion, optimiser, averaged=None)


def _make_loader(recipe: Distillation, student: MGA, data: DataSet, workers: int) -> Loader:
    """One crop of each photo an epoch, whatever it shows."""
    photos = [replace(photo, item=str(place)) for place, photo in enumerate(data.train)]
    served = student.config.preprocessing
    return Loader(
        photos,
        ItemSampler(
            photos,
            num_items=min(recipe.batch_photos, len(photos)),
            num_photos=1,
            seed=recipe.seed,
            views=True,
        ),
        served.model_copy(update={"image_size": recipe.image_size}),
        views=(crop_view,),
        workers=workers,
    )


@torch.no_grad()
def _measure(recipe: Distillation, run: Run, teacher: MGA, loader: Loader) -> None:
    assert isinstance(run.criterion, ImitationLoss)
    with closing(loader.batches(0)) as batches:
        few = islice(batches, NUM_MEASURED_BATCHES)
        run.criterion.measure([_show(recipe, teacher, batch.pixels) for batch in few])


def _teach_epoch(
    recipe: Distillation,
    run: Run,
    teacher: MGA,
    loader: Loader,
    epoch: int,
    out: Path,
    watch: Watch | None,
) -> tuple[float, dict[str, float]]:
    """One crop of every photo; returns the mean loss and each map's mean 1 - cosine."""
    assert isinstance(run.criterion, ImitationLoss)
    run.model.train()
    total, apart = 0.0, torch.zeros(len(run.criterion.names))
    for loaded in loader.batches(epoch):
        step = loaded.batch.step
        now = epoch + (step + 1) / len(loader)
        set_rate(run.optimiser, cosine_factor(now, recipe.epochs, recipe.warmup_epochs))
        loss, distances = imitate(recipe, run, teacher, loaded.pixels)
        value = descend(loss, run.optimiser, recipe.clip_norm)
        require_finite(value, out, loaded, epoch)
        total += value
        apart += distances.cpu()
        if watch:
            watch(epoch, step, len(loader), value)
    means = (apart / len(loader)).tolist()
    named = zip(run.criterion.names, means, strict=True)
    return total / len(loader), {f"1 - cosine, {name}": mean for name, mean in named}


def imitate(
    recipe: Distillation, run: Run, teacher: MGA, pixels: NDArray[np.uint8]
) -> tuple[Tensor, Tensor]:
    """The loss on (B, S, S, 3) uint8 pixels, and 1 - cosine of each map."""
    with torch.no_grad():
        wanted = _show(recipe, teacher, pixels)
    found = _show(recipe, run.model, pixels)
    loss, distances = run.criterion(found, wanted)
    return loss, distances


def _show(recipe: Distillation, model: MGA, pixels: NDArray[np.uint8]) -> Features:
    """Each network normalises as its own weights expect."""
    device = model.mean.device
    normalised = model.normalise(torch.from_numpy(pixels).to(device))
    amp = in_bfloat16(recipe.amp, device.type)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=amp):
        features: Features = model.backbone(normalised)
    return features
