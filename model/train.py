"""Train MGA as the paper does: identity loss, then identity and multi-granular triplet loss.

Read from top to bottom: data, network, optimiser, epochs, validation, save. Everything
random follows the recipe's seed; a run that was killed goes on from its last finished
epoch and ends with the same weights.

B images of a batch, S pixels a side, I training items, D width of the global feature.
"""

import copy
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from model.checkpoint import Record, save_checkpoint
from model.config import get_preset
from model.contrastive import ContrastiveLoss
from model.data import DataSet, ItemSampler, Loaded, Loader
from model.data.augment import (
    View,
    instance_view,
    item_view,
    plain_view,
    query_view,
    train_view,
)
from model.data.loader import THREADS
from model.data.records import group_by_item
from model.data.spec import name_without_folders
from model.devices import in_bfloat16, resolve_device
from model.fit import fit, fit_norms, fit_recall
from model.fusion import fuse
from model.initialise import initialise
from model.losses import IdentityLoss, softmax_loss, triplet_loss
from model.mga import MGA
from model.mining import find_alike
from model.optimise import build_optimiser, descend, rate_factor, set_rate
from model.preprocessing import Preprocessing
from model.recipes import Frozen, Recipe
from model.trainstate import (
    Run,
    claim_folder,
    load_state,
    require_finite,
    save_state,
    write_log,
)

Validate = Callable[[MGA], dict[str, float]]
Watch = Callable[[int, int, int, float], None]

CHECKPOINT = "checkpoint.safetensors"
ALIKE = "alike.npy"
MAX_FIT_PHOTOS = 500
# "auto" leaves the choice to the loader: instance views for unlabelled photos.
VIEWS: dict[str, tuple[View, ...]] = {
    "none": (plain_view,),
    "paper": (train_view,),
    "instance": (instance_view,),
    "pair": (query_view, item_view),
}


def train(
    recipe: Recipe,
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
    """Train on `data.train` and return the path of the checkpoint; the test set is not touched.

    Args:
        recipe: every choice of the run.
        data: photos of at least two items.
        out: a folder for `checkpoint.safetensors`, `log.csv` and the state to resume from.
        init: what the backbone starts from: "random", "imagenet" or a weights file.
        device: auto, cpu, cuda or cuda:N.
        resume: go on from the last finished epoch in `out`.
        workers: processes that load photos; 0 loads by threads of this one.
        validate: measures the model after an epoch; its figures go to the log and the record.
        watch: called after each step with (epoch, step, steps an epoch, loss).

    Raises:
        TrainingError: a loss that is not finite, or nothing (or another run) to resume.
    """
    where = resolve_device(device)
    claim_folder(out, resume=resume)
    model, words, complete = initialise(get_preset(recipe.preset), init, recipe.seed)
    # The order that convolutions of half precision prefer; last bits may depend on it.
    model.backbone.to(memory_format=torch.channels_last)
    if recipe.fit_centres and not complete and not resume:
        _fit(recipe, model, data, init)
    sampler = ItemSampler(
        data.train,
        num_items=recipe.batch_items,
        num_photos=recipe.batch_photos,
        seed=recipe.seed,
        views=data.views or recipe.augment == "pair",
        alike=_find_alike(recipe, model.to(where), data, out, workers),
        together=recipe.together,
    )
    # Served as trained: fitting chose an alpha for untrained scores.
    model.config = model.config.model_copy(update={"alpha": recipe.alpha})
    run = start_run(recipe, model.to(where), sampler.num_classes)
    run.origin = (
        f"{words}; trained on {name_without_folders(data.name)}: "
        f"{len(data.train)} photos, {len(sampler.names)} items"
    )
    if resume:
        load_state(out, recipe, run)
    loader = Loader(
        data.train,
        sampler,
        training_input(recipe, model),
        views=VIEWS.get(recipe.augment),
        workers=workers,
    )
    with loader:
        for epoch in range(run.epoch, recipe.epochs):
            loss = _train_epoch(recipe, run, loader, epoch, out, watch)
            run.epoch = epoch + 1
            due = _is_due(recipe, run.epoch)
            if due:
                _fit_recall(recipe, run, data)
            figures = validate(_finished(run)) if validate and due else {}
            write_log(out, epoch, loss, rate_factor(recipe, epoch), figures)
            record = Record(
                weights=run.origin,
                trained_for_retrieval=True,
                metrics=figures,
                recipe=recipe.model_dump(mode="json"),
                epochs=run.epoch,
            )
            save_checkpoint(out / CHECKPOINT, _finished(run), record)
            # Last: a kill before it repeats the epoch, and never leaves an older checkpoint behind.
            save_state(out, recipe, run)
    return out / CHECKPOINT


def start_run(recipe: Recipe, model: MGA, num_items: int) -> Run:
    """Add the classifier, the optimiser and, with EMA, the averaged copy."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        criterion = _make_criterion(recipe, model, num_items).to(model.mean.device)
    if recipe.trains == "alignment":
        model.requires_grad_(False)
        model.alignment.joint.requires_grad_()
        model.alignment.refine.requires_grad_()
    averaged = copy.deepcopy(model).eval() if recipe.ema else None
    return Run(model, criterion, make_optimiser(recipe, model, criterion), averaged)


def _make_criterion(recipe: Recipe, model: MGA, num_items: int) -> IdentityLoss | ContrastiveLoss:
    if recipe.loss == "contrastive":
        stage_one = recipe.trains == "alignment"
        return ContrastiveLoss(model.config.num_levels, stage_one=stage_one)
    return IdentityLoss(
        num_items,
        model.backbone.final_channels,
        smoothing=recipe.label_smoothing,
        margin=recipe.identity_margin,
    )


def make_optimiser(recipe: Recipe, model: MGA, criterion: nn.Module) -> Optimizer:
    """Adam over the backbone and the head.

    Losses on S_global alone never reach FGA and ATA: those are left out then, and keep
    what they started from.
    """
    backbone = list(model.backbone.named_parameters())
    head = [("neck.weight", model.neck.weight), *criterion.named_parameters()]
    if recipe.loss in ("multi-granular", "contrastive"):
        head += [*model.aggregators.named_parameters(), *model.alignment.named_parameters()]
    return build_optimiser(
        [(backbone, 1.0), (head, recipe.head_rate_factor)],
        recipe.optimiser,
        rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
    )


def _train_epoch(
    recipe: Recipe, run: Run, loader: Loader, epoch: int, out: Path, watch: Watch | None
) -> float:
    """One pass over the items; returns the mean loss."""
    set_training(run.model, recipe.freeze_batch_norm)
    total = 0.0
    for loaded in loader.batches(epoch):
        step = loaded.batch.step
        set_rate(run.optimiser, rate_factor(recipe, epoch + (step + 1) / len(loader)))
        loss = train_step(recipe, run, loaded, epoch)
        require_finite(loss, out, loaded, epoch)
        total += loss
        if watch:
            watch(epoch, step, len(loader), loss)
    return total / max(1, len(loader))


def train_step(recipe: Recipe, run: Run, loaded: Loaded, epoch: int) -> float:
    """Forward, backward and one step of the optimiser; returns the loss."""
    device = run.model.mean.device
    pixels = run.model.normalise(torch.from_numpy(loaded.pixels).to(device))
    items = torch.from_numpy(loaded.batch.items).to(device)
    valid = torch.from_numpy(loaded.batch.valid).to(device)
    loss = compute_loss(recipe, run, pixels, items, valid, epoch)
    value = descend(loss, run.optimiser, recipe.clip_norm)
    if math.isfinite(value):
        _average(recipe, run)
    return value


def compute_loss(
    recipe: Recipe, run: Run, pixels: Tensor, items: Tensor, valid: Tensor, epoch: int
) -> Tensor:
    """Eq. 10-12 for a batch of normalised (B, 3, S, S) pixels; similarities in float32."""
    model, device = run.model, pixels.device.type
    with torch.autocast(device, dtype=torch.bfloat16, enabled=in_bfloat16(recipe.amp, device)):
        features = model.backbone(pixels)
    if isinstance(run.criterion, ContrastiveLoss):
        described = model.describe(features)
        contrast: Tensor = run.criterion(model, described.every(2, 0), described.every(2, 1))
        return contrast
    necked = model.neck(model.pool(features.final.float()))  # (B, D)
    loss: Tensor = recipe.identity_weight * run.criterion(necked[valid], items[valid])
    if recipe.loss == "identity" or epoch < recipe.identity_epochs:
        return loss
    unit = nn.functional.normalize(necked, dim=-1)
    scores = unit @ unit.mT  # (B, B)
    if recipe.loss == "multi-granular" and epoch >= recipe.global_epochs:
        tokens = model.tokens(features)
        scores = fuse(scores, model.alignment.score_among(tokens), recipe.alpha)
    if recipe.triplet == "softmax":
        triplet = softmax_loss(scores, items, scale=recipe.sharpness, valid=valid)
    else:
        triplet = triplet_loss(scores, items, margin=recipe.margin, valid=valid)
    return loss + recipe.triplet_weight * triplet


def training_input(recipe: Recipe, model: MGA) -> Preprocessing:
    """What the network is served, at the side it is trained with."""
    served = model.config.preprocessing
    return served.model_copy(update={"image_size": recipe.image_size or served.image_size})


def _find_alike(
    recipe: Recipe, model: MGA, data: DataSet, out: Path, workers: int
) -> NDArray[np.int64] | None:
    """Items that look alike to the network the run starts from; kept for a run that resumes."""
    path = out / ALIKE
    if recipe.together < 2:
        return None
    if not path.exists():
        photos = [group[0] for group in group_by_item(data.train).values()]
        np.save(path, find_alike(model, photos, amp=recipe.amp, workers=workers or THREADS))
    alike: NDArray[np.int64] = np.load(path, allow_pickle=False)
    return alike


def set_training(model: MGA, freeze_batch_norm: Frozen) -> None:
    """Train mode, with those batch norms kept as they are for which that is asked."""
    model.train()
    kept = {"none": nn.Module(), "backbone": model.backbone, "all": model}[freeze_batch_norm]
    for module in kept.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.eval()


@torch.no_grad()
def _average(recipe: Recipe, run: Run) -> None:
    """Move the averaged weights; batch-norm statistics are copied, not averaged."""
    if run.averaged is None or recipe.ema is None:
        return
    for mean, now in zip(run.averaged.parameters(), run.model.parameters(), strict=True):
        mean.lerp_(now, 1.0 - recipe.ema)
    for kept, current in zip(run.averaged.buffers(), run.model.buffers(), strict=True):
        kept.copy_(current)


def _fit(recipe: Recipe, model: MGA, data: DataSet, init: str) -> None:
    """Start centres and projections from some of the training photos."""
    photos = choose_fit_photos(data)
    if init == "random":
        fit_norms(model, photos)
    fit(model, photos, seed=recipe.seed, amp=recipe.amp)


def _fit_recall(recipe: Recipe, run: Run, data: DataSet) -> None:
    """Fit the recall vector to the tokens as they are now; it takes no part in the losses."""
    finished = _finished(run)
    fit_recall(finished, choose_fit_photos(data), seed=recipe.seed, amp=recipe.amp)
    # An averaged copy takes over the buffers of the network at every step.
    run.model.recall.load_state_dict(finished.recall.state_dict())


def choose_fit_photos(data: DataSet) -> list[Path]:
    """Photos spread evenly over the training set."""
    step = max(1, len(data.train) // MAX_FIT_PHOTOS)
    return [photo.path for photo in data.train[::step]][:MAX_FIT_PHOTOS]


def _is_due(recipe: Recipe, epoch: int) -> bool:
    return epoch % recipe.validate_every == 0 or epoch == recipe.epochs


def _finished(run: Run) -> MGA:
    """The model to measure and to keep, in eval mode."""
    return (run.averaged or run.model).eval()
