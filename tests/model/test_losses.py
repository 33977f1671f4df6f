"""Losses against plain loops, mining against examples worked by hand."""

import math
from collections.abc import Callable

import pytest
import torch

from model.errors import ParameterError
from model.losses import IdentityLoss, hardest, softmax_loss, triplet_loss
from tests import reference

ITEMS = torch.tensor([0, 0, 1, 1])
SCORES = torch.tensor(
    [
        [1.0, 0.6, 0.7, 0.1],
        [0.6, 1.0, 0.2, 0.3],
        [0.7, 0.2, 1.0, 0.9],
        [0.1, 0.3, 0.9, 1.0],
    ]
)


def test_mining_finds_the_lowest_positive_and_the_highest_negative() -> None:
    positive, negative = hardest(SCORES, ITEMS)
    torch.testing.assert_close(positive, torch.tensor([0.6, 0.6, 0.9, 0.9]))
    torch.testing.assert_close(negative, torch.tensor([0.7, 0.3, 0.7, 0.3]))


def test_the_triplet_loss_is_the_mean_hinge() -> None:
    expected = (0.3 + 0.0 + 0.0 + 0.0) / 4
    assert triplet_loss(SCORES, ITEMS, margin=0.2).item() == pytest.approx(expected)
    assert triplet_loss(SCORES, ITEMS, margin=0.5).item() == pytest.approx((0.6 + 0.2 + 0.3) / 4)


def test_padding_images_neither_search_nor_are_found() -> None:
    valid = torch.tensor([True, True, False, True])
    positive, negative = hardest(SCORES, ITEMS, valid)
    torch.testing.assert_close(positive, torch.tensor([0.6, 0.6]))
    torch.testing.assert_close(negative, torch.tensor([0.1, 0.3]))


def test_the_softmax_weighs_every_pair_against_all_negatives_of_its_anchor() -> None:
    total = 0.0
    for anchor, other, negatives in (
        (0, 1, (2, 3)),
        (1, 0, (2, 3)),
        (2, 3, (0, 1)),
        (3, 2, (0, 1)),
    ):
        row = [math.exp(5.0 * value) for value in SCORES[anchor].tolist()]
        total -= math.log(row[other] / (row[other] + sum(row[n] for n in negatives))) / 4
    assert softmax_loss(SCORES, ITEMS, scale=5.0).item() == pytest.approx(total)


def test_padding_images_take_no_part_in_the_softmax() -> None:
    valid = torch.tensor([True, True, False, True])
    expected = [math.log1p(math.exp(5.0 * (0.1 - 0.6))), math.log1p(math.exp(5.0 * (0.3 - 0.6)))]
    found = softmax_loss(SCORES, ITEMS, scale=5.0, valid=valid)
    assert found.item() == pytest.approx(sum(expected) / 2)


@pytest.mark.parametrize("ranking", [triplet_loss, softmax_loss])
@pytest.mark.parametrize("items", [[0, 1, 2, 3], [0, 0, 0, 0]])
def test_without_any_triplet_the_loss_is_zero_and_still_has_a_gradient(
    items: list[int], ranking: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
) -> None:
    scores = SCORES.clone().requires_grad_()
    loss = ranking(scores, torch.tensor(items))
    loss.backward()
    assert loss.item() == 0.0
    assert (scores.grad == 0).all()


def test_identity_loss_is_cross_entropy_with_smoothed_targets() -> None:
    torch.manual_seed(0)
    loss = IdentityLoss(3, 4, smoothing=0.1).double()
    features = torch.randn(2, 4, dtype=torch.float64)
    items = torch.tensor([2, 0])
    total = 0.0
    for feature, item in zip(features.tolist(), items.tolist(), strict=True):
        share = reference.softmax([reference.dot(row, feature) for row in loss.weight.tolist()])
        target = [0.9 * (c == item) + 0.1 / 3 for c in range(3)]
        total -= sum(q * math.log(p) for q, p in zip(target, share, strict=True)) / 2
    assert loss(features, items).item() == pytest.approx(total)


def test_the_margin_makes_the_right_class_harder() -> None:
    torch.manual_seed(0)
    features, items = torch.randn(8, 4), torch.arange(8) % 3
    easy, hard = IdentityLoss(3, 4, margin=1e-9), IdentityLoss(3, 4, margin=0.3)
    hard.load_state_dict(easy.state_dict())
    assert hard(features, items) > easy(features, items) + 1.0


def test_one_item_cannot_be_told_from_others() -> None:
    with pytest.raises(ParameterError, match=r"1 item\(s\); at least 2"):
        IdentityLoss(1, 4)
