"""Levels come coarse to fine, on the grids their preset states."""

import pytest
import torch

from model.backbone import build_backbone
from model.config import PRESETS, BackboneOptions, ModelConfig
from model.errors import CheckpointError


@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS)
def test_every_preset_hands_out_its_levels(config: ModelConfig) -> None:
    backbone = build_backbone(config.backbone).eval()
    with torch.inference_mode():
        features = backbone(torch.zeros(1, 3, 64, 64))
    for stride, channels, level in zip(
        config.backbone.strides, backbone.level_channels, features.levels, strict=True
    ):
        side = 64 // (config.backbone.grid_stride or stride)
        assert level.shape == (1, channels, side, side)
    assert features.final.shape[1] == backbone.final_channels


def test_pooling_to_a_grid_is_the_mean_of_the_cells() -> None:
    torch.manual_seed(0)
    plain = BackboneOptions(name="tiny", strides=(16, 8, 4))
    backbone = build_backbone(plain).eval()
    pixels = torch.randn(1, 3, 64, 64)
    own = backbone(pixels).levels[2]
    backbone.options = plain.model_copy(update={"grid_stride": 16})
    expected = own.unflatten(3, (4, 4)).unflatten(2, (4, 4)).mean((3, 5))
    torch.testing.assert_close(backbone(pixels).levels[2], expected)


def test_an_unknown_network_is_named() -> None:
    with pytest.raises(CheckpointError, match="no network 'resnet_9000'"):
        build_backbone(BackboneOptions(name="resnet_9000"))


def test_a_stride_the_network_lacks_is_named_with_those_it_has() -> None:
    with pytest.raises(CheckpointError, match=r"no feature map of stride 64.*\[2, 4, 8, 16, 32\]"):
        build_backbone(BackboneOptions(name="tiny", strides=(64, 32)))


def test_strides_must_fall() -> None:
    with pytest.raises(ValueError, match="coarse to fine"):
        BackboneOptions(name="tiny", strides=(8, 16))
