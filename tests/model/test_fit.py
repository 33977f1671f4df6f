"""Fitting on unlabelled photos: deterministic, and better than random centres."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model.aggregator import FineGranularAggregator
from model.checkpoint import load_checkpoint
from model.config import AggregatorOptions, get_preset
from model.errors import SourceError
from model.fit import create_checkpoint, fit_level, fit_norms
from model.images import read_image
from model.initialise import initialise
from model.kmeans import spherical_kmeans
from model.preprocessing import prepare


def test_the_same_photos_and_seed_give_the_same_checkpoint(
    tiny: Path, photos: list[Path], tmp_path: Path
) -> None:
    create_checkpoint(tmp_path / "again.safetensors", preset="tiny", photos=photos)
    assert (tmp_path / "again.safetensors").read_bytes() == tiny.read_bytes()


def test_another_seed_gives_another_fingerprint(photos: list[Path], tmp_path: Path) -> None:
    one, two = (
        create_checkpoint(tmp_path / f"{s}.safetensors", preset="tiny", photos=photos, seed=s)
        for s in (0, 1)
    )
    assert one != two


def test_without_photos_centres_stay_random_and_the_record_says_so(tmp_path: Path) -> None:
    create_checkpoint(tmp_path / "x.safetensors", preset="tiny")
    record = load_checkpoint(tmp_path / "x.safetensors").record
    assert record.weights == "tiny, random (seed 0)"
    assert record.trained_for_retrieval is False


def test_unreadable_photos_are_passed_over_and_counted_out(
    photos: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "note.jpg").write_text("not a photo")
    files = [tmp_path / "note.jpg", *photos]
    create_checkpoint(tmp_path / "x.safetensors", preset="tiny", photos=files)
    assert "fitted on 12 photos" in load_checkpoint(tmp_path / "x.safetensors").record.weights


def test_photos_that_all_fail_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "note.jpg").write_text("not a photo")
    with pytest.raises(SourceError, match="none of the 1 photos can be read"):
        create_checkpoint(tmp_path / "x.safetensors", preset="tiny", photos=[tmp_path / "note.jpg"])
    assert not (tmp_path / "x.safetensors").exists()


def test_progress_counts_to_the_end(photos: list[Path], tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = tmp_path / "x.safetensors"
    create_checkpoint(
        path, preset="tiny", photos=photos, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(8, 12), (12, 12)]


@pytest.mark.parametrize("channels", [4, 24])
@torch.no_grad()
def test_fitted_tokens_gather_the_cells_of_one_cluster(channels: int) -> None:
    generator = torch.Generator().manual_seed(0)
    kinds = torch.nn.functional.normalize(torch.randn(3, channels, generator=generator), dim=-1)
    owner = torch.randint(3, (20, 36), generator=generator)
    noise = 0.02 * torch.randn(20, 36, channels, generator=generator)
    cells = 5.0 * kinds[owner] + noise + 7.0  # a shared offset that fitting must remove
    options = AggregatorOptions(num_tokens=3, token_dim=8, aggregate="mean", num_ghosts=0)
    aggregator = FineGranularAggregator(channels, options).eval()
    fit_level(aggregator, cells, generator)
    embedded = aggregator.embed(cells.mT.unflatten(2, (6, 6))).flatten(2).mT
    share = aggregator.assign(embedded)
    chosen = share.argmax(-1)
    for kind in range(3):
        assert len(chosen[owner == kind].unique()) == 1
    assert len(chosen.unique()) == 3
    assert share.amax(-1).min() > 0.9


def test_kmeans_gives_every_centre_a_point_even_among_copies() -> None:
    points = torch.cat((torch.ones(50, 2), torch.tensor([[1.0, -1.0]])))
    centres = spherical_kmeans(points, 2, generator=torch.Generator().manual_seed(0))
    served = (torch.nn.functional.normalize(points, dim=-1) @ centres.mT).max(-1).values
    assert served.min() > 0.999


def test_norms_of_a_random_network_take_the_statistics_of_the_photos(photos: list[Path]) -> None:
    model = initialise(get_preset("tiny")).model
    first = model.backbone.net.bn1
    momentum = first.momentum
    fit_norms(model, photos[:8])
    prepared = [prepare(read_image(photo), model.config.preprocessing) for photo in photos[:8]]
    pixels = model.normalise(torch.from_numpy(np.stack([p.pixels for p in prepared])))
    with torch.inference_mode():
        raw = model.backbone.net.conv_stem(pixels)
    torch.testing.assert_close(first.running_mean, raw.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
    assert not model.backbone.training
    assert first.momentum == momentum
