"""ATA against the loops of tests/reference.py, and the laws it keeps."""

from typing import Any

import pytest
import torch
from torch import Tensor

from model.alignment import TokenAlignment, TokenSet, masked_softmax
from model.config import AlignmentOptions
from tests import reference

L, M, D = 3, 4, 8
VARIANTS: list[dict[str, Any]] = [
    {},
    {"reduction": "max"},
    {"reduction": "lse"},
    {"reduction": "max", "pairing": "same_index"},
    {"token_weight": "mass"},
    {"compare": "all", "token_weight": "mass"},
    {"refine_from": "both"},
    {"joint_blocks": 0},
    {"joint_blocks": 2},
]


def make(*, trained: bool = False, **options: Any) -> TokenAlignment:
    torch.manual_seed(0)
    alignment = TokenAlignment(L, D, AlignmentOptions(num_heads=2, **options)).double().eval()
    if trained:
        for parameter in alignment.parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter, std=0.3)
    return alignment


def images(*lead: int, seed: int = 1, num_tokens: int = M) -> TokenSet:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(*lead, L, num_tokens, D, generator=generator, dtype=torch.float64)
    mass = torch.rand(*lead, L, num_tokens, generator=generator, dtype=torch.float64)
    return TokenSet(torch.nn.functional.normalize(tokens, dim=-1), mass)


def turned(a: TokenSet, b: TokenSet) -> tuple[TokenSet, TokenSet]:
    """Make (b, a) of one query `a` and its one candidate `b`."""
    return TokenSet(*(x[:, 0] for x in b)), TokenSet(*(x.unsqueeze(1) for x in a))


@pytest.mark.parametrize("direction", ["symmetric", "query"])
@pytest.mark.parametrize("pairing", ["per_direction", "same_index"])
@pytest.mark.parametrize("reduction", ["mean", "max", "lse"])
def test_an_untrained_ata_is_plain_token_attention(
    reduction: str, pairing: str, direction: str
) -> None:
    options = {"reduction": reduction, "pairing": pairing, "direction": direction}
    query, candidates = images(2), images(2, 3, seed=2)
    found = make(**options)(query, candidates)
    expected = [
        [
            reference.token_score(
                query.tokens[b, 0].tolist(), candidates.tokens[b, k, 0].tolist(), 9.0, **options
            )
            for k in range(3)
        ]
        for b in range(2)
    ]
    torch.testing.assert_close(found.tolist(), expected)


def test_all_levels_are_compared_by_their_weights_and_tokens_by_their_mass() -> None:
    query, candidates = images(1), images(1, 1, seed=2)
    alignment = make(compare="all", token_weight="mass")
    alignment.level_weight.copy_(torch.tensor([0.5, 0.2, 0.3]))
    expected = 0.0
    for level, share in enumerate((0.5, 0.2, 0.3)):
        a, b = query.mass[0, level], candidates.mass[0, 0, level]
        expected += share * reference.token_score(
            query.tokens[0, level].tolist(),
            candidates.tokens[0, 0, level].tolist(),
            9.0,
            weights=((a / a.sum()).tolist(), (b / b.sum()).tolist()),
        )
    assert alignment(query, candidates).item() == pytest.approx(expected)


@pytest.mark.parametrize("refine_from", ["own", "both"])
def test_refined_tokens_equal_the_plain_loops(refine_from: str) -> None:
    alignment = make(trained=True, refine_from=refine_from)
    query, candidates = images(1), images(1, 1, seed=2)
    expected = reference_refine(alignment, query.tokens[0], candidates.tokens[0, 0], refine_from)
    score = reference.token_score(*expected, 9.0)
    assert alignment(query, candidates).item() == pytest.approx(score)


@pytest.mark.parametrize("options", VARIANTS)
def test_order_of_the_pair_never_changes_the_score(options: dict[str, Any]) -> None:
    alignment = make(trained=True, **options)
    a, b = images(1), images(1, 1, seed=2)
    assert alignment(a, b).item() == alignment(*turned(a, b)).item()


def test_order_never_changes_the_score_in_single_precision_either() -> None:
    alignment = make(trained=True, compare="all").float()
    a, b = (TokenSet(*(x.float() for x in s)) for s in (images(1), images(1, 1, seed=2)))
    assert alignment(a, b).item() == alignment(*turned(a, b)).item()


def test_segments_tell_query_from_candidate() -> None:
    alignment = make(trained=True, segments=True)
    a, b = images(1), images(1, 1, seed=2)
    assert abs(alignment(a, b).item() - alignment(*turned(a, b)).item()) > 1e-6


@pytest.mark.parametrize("options", VARIANTS)
def test_order_of_tokens_never_changes_the_score(options: dict[str, Any]) -> None:
    if options.get("pairing") == "same_index":
        pytest.skip("the printed eq. 6 compares token i with token i: order matters there")
    alignment = make(trained=True, **options)
    a, b = images(1), images(1, 2, seed=2)
    order = torch.tensor([2, 0, 3, 1])
    shuffled = TokenSet(b.tokens[..., order, :], b.mass[..., order])
    torch.testing.assert_close(alignment(a, b), alignment(a, shuffled))


@pytest.mark.parametrize("num_padding", [1, 7])
@pytest.mark.parametrize("options", VARIANTS)
def test_padding_tokens_never_change_the_score(options: dict[str, Any], num_padding: int) -> None:
    alignment = make(trained=True, **options)
    a, b = images(1), images(1, 2, seed=2)
    torch.testing.assert_close(alignment(pad(a, num_padding), pad(b, num_padding)), alignment(a, b))


@pytest.mark.parametrize("options", VARIANTS)
def test_a_batch_equals_its_pairs_one_by_one(options: dict[str, Any]) -> None:
    alignment = make(trained=True, **options)
    a, b = images(2), images(2, 3, seed=2)
    single = [
        [
            alignment(
                TokenSet(*(x[i : i + 1] for x in a)),
                TokenSet(*(x[i : i + 1, k : k + 1] for x in b)),
            ).item()
            for k in range(3)
        ]
        for i in range(2)
    ]
    torch.testing.assert_close(alignment(a, b).tolist(), single)


@pytest.mark.parametrize("options", [*VARIANTS, {"direction": "query"}])
def test_scores_lie_between_minus_one_and_one(options: dict[str, Any]) -> None:
    found = make(trained=True, **options)(images(4), images(4, 16, seed=2))
    assert found.abs().max() <= 1.0 + 1e-12


@pytest.mark.parametrize("options", VARIANTS[:6])
def test_an_image_is_most_similar_to_itself_when_untrained(options: dict[str, Any]) -> None:
    a, others = images(1), images(1, 8, seed=2)
    alignment = make(**options, temperature=100.0)
    itself = alignment(a, TokenSet(*(x.unsqueeze(1) for x in a)))
    assert itself.item() == pytest.approx(1.0, abs=1e-3)
    assert itself.item() > alignment(a, others).max()


def test_an_image_without_tokens_scores_zero_and_keeps_gradients_finite() -> None:
    alignment = make(trained=True, compare="all")
    a, b = images(1), images(1, 1, seed=2)
    tokens = torch.zeros_like(b.tokens).requires_grad_()
    score = alignment(a, TokenSet(tokens, b.mass))
    score.sum().backward()
    assert score.item() == 0.0
    assert torch.isfinite(tokens.grad).all()


def test_a_masked_negative_beats_no_padding() -> None:
    share = masked_softmax(torch.tensor([[-1.0, 0.0]]), torch.tensor([[True, False]]))
    assert share.tolist() == [[1.0, 0.0]]


def test_gradients_are_right() -> None:
    alignment = make(trained=True, compare="all", token_weight="mass", learn_temperature=True)
    a, b = images(1, num_tokens=2), images(1, 1, seed=2, num_tokens=2)

    def score(x: Tensor, y: Tensor) -> Tensor:
        return alignment(TokenSet(x, a.mass), TokenSet(y, b.mass))  # type: ignore[no-any-return]

    inputs = (a.tokens.requires_grad_(), b.tokens.requires_grad_())
    assert torch.autograd.gradcheck(score, inputs)


def test_what_depends_on_one_image_is_prepared_once() -> None:
    alignment = make(trained=True)
    a, b = images(2), images(2, 3, seed=2)
    prepared = alignment.prepare(a), alignment.prepare(b)
    torch.testing.assert_close(alignment.score(*prepared), alignment(a, b))


@pytest.mark.parametrize("options", VARIANTS)
def test_scoring_a_batch_among_itself_equals_scoring_its_pairs(options: dict[str, Any]) -> None:
    alignment = make(trained=True, **options)
    batch = images(5)
    everyone = TokenSet(*(x.unsqueeze(0).expand(5, *x.shape) for x in batch))
    among, pairs = alignment.score_among(batch), alignment(batch, everyone)
    different = ~torch.eye(5, dtype=torch.bool)
    torch.testing.assert_close(among[different], pairs[different])
    assert torch.equal(among, among.mT)


@pytest.mark.parametrize("options", VARIANTS)
def test_dropping_an_idle_first_stage_changes_no_bit(options: dict[str, Any]) -> None:
    whole, served = make(**options), make(**options)
    served.drop_idle_stage()
    a, b = images(1), images(1, 3, seed=2)
    assert torch.equal(whole(a, b), served(a, b))
    assert not served.refine


def test_a_trained_first_stage_is_never_dropped() -> None:
    alignment = make()
    alignment.refine[1].ffn.shrink.bias.data[0] = 1e-3
    alignment.drop_idle_stage()
    assert len(alignment.refine) == 2


def pad(image: TokenSet, count: int) -> TokenSet:
    tokens = torch.nn.functional.pad(image.tokens, (0, 0, 0, count))
    return TokenSet(tokens, torch.nn.functional.pad(image.mass, (0, count)))


def reference_refine(
    alignment: TokenAlignment, a: Tensor, b: Tensor, refine_from: str
) -> tuple[list[list[float]], list[list[float]]]:
    """Eq. 7-8 for one pair of (L, M, D) images, with plain loops."""
    sides = [a[0].tolist(), b[0].tolist()]
    block = alignment.joint[0]
    normed = [[norm(block.norm, x) for x in side] for side in sides]
    qkv = [[affine(block.to_qkv, x) for x in side] for side in normed]
    split = [[[x[i * D : (i + 1) * D] for x in side] for i in range(3)] for side in qkv]
    new = []
    for side, tokens in enumerate(sides):
        keys, values = (split[side][i] + split[1 - side][i] for i in (1, 2))
        new.append(residual(block, tokens, split[side][0], keys, values))
    for level, cross in enumerate(alignment.refine, start=1):
        finer = [[norm(cross.finer_norm, x) for x in y[level].tolist()] for y in (a, b)]
        kv = [[affine(cross.to_key_value, x) for x in side] for side in finer]
        new = [refine_side(cross, new[i], kv, i, refine_from) for i in range(2)]
    return new[0], new[1]


def refine_side(
    cross: Any, tokens: list[list[float]], kv: list[Any], side: int, refine_from: str
) -> list[list[float]]:
    source = kv[side] + kv[1 - side] if refine_from == "both" else kv[side]
    queries = [affine(cross.to_query, norm(cross.norm, x)) for x in tokens]
    return residual(cross, tokens, queries, [x[:D] for x in source], [x[D:] for x in source])


def residual(block: Any, tokens: Any, queries: Any, keys: Any, values: Any) -> list[list[float]]:
    attended = reference.attention(queries, keys, values, block.num_heads)
    new = []
    for token, read in zip(tokens, attended, strict=True):
        x = [t + o for t, o in zip(token, affine(block.out, read), strict=True)]
        wide = [reference.gelu(v) for v in affine(block.ffn.expand, norm(block.ffn.norm, x))]
        new.append([t + o for t, o in zip(x, affine(block.ffn.shrink, wide), strict=True)])
    return new


def norm(layer: torch.nn.LayerNorm, x: list[float]) -> list[float]:
    return reference.layer_norm(x, layer.weight.tolist(), layer.bias.tolist())


def affine(layer: torch.nn.Linear, x: list[float]) -> list[float]:
    return reference.linear(x, layer.weight.tolist(), layer.bias.tolist())
