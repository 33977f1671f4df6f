"""Make tokens useful without training: fit what FGA and ATA need on unlabelled photos.

For each level, the centres become the spherical k-means of the cells around their
mean, the projection the principal directions of the resulting tokens; the neck
centres the global feature; each level's weight is one over the spread of its scores,
so that no level drowns the others; a granular recall vector gets its mean and its
principal directions from a second pass, once there are tokens.

P photos, n cells a photo, C channels, M tokens, G ghosts, d token width.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.aggregator import FineGranularAggregator
from model.alignment import TokenSet
from model.backbone import Features
from model.checkpoint import Record, save_checkpoint
from model.config import AggregatorOptions, get_preset
from model.devices import Amp, in_bfloat16
from model.errors import CheckpointError, ImageError, SourceError
from model.images import read_image
from model.initialise import initialise
from model.kmeans import spherical_kmeans
from model.mga import MGA, ImageFeatures
from model.preprocessing import prepare
from model.recall import join_tokens

Progress = Callable[[int, int], None]

# Enough for stable centres; more only costs memory (C floats a cell).
MAX_CELLS = 50_000
BATCH = 8
# Photos compared with each other to learn how far scores of strangers spread.
NUM_COMPARED = 32
# Photos that give a random network its statistics.
NUM_NORM_PHOTOS = 64
# Share of the global score once both scores have the same spread (docs/experiments.md).
GLOBAL_SHARE = 0.1
MIN_SPREAD = 1e-6


class Sample(NamedTuple):
    """What one pass over the photos leaves: cells (P, n, C) a level, pooled maps (P, D)."""

    cells: list[Tensor]
    pooled: Tensor


def create_checkpoint(
    path: Path,
    *,
    preset: str,
    init: str = "random",
    photos: Sequence[Path] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> str:
    """Write a checkpoint that was not trained for retrieval; returns its fingerprint.

    Args:
        path: where the file appears, atomically.
        preset: a name of `model.config.PRESETS`.
        init: "random", "imagenet" or a safetensors file with the backbone's weights.
        photos: unlabelled photos to fit centres and projections on; None leaves them random.
        seed: of everything random.
        progress: called with (photos done, photos in all).

    Raises:
        SourceError: photos given, but none can be read.
    """
    model, weights, complete = initialise(get_preset(preset), init, seed)
    if complete:
        raise CheckpointError(f"{init} is a whole checkpoint, not bare weights; give --checkpoint")
    if photos is not None:
        if init == "random":
            fit_norms(model, photos)
        count = fit(model, photos, seed=seed, progress=progress)
        weights += f"; centres fitted on {count} photos"
    return save_checkpoint(path, model, Record(weights=weights))


@torch.inference_mode()
def fit_norms(model: MGA, photos: Sequence[Path]) -> None:
    """Give a random network's batch norms the statistics of (up to 64) photos.

    Without them its maps are nearly constant; with them, random filters tell colours
    and textures apart. Networks with trained weights have their own statistics.
    """
    norms = [module for module in model.backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
        norm.train()
    for pixels in _batches(model, photos[:NUM_NORM_PHOTOS], None):
        model.backbone(pixels)
    for norm, kept in zip(norms, momenta, strict=True):
        norm.momentum = kept
        norm.eval()


@torch.inference_mode()
def fit(
    model: MGA,
    photos: Sequence[Path],
    *,
    seed: int = 0,
    amp: Amp = "off",
    progress: Progress | None = None,
) -> int:
    """Fit `model` in place; returns how many photos could be read.

    With `amp`, the backbone runs in bfloat16 where that is faster.
    """
    generator = torch.Generator().manual_seed(seed)
    again = _choose_for_recall(model, photos)
    first, second = _two_passes(progress, len(photos), len(again))
    sample = _sample(model, photos, generator, amp, first)
    for aggregator, cells in zip(model.aggregators, sample.cells, strict=True):
        assert isinstance(aggregator, FineGranularAggregator)
        fit_level(aggregator, cells, generator)
    model.neck.get_buffer("running_mean").copy_(sample.pooled.mean(0))
    _fit_fusion(model, _encode(model, photos[:NUM_COMPARED], amp))
    if again:
        fit_recall(model, again, seed=seed, amp=amp, progress=second)
    return len(sample.pooled)


@torch.inference_mode()
def fit_recall(
    model: MGA,
    photos: Sequence[Path],
    *,
    seed: int = 0,
    amp: Amp = "off",
    progress: Progress | None = None,
) -> None:
    """Fit the recall vector to the network's tokens; nothing to do for the global feature."""
    chosen = _choose_for_recall(model, photos)
    if chosen:
        batches = _batches(model, chosen, progress)
        joined = [
            join_tokens(model.describe(look(model, pixels, amp)).token_set).cpu()
            for pixels in batches
        ]
        model.recall.fit(torch.cat(joined), torch.Generator().manual_seed(seed))


def _choose_for_recall(model: MGA, photos: Sequence[Path]) -> Sequence[Path]:
    """Twice as many photos as dimensions, spread evenly; none for the global feature."""
    options = model.config.recall
    return [] if options.vector == "global" else photos[:: max(1, len(photos) // (2 * options.dim))]


def _two_passes(
    progress: Progress | None, one: int, two: int
) -> tuple[Progress | None, Progress | None]:
    """Split a watcher: it sees one run over both passes."""
    if progress is None:
        return None, None
    total = one + two
    return (
        lambda done, _: progress(done, total),
        lambda done, _: progress(one + done, total),
    )


def fit_level(
    aggregator: FineGranularAggregator, cells: Tensor, generator: torch.Generator
) -> None:
    """Fit one level's projection and centres to (P, n, C) cells."""
    options, mean = aggregator.options, cells.flatten(0, 1).mean(0)
    centred = cells - mean
    centres = _find_centres(centred.flatten(0, 1), options, generator)  # (M + G, C)
    tokens = _full_width_tokens(centred, centres, options)  # (P * M, C)
    _, directions = torch.linalg.eigh(tokens.mT @ tokens)  # ascending
    width = min(options.token_dim, directions.shape[1])
    top = directions[:, -width:].flip(1).mT  # (width, C)
    # A level narrower than d leaves the last dimensions empty.
    weight, bias = (aggregator.project.get_parameter(name) for name in ("weight", "bias"))
    weight.zero_()[:width] = top[:, :, None, None]
    bias.zero_()[:width] = -top @ mean
    aggregator.centres.zero_()[:, :width] = F.normalize(centres @ top.mT, dim=-1)
    if hasattr(aggregator, "residual_centres"):
        aggregator.residual_centres.copy_(aggregator.centres[: options.num_tokens])


def _find_centres(cells: Tensor, options: AggregatorOptions, generator: torch.Generator) -> Tensor:
    """Centres (M + G, C) of (N, C) cells; ghosts take the weakest cells, the background."""
    centres = [spherical_kmeans(cells, options.num_tokens, generator=generator)]
    if options.num_ghosts:
        length = cells.norm(dim=-1)
        weak = cells[length.argsort()[: max(options.num_ghosts, len(length) // 5)]]
        centres.append(spherical_kmeans(weak, options.num_ghosts, generator=generator))
    return torch.cat(centres)


def _full_width_tokens(cells: Tensor, centres: Tensor, options: AggregatorOptions) -> Tensor:
    """Tokens of (P, n, C) cells before any projection, weighted by length: (P * M, C)."""
    length = cells.norm(dim=-1, keepdim=True)
    unit = F.normalize(cells, dim=-1)
    share = (options.scale * unit @ centres.mT).softmax(-1)[..., : options.num_tokens]
    return F.normalize((share * length).mT @ unit, dim=-1).flatten(0, 1)


def _fit_fusion(model: MGA, strangers: ImageFeatures) -> None:
    """Weigh levels, and global against token, by one over the spread between strangers."""
    weight = model.alignment.level_weight
    levels = _all_pairs(model, strangers.token_set)  # (P, P, L)
    spreads = [_spread(level) for level in levels.unbind(-1)]
    inverse = torch.tensor(spreads).clamp(min=MIN_SPREAD).reciprocal()
    weight.zero_()[: len(inverse)] = inverse / inverse.sum()
    token_spread = _spread(levels @ weight[: len(inverse)])
    global_spread = _spread(strangers.global_feature @ strangers.global_feature.mT)
    share = GLOBAL_SHARE / max(global_spread, MIN_SPREAD)
    alpha = share / (share + (1.0 - GLOBAL_SHARE) / max(token_spread, MIN_SPREAD))
    model.config = model.config.model_copy(update={"alpha": round(alpha, 4)})


def _all_pairs(model: MGA, images: TokenSet) -> Tensor:
    """Token scores of every image with every image, a level each: (P, P, L)."""
    alignment = model.alignment
    everything = alignment.prepare(TokenSet(*(x.unsqueeze(0) for x in images)))
    singles = (TokenSet(*(x[i : i + 1] for x in images)) for i in range(len(images.tokens)))
    rows = [alignment.level_scores(alignment.prepare(one), everything) for one in singles]
    return torch.cat(rows)


def _spread(scores: Tensor) -> float:
    """Standard deviation between different images."""
    different = ~torch.eye(len(scores), dtype=torch.bool)
    return float(scores[different].std()) if len(scores) > 2 else 1.0


def _sample(
    model: MGA,
    photos: Sequence[Path],
    generator: torch.Generator,
    amp: Amp,
    progress: Progress | None,
) -> Sample:
    """Draw cells evenly from all photos in one pass."""
    a_photo = max(1, MAX_CELLS // max(1, len(photos)))
    cells: list[list[Tensor]] = [[] for _ in model.aggregators]
    pooled = []
    for pixels in _batches(model, photos, progress):
        features = look(model, pixels, amp)
        pooled.append(model.pool(features.final))
        for drawn, level in zip(cells, features.levels, strict=True):
            grid = level.flatten(2).mT  # (B, N, C)
            # The same places in every level are no use: each level draws its own.
            pick = torch.randperm(grid.shape[1], generator=generator)[:a_photo]
            drawn.append(grid[:, pick])
    return Sample([torch.cat(drawn) for drawn in cells], torch.cat(pooled))


def look(model: MGA, pixels: Tensor, amp: Amp) -> Features:
    """Maps of normalised (B, 3, H, W) pixels, in float32 however the backbone computes them."""
    device = pixels.device.type
    with torch.autocast(device, torch.bfloat16, enabled=in_bfloat16(amp, device)):
        features: Features = model.backbone(pixels)
    return Features(tuple(level.float() for level in features.levels), features.final.float())


def _encode(model: MGA, photos: Sequence[Path], amp: Amp) -> ImageFeatures:
    batches = _batches(model, photos, None)
    encoded = [model.describe(look(model, pixels, amp)) for pixels in batches]
    return ImageFeatures(*(torch.cat(parts) for parts in zip(*encoded, strict=True)))


def _batches(model: MGA, photos: Sequence[Path], progress: Progress | None) -> Iterator[Tensor]:
    """Normalised (B, 3, H, W) pixels of the photos that can be read."""
    found = 0
    for start in range(0, len(photos), BATCH):
        batch = []
        for photo in photos[start : start + BATCH]:
            try:
                image = read_image(photo)
            except ImageError:
                continue  # the build lists unreadable photos with their reasons
            prepared = prepare(image, model.config.preprocessing)
            batch.append(torch.from_numpy(prepared.pixels))
        if progress:
            progress(min(start + BATCH, len(photos)), len(photos))
        if batch:
            found += len(batch)
            yield model.normalise(torch.stack(batch).to(model.mean.device))
    if not found:
        raise SourceError(
            f"none of the {len(photos)} photos can be read, so no centres can be fitted; "
            "give a folder with readable JPEG, PNG or WebP photos"
        )
