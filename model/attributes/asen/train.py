"""Train ASEN++: the global branch, then both; or its baseline, a plain triplet network.

Read from top to bottom: network, optimiser, epochs, validation, save. Everything random
follows the recipe's seed; a run that was killed goes on from its last finished epoch.

T triplets of a batch, S pixels a side of a framed photo, E width of an embedding.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from model.attributes.asen.checkpoint import AsenRecord, save_asen
from model.attributes.asen.loader import LoadedTriplets, PhotoStore, list_photos, load_triplets
from model.attributes.asen.losses import alignment_loss, batch_triplet_loss, triplet_loss
from model.attributes.asen.network import Asen, Branch, Embedded
from model.attributes.asen.recipes import AsenRecipe
from model.attributes.asen.start import start_network
from model.attributes.records import AttributeData
from model.attributes.sampler import Triplets, TripletSampler
from model.data.spec import name_without_folders
from model.devices import in_bfloat16, resolve_device
from model.errors import TrainingError
from model.optimise import descend
from model.trainstate import claim_folder, load_state, save_state, write_log

CHECKPOINT, BEST = "checkpoint.safetensors", "best.safetensors"
# Photos that outputs are centred on, and how many of them at once.
MAX_CENTRE_PHOTOS, CENTRE_BATCH = 64, 4
# The figure that says which epoch is the best.
CHOSEN_BY = "mAP"
Validate = Callable[[Asen], dict[str, float]]
Watch = Callable[[int, int, int, float], None]
Say = Callable[[str], None]


@dataclass
class AsenRun:
    """What changes from step to step, in the shape that `model.trainstate` keeps."""

    model: Asen
    optimiser: Optimizer
    origin: str
    # The best validation figure, kept with the run as a buffer.
    criterion: nn.Module
    averaged: None = None
    epoch: int = 0


class Best(nn.Module):
    """The best validation figure so far."""

    value: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.tensor(-1.0))


def train_asen(
    recipe: AsenRecipe,
    data: AttributeData,
    out: Path,
    *,
    init: str = "random",
    local_init: str | None = None,
    device: str = "auto",
    resume: bool = False,
    workers: int = 2,
    validate: Validate | None = None,
    watch: Watch | None = None,
    say: Say = lambda sentence: None,
) -> Path:
    """Train on `data.train` and return the path of the last epoch's checkpoint.

    `best.safetensors` beside it is the epoch that `validate` gave the highest "mAP"; the test
    set is not touched. Arguments are those of `model.train.train`; `local_init` as in
    `start_network`. `say` is told which values and attributes no triplet can be made of.

    Raises:
        DataError: nothing to train on, or no attribute with two values.
        TrainingError: a loss that is not finite, or nothing (or another run) to resume.
    """
    where = resolve_device(device)
    sampler = TripletSampler(
        data, num_triplets=recipe.triplets, batch=recipe.batch_triplets, seed=recipe.seed
    )
    for note in sampler.notes:
        say(note)
    started = start_network(recipe, data, init, local_init)
    claim_folder(out, resume=resume)
    network = started.network.to(where)
    origin = (
        f"{started.weights}; trained on {name_without_folders(data.name)}: "
        f"{len(data.train)} photos, {len(data.attributes)} attributes"
    )
    run = AsenRun(network, make_optimiser(recipe, network), origin, Best())
    if resume:
        load_state(out, recipe, run)
    labels = label_photos(data)
    store = PhotoStore(data.train, recipe.framing, recipe.source_size)
    for epoch in range(run.epoch, recipe.epochs):
        batches = load_triplets(store, sampler.batches(epoch), workers=workers)
        enter_stage(recipe, network, epoch)
        if recipe.centre and recipe.starts_stage(epoch):
            centre_outputs(recipe, network, store, len(data.train))
        loss = _train_epoch(recipe, run, batches, labels, len(sampler), epoch, watch)
        run.epoch = epoch + 1
        due = run.epoch % recipe.validate_every == 0 or run.epoch == recipe.epochs
        figures = validate(network.eval()) if validate and due else {}
        rate_factor = max(recipe.rates(epoch)) / recipe.learning_rate
        write_log(out, epoch, loss, rate_factor, figures)
        _save(recipe, run, out, figures)
    return out / CHECKPOINT


def make_optimiser(recipe: AsenRecipe, network: Asen) -> Optimizer:
    """Adam over trunks and heads; `set_rates` gives each group its rate."""
    groups = _groups(recipe, network.global_branch, [*network.table.parameters()], local=False)
    if network.local_branch is not None:
        groups += _groups(recipe, network.local_branch, [], local=True)
    return Adam(groups, lr=recipe.learning_rate)


def _groups(
    recipe: AsenRecipe, branch: Branch, more: list[nn.Parameter], *, local: bool
) -> list[dict[str, object]]:
    trunk, head = list(branch.backbone.parameters()), [*branch.head.parameters(), *more]
    return [
        {"params": trunk, "local": local, "factor": 1.0},
        {"params": head, "local": local, "factor": recipe.head_rate_factor},
    ]


def set_rates(recipe: AsenRecipe, optimiser: Optimizer, epoch: int) -> None:
    """Give each group the rate of an epoch; stage two starts with a fresh optimiser."""
    settled, local = recipe.rates(epoch)
    for group in optimiser.param_groups:
        group["lr"] = (local if group["local"] else settled) * group["factor"]
    if recipe.starts_stage(epoch):
        optimiser.state.clear()


def enter_stage(recipe: AsenRecipe, network: Asen, epoch: int) -> None:
    """Ask the local branch from stage two on; at its start, give it the weights it starts from."""
    fused = recipe.trains_both(epoch)
    network.config = network.config.model_copy(update={"fused": fused})
    if fused and recipe.starts_stage(epoch) and recipe.local_start == "global":
        assert network.local_branch is not None
        network.local_branch.load_state_dict(network.global_branch.state_dict())


def compute_loss(
    recipe: AsenRecipe, embedded: Embedded, attributes: Tensor, labels: Tensor
) -> Tensor:
    """The loss of a batch: Eq. 22-24, or with `learns_from` batch Eq. 26 in place of Eq. 22.

    Args:
        recipe: margin and weights.
        embedded: of 3 T photos, anchors first, then positives, then negatives.
        attributes: (3 T,) columns: the attribute each photo was drawn for.
        labels: (3 T, A) values of the photos; used by Eq. 26 alone.
    """
    rows = torch.arange(len(attributes), device=attributes.device)
    whole = _by_role(embedded.whole[rows, attributes])  # (3, T, E)
    if recipe.learns_from == "batch":
        loss = batch_triplet_loss(embedded.whole, labels, recipe.margin)
    else:
        loss = triplet_loss(whole, recipe.margin)
    if embedded.local is None:
        return loss
    local = _by_role(embedded.local[:, 0])
    loss = loss + recipe.local_weight * triplet_loss(local, recipe.margin)
    return loss + recipe.alignment_weight * alignment_loss(whole, local)


def _by_role(embeddings: Tensor) -> Tensor:
    """(3 T, E) to (3, T, E)."""
    return embeddings.view(3, -1, embeddings.shape[-1])


def set_training(recipe: AsenRecipe, network: Asen) -> None:
    """Train mode; with `freeze_batch_norm`, the trunks keep their batch statistics."""
    network.train()
    if recipe.freeze_batch_norm:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def train_step(recipe: AsenRecipe, run: AsenRun, loaded: LoadedTriplets, labels: Tensor) -> float:
    """Forward all roles as one batch, backward, one step; returns the loss.

    The published code forwards the roles one after the other, so that a batch norm sees a
    third of this batch at once.
    """
    device = run.model.table.weight.device
    pixels = loaded.pixels.to(device, non_blocking=True)
    drawn = torch.from_numpy(loaded.batch.attribute).to(device).repeat(3)  # (3 T,)
    asked, column = drawn[:, None], torch.zeros_like(drawn)
    if recipe.learns_from == "batch":
        asked, column = torch.arange(labels.shape[1], device=device), drawn
    half = in_bfloat16(recipe.amp, device.type)
    embedded: Embedded = run.model(pixels, asked, local_only=column, half=half)
    loss = compute_loss(recipe, embedded, column, labels[list_photos(loaded.batch)].to(device))
    return descend(loss, run.optimiser, recipe.clip_norm or math.inf)


@torch.no_grad()
def centre_outputs(recipe: AsenRecipe, network: Asen, store: PhotoStore, num_photos: int) -> None:
    """Move the newest branch's output so that its mean over some photos is zero.

    The local branch's where the network is `fused`, else the global one's.
    """
    device = network.table.weight.device
    step = max(1, num_photos // MAX_CENTRE_PHOTOS)
    photos = list(range(0, num_photos, step))[:MAX_CENTRE_PHOTOS]
    asked = torch.arange(len(network.config.attributes), device=device)
    half = in_bfloat16(recipe.amp, device.type)
    sums = []
    for start in range(0, len(photos), CENTRE_BATCH):
        pixels = store.stack(photos[start : start + CENTRE_BATCH]).to(device)
        embedded: Embedded = network.eval()(pixels, asked, half=half)
        newest = embedded.whole if embedded.local is None else embedded.local
        sums.append(newest.flatten(0, 1))
    branch = network.local_branch if network.config.fused else network.global_branch
    assert branch is not None
    branch.head.output.bias.sub_(torch.cat(sums).mean(dim=0))


def label_photos(data: AttributeData) -> Tensor:
    """Values of the training photos, (N, A); -1 where none is known, or several at once."""
    labels = torch.full((len(data.train), len(data.attributes)), -1)
    for row, photo in zip(labels, data.train, strict=True):
        for attribute, value in photo.values.items():
            if len(photo.all_values(attribute)) == 1:
                row[attribute] = value
    return labels


def _train_epoch(
    recipe: AsenRecipe,
    run: AsenRun,
    batches: Iterator[LoadedTriplets],
    labels: Tensor,
    steps: int,
    epoch: int,
    watch: Watch | None,
) -> float:
    """One epoch of triplets; returns the mean loss."""
    set_training(recipe, run.model)
    set_rates(recipe, run.optimiser, epoch)
    total = 0.0
    for step, loaded in enumerate(batches):
        loss = train_step(recipe, run, loaded, labels)
        _require_finite(loss, loaded.batch, epoch, step)
        total += loss
        if watch:
            watch(epoch, step, steps, loss)
    return total / max(1, steps)


def _require_finite(loss: float, batch: Triplets, epoch: int, step: int) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"the loss became {loss} at epoch {epoch + 1}, step {step + 1} (training photos "
            f"{list_photos(batch)[:6]}, ...). Lower the learning rate, and go on from "
            "the epoch before with --resume"
        )


def _save(recipe: AsenRecipe, run: AsenRun, out: Path, figures: dict[str, float]) -> None:
    record = AsenRecord(
        weights=run.origin,
        metrics=figures,
        recipe=recipe.model_dump(mode="json"),
        epochs=run.epoch,
    )
    best = run.criterion.get_buffer("value")
    if figures.get(CHOSEN_BY, -1.0) > float(best):
        best.fill_(figures[CHOSEN_BY])
        save_asen(out / BEST, run.model, record)
    save_asen(out / CHECKPOINT, run.model, record)
    # Last: a kill before it repeats the epoch, and never leaves an older checkpoint behind.
    save_state(out, recipe, run)
