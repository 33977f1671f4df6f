"""S_token taken apart: equal to the loops of tests/reference.py, and exact in its sum."""

from typing import Any

import pytest
import torch

from model.alignment import TokenSet
from model.explain import decompose
from tests import reference
from tests.model.test_alignment import L, M, images, make

REDUCTIONS: list[dict[str, Any]] = [
    {"reduction": reduction, "pairing": pairing, "direction": direction}
    for reduction in ("mean", "max", "lse")
    for pairing in ("per_direction", "same_index")
    for direction in ("symmetric", "query")
]
OPTIONS: list[dict[str, Any]] = [
    *REDUCTIONS,
    *({"compare": "all", "token_weight": "mass", **how} for how in REDUCTIONS[:3]),
    {"refine_from": "both"},
    {"joint_blocks": 0},
    {"joint_blocks": 2, "compare": "all"},
    {"segments": True},
]


def pad(image: TokenSet, token: int) -> TokenSet:
    """Make one token of every level padding."""
    tokens, mass = image.tokens.clone(), image.mass.clone()
    tokens[..., token, :], mass[..., token] = 0.0, 0.0
    return TokenSet(tokens, mass)


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_shares_of_all_pairs_add_up_to_the_token_score(
    options: dict[str, Any], trained: bool
) -> None:
    alignment = make(trained=trained, **options)
    query, candidates = pad(images(1), 2), pad(images(1, 5, seed=2), 0)
    found = decompose(alignment, query, candidates)
    total = found.share.sum((1, 2, 3)) + found.constant
    torch.testing.assert_close(total, alignment(query, candidates)[0], rtol=0, atol=1e-9)
    assert found.share.shape == found.similarity.shape == (5, L, M, M)


@pytest.mark.parametrize("trained", [False, True])
def test_in_single_precision_the_sum_stays_within_1e_5(trained: bool) -> None:
    alignment = make(trained=trained, compare="all", token_weight="mass").float()
    query, candidates = (
        TokenSet(*(x.float() for x in side)) for side in (images(1), images(1, 50, seed=2))
    )
    found = decompose(alignment, query, candidates)
    difference = found.share.sum((1, 2, 3)) - alignment(query, candidates)[0]
    assert difference.abs().max() < 1e-5


@pytest.mark.parametrize("how", REDUCTIONS, ids=str)
def test_every_share_equals_the_loops(how: dict[str, Any]) -> None:
    query, candidates = images(1), images(1, 2, seed=2)
    found = decompose(make(**how), query, candidates)
    for k in range(2):
        shares, constant = reference.pair_shares(
            query.tokens[0, 0].tolist(), candidates.tokens[0, k, 0].tolist(), 9.0, **how
        )
        torch.testing.assert_close(found.share[k, 0].tolist(), shares)
        assert found.constant[k].item() == pytest.approx(constant, abs=1e-9)


def test_levels_and_masses_weigh_the_shares() -> None:
    query, candidates = images(1), images(1, 1, seed=2)
    alignment = make(compare="all", token_weight="mass")
    alignment.level_weight.copy_(torch.tensor([0.5, 0.2, 0.3]))
    found = decompose(alignment, query, candidates)
    for level, weight in enumerate((0.5, 0.2, 0.3)):
        a, b = query.mass[0, level], candidates.mass[0, 0, level]
        shares, _ = reference.pair_shares(
            query.tokens[0, level].tolist(),
            candidates.tokens[0, 0, level].tolist(),
            9.0,
            weights=((a / a.sum()).tolist(), (b / b.sum()).tolist()),
        )
        expected = [[weight * share for share in row] for row in shares]
        torch.testing.assert_close(found.share[0, level].tolist(), expected)


def test_with_compare_coarse_only_the_coarse_level_has_shares() -> None:
    found = decompose(make(trained=True), images(1), images(1, 2, seed=2))
    assert found.share[:, 0].abs().sum() > 0
    assert found.share[:, 1:].abs().sum() == 0


def test_only_lse_leaves_a_constant() -> None:
    query, candidates = images(1), images(1, 3, seed=2)
    constants = {
        name: decompose(make(reduction=name), query, candidates).constant.abs().max().item()
        for name in ("mean", "max", "lse")
    }
    assert constants["mean"] == constants["max"] == 0
    assert constants["lse"] > 0


def test_padding_has_no_share_and_an_image_of_padding_explains_nothing() -> None:
    query, candidates = pad(images(1), 1), images(1, 2, seed=2)
    found = decompose(make(trained=True, compare="all"), query, candidates)
    assert found.share[:, :, 1].abs().sum() == found.similarity[:, :, 1].abs().sum() == 0
    nothing = TokenSet(torch.zeros_like(candidates.tokens), torch.zeros_like(candidates.mass))
    for reduction in ("mean", "max", "lse"):
        empty = decompose(make(reduction=reduction), query, nothing)
        assert empty.share.abs().sum() == empty.constant.abs().sum() == 0


def test_shares_turn_with_the_images() -> None:
    a, b = images(1), images(1, 1, seed=2)
    alignment = make(trained=True, compare="all")
    forward = decompose(alignment, a, b)
    turned = decompose(
        alignment, TokenSet(*(x[:, 0] for x in b)), TokenSet(*(x.unsqueeze(1) for x in a))
    )
    torch.testing.assert_close(forward.share, turned.share.mT)
