"""ASEN++'s attention and losses against the slow loops."""

import pytest
import torch
from torch import Tensor, nn

from model.attributes.asen.channel import ChannelAttention
from model.attributes.asen.losses import alignment_loss, batch_triplet_loss, triplet_loss
from model.attributes.asen.spatial import SpatialAttention
from tests import reference_asen as slow

C, D, WIDTH = 6, 5, 4


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def layer(module: nn.Module) -> slow.Layer:
    weight, bias = module.get_parameter("weight"), module.get_parameter("bias")
    return weight.flatten(1).tolist(), bias.tolist()


def assert_near(found: Tensor, wanted: object) -> None:
    torch.testing.assert_close(found, torch.tensor(wanted), atol=1e-5, rtol=1e-5)


def test_spatial_attention_is_equation_18_for_every_attribute() -> None:
    attention = SpatialAttention(C, D, WIDTH)
    features, attributes = torch.randn(2, C, 3, 2), torch.randn(2, 3, D)
    pooled, share = attention(features, attributes)
    for b in range(2):
        cells = features[b].flatten(1).T.tolist()
        for a in range(3):
            wanted, weights = slow.spatial(
                cells,
                attributes[b, a].tolist(),
                layer(attention.image_side),
                layer(attention.attribute_side),
            )
            assert_near(pooled[b, a], wanted)
            assert_near(share[b, a].flatten(), weights)


def test_channel_attention_is_equation_19() -> None:
    attention = ChannelAttention(C, D, 2)
    pooled, attributes = torch.randn(2, 1, C), torch.randn(2, 1, D)
    found = attention(pooled, attributes)
    for b in range(2):
        wanted = slow.channel(
            pooled[b, 0].tolist(), attributes[b, 0].tolist(),
            layer(attention.attribute_side), layer(attention.squeeze), layer(attention.excite),
        )  # fmt: skip
        assert_near(found[b, 0], wanted)


def test_losses_are_equations_22_and_23() -> None:
    whole, local = torch.randn(3, 4, D), torch.randn(3, 4, D)
    assert_near(triplet_loss(whole, 0.2), slow.triplets(*whole.tolist(), margin=0.2))
    assert_near(alignment_loss(whole, local), slow.alignment(whole.tolist(), local.tolist()))


def test_alignment_pulls_both_branches() -> None:
    whole, local = (torch.randn(3, 4, D, requires_grad=True) for _ in range(2))
    alignment_loss(whole, local).backward()
    assert whole.grad is not None
    assert local.grad is not None
    assert min(whole.grad.abs().sum(), local.grad.abs().sum()) > 0


@pytest.mark.parametrize("margin", [0.0, 0.2, 1.0])
def test_all_triplets_of_a_batch_are_equation_26(margin: float) -> None:
    embeddings = torch.randn(6, 3, D)
    labels = torch.randint(-1, 3, (6, 3))
    labels[:, 2] = -1  # nothing is known of the last attribute
    wanted = slow.batch_triplets(embeddings.tolist(), labels.tolist(), margin)
    assert_near(batch_triplet_loss(embeddings, labels, margin), wanted)
