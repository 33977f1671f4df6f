"""Random, ImageNet's, or a file's weights; and what does not fit is named."""

import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from model.config import get_preset
from model.errors import CheckpointError
from model.initialise import initialise

TINY = get_preset("tiny")


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(5)
    return dict(timm.create_model("test_efficientnet", num_classes=10).state_dict())


def test_the_seed_decides_every_random_weight() -> None:
    first, same, other = (initialise(TINY, seed=seed).model.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["aggregators.0.centres"], other["aggregators.0.centres"])


def test_the_callers_random_state_is_untouched() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    initialise(TINY, seed=9)
    assert torch.equal(torch.rand(1), expected)


def test_a_file_fills_the_backbone_and_brings_its_statistics(
    weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    metadata = {"mean": json.dumps([0.1, 0.2, 0.3]), "std": json.dumps([1, 1, 1]), "source": "me"}
    save_file(weights, tmp_path / "w.safetensors", metadata)
    model, words, _ = initialise(TINY, str(tmp_path / "w.safetensors"))
    assert torch.equal(model.backbone.net.conv_stem.weight, weights["conv_stem.weight"])
    assert model.config.preprocessing.mean == (0.1, 0.2, 0.3)
    assert words == "tiny, me"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("conv_stem.weight"), "conv_stem.weight is missing"),
        (lambda w: w.update({"conv_stem.weight": torch.zeros(1)}), r"is \(1,\), expected"),
        (lambda w: w.update({"extra.weight": torch.zeros(1)}), "extra.weight is unknown"),
    ],
)
def test_weights_of_another_network_are_named(
    weights: dict[str, torch.Tensor], tmp_path: Path, change: object, words: str
) -> None:
    change(weights)  # type: ignore[operator]
    save_file(weights, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match=words):
        initialise(TINY, str(tmp_path / "w.safetensors"))


def test_a_missing_file_lists_what_init_takes(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="random, imagenet or a safetensors file"):
        initialise(TINY, str(tmp_path / "gone.safetensors"))


def test_no_network_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(CheckpointError, match=r"cannot be fetched \(ConnectionError\)"):
        initialise(TINY, "imagenet")


def test_a_network_that_timm_lacks_is_not_silently_random() -> None:
    with pytest.raises(CheckpointError, match="no ImageNet weights of resnet50v2_trunk"):
        initialise(get_preset("mga-r50"), "imagenet")
