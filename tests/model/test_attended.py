"""Stage 2a against the loops of tests/reference.py and against the whole alignment."""

from typing import Any

import pytest
import torch

from model.alignment import TokenAlignment, TokenSet
from model.attended import CHUNK_CPU, WARMEST, CodedTokens, compare_coded
from model.config import AlignmentOptions
from tests import reference

L, M, D = 3, 4, 16
EXACT = 2e-6


def make(**options: Any) -> TokenAlignment:
    return TokenAlignment(L, D, AlignmentOptions(num_heads=2, **options)).eval()


def ask(count: int, seed: int = 1) -> TokenSet:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(count, L, M, D, generator=generator)
    mass = torch.rand(count, L, M, generator=generator)
    return TokenSet(torch.nn.functional.normalize(tokens, dim=-1), mass)


def store(count: int, seed: int = 2) -> CodedTokens:
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(-127, 128, (count, L, M, D), generator=generator, dtype=torch.int8)
    scales, mass = (torch.rand(count, L, M, generator=generator) for _ in range(2))
    return CodedTokens(codes, scales + 0.01, mass)


def leave_out(items: CodedTokens, index: Any) -> CodedTokens:
    """The same items with unused tokens at these places."""
    codes, scales, mass = (part.clone() for part in items)
    codes[index], scales[index], mass[index] = 0, 0, 0
    return CodedTokens(codes, scales, mass)


def score_pairs(alignment: TokenAlignment, queries: TokenSet, items: CodedTokens) -> torch.Tensor:
    """What the whole alignment says."""
    shared = (x.expand(len(queries.mass), *x.shape[1:]) for x in items.decode())
    with torch.no_grad():
        return alignment(queries, TokenSet(*shared))


@pytest.mark.parametrize("temperature", [9.0, WARMEST, 80.0])
@pytest.mark.parametrize("direction", ["symmetric", "query"])
@pytest.mark.parametrize("token_weight", ["uniform", "mass", "root_mass"])
def test_scores_are_those_of_the_loops(
    direction: str, token_weight: str, temperature: float
) -> None:
    alignment = make(
        direction=direction, token_weight=token_weight, temperature=temperature, compare="all"
    )
    queries, items = ask(2), store(3)
    expected = [[0.0] * 3 for _ in range(2)]
    for b, k, level in torch.cartesian_prod(*map(torch.arange, (2, 3, L))).tolist():
        sides = (queries.mass[b, level], items.mass[k, level])
        weigh = [torch.ones(M) if token_weight == "uniform" else x for x in sides]
        weigh = [x.sqrt() if token_weight == "root_mass" else x for x in weigh]
        expected[b][k] += reference.token_score(
            queries.tokens[b, level].tolist(),
            items.codes[k, level].tolist(),
            temperature,
            weights=tuple((x / x.sum()).tolist() for x in weigh),  # type: ignore[arg-type]
            direction=direction,
        ) / L  # fmt: skip
    found = compare_coded(alignment, queries, items)
    torch.testing.assert_close(found, torch.tensor(expected).to(found), rtol=0, atol=EXACT)


@pytest.mark.parametrize("compare", ["coarse", "all"])
@pytest.mark.parametrize("direction", ["symmetric", "query"])
@pytest.mark.parametrize("pairing", ["per_direction", "same_index"])
@pytest.mark.parametrize("reduction", ["mean", "max", "lse"])
def test_without_a_first_stage_it_is_the_whole_score(
    reduction: str, pairing: str, direction: str, compare: str
) -> None:
    alignment = make(reduction=reduction, pairing=pairing, direction=direction, compare=compare)
    queries, items = ask(2), leave_out(store(5), ([0, 3, 3], [1, 0, 0], [2, 0, 1]))
    items = leave_out(items, (4, 0))  # nothing at all on a level
    queries.tokens[1, 0, 2:] = 0
    found = compare_coded(alignment, queries, items)
    torch.testing.assert_close(found, score_pairs(alignment, queries, items), rtol=0, atol=EXACT)


@pytest.mark.parametrize("count", [0, 1, CHUNK_CPU, CHUNK_CPU + 1])
def test_items_are_scored_each_for_itself_however_many(count: int) -> None:
    alignment, queries, items = make(compare="all"), ask(3), store(count)
    found = compare_coded(alignment, queries, items)
    assert found.shape == (3, count)
    each = [compare_coded(alignment, queries, items.take(slice(i, i + 1))) for i in range(count)]
    torch.testing.assert_close(found, torch.cat([found[:, :0], *each], dim=1), rtol=0, atol=EXACT)


def test_a_token_without_a_scale_is_unused_whatever_its_codes() -> None:
    alignment, queries, items = make(compare="all"), ask(1), store(2)
    items.scales[1, 0, 3] = 0.0
    gone = leave_out(items, (1, 0, 3))
    found = compare_coded(alignment, queries, items._replace(mass=gone.mass))
    torch.testing.assert_close(found, compare_coded(alignment, queries, gone))


def test_scales_have_no_part_in_the_score() -> None:
    alignment, queries, items = make(), ask(1), store(4)
    other = items._replace(scales=items.scales * 3)
    assert torch.equal(
        compare_coded(alignment, queries, items),
        compare_coded(alignment, queries, other),
    )


@pytest.mark.parametrize("temperature", [20.0, 100.0])
def test_tokens_opposite_to_the_query_are_no_trap(temperature: float) -> None:
    """Every power is tiny there, and their squares are tinier."""
    alignment = make(temperature=temperature, compare="all")
    items = store(1)
    queries = TokenSet(-items.decode().tokens[0], items.mass)
    found = compare_coded(alignment, queries, items)
    torch.testing.assert_close(
        found, score_pairs(alignment, queries, items).to(found), rtol=0, atol=1e-4
    )
