"""The whole network: presets build, the global feature is eq. 3, gradients reach every part."""

import pytest
import torch

from model.config import PRESETS, ModelConfig, get_preset
from model.errors import ParameterError
from model.fusion import fuse
from model.initialise import initialise
from model.mga import MGA, build_mga
from tests import reference


@pytest.fixture(scope="module")
def mga() -> MGA:
    return initialise(get_preset("tiny")).model


def test_the_global_feature_is_the_pooled_map_through_the_neck(mga: MGA) -> None:
    final = torch.randn(2, mga.backbone.final_channels, 3, 3)
    pooled = final.mean((2, 3)) / (1 + mga.neck.eps) ** 0.5
    expected = torch.tensor([reference.unit(row.tolist()) for row in pooled])
    torch.testing.assert_close(mga.global_feature(final), expected)


def test_gem_lies_between_mean_and_maximum(mga: MGA) -> None:
    options = mga.config.backbone.model_copy(update={"global_pool": "gem"})
    gem = build_mga(mga.config.model_copy(update={"backbone": options}))
    final = torch.rand(2, gem.backbone.final_channels, 3, 3)
    pooled = gem.pool(final)
    assert (pooled >= final.mean((2, 3)) - 1e-6).all()
    assert (pooled <= final.amax((2, 3)) + 1e-6).all()


def test_pixels_are_normalised_with_the_weights_own_statistics(mga: MGA) -> None:
    mean, std = mga.config.preprocessing.mean, mga.config.preprocessing.std
    pixels = torch.full((1, 2, 2, 3), 51, dtype=torch.uint8)
    found = mga.normalise(pixels)[0, :, 0, 0]
    expected = [(0.2 - m) / s for m, s in zip(mean, std, strict=True)]
    torch.testing.assert_close(found.tolist(), expected)


def test_gradients_of_the_fused_score_reach_every_trained_part() -> None:
    mga = initialise(get_preset("tiny")).model
    features = mga.encode(torch.randn(3, 3, 64, 64))
    query = type(features.token_set)(*(x[:1] for x in features.token_set))
    others = type(features.token_set)(*(x[1:].unsqueeze(0) for x in features.token_set))
    token = mga.align(query, others)
    global_score = features.global_feature[:1] @ features.global_feature[1:].mT
    fuse(global_score, token, 0.5).sum().backward()
    reached = {name for name, p in mga.named_parameters() if p.grad is not None and p.grad.any()}
    for part in ("backbone.net.conv_stem", "aggregators.0.centres", "aggregators.0.project"):
        assert any(name.startswith(part) for name in reached)
    # Zero-initialised ends get gradients first; what lies behind them follows after a step.
    assert {"alignment.joint.0.out.weight", "alignment.refine.1.out.weight"} <= reached


@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS)
def test_every_preset_survives_json(config: ModelConfig) -> None:
    assert ModelConfig.model_validate_json(config.model_dump_json()) == config


def test_an_unknown_preset_lists_those_there_are() -> None:
    with pytest.raises(ParameterError, match="choose one of mga-s, mga-b0, mga-r50, mga-mobile"):
        get_preset("mga-xl")


def test_heads_must_divide_the_token_width() -> None:
    bad = get_preset("tiny").model_dump()
    bad["alignment"]["num_heads"] = 3
    with pytest.raises(ValueError, match="not a multiple of num_heads"):
        ModelConfig.model_validate(bad)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_fusion_is_equation_9(alpha: float) -> None:
    found = fuse(torch.tensor([0.5]), torch.tensor([-0.2]), alpha)
    assert found.item() == pytest.approx(reference.fuse(0.5, -0.2, alpha))
