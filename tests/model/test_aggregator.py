"""FGA against the loops of tests/reference.py, and the laws it keeps."""

import pytest
import torch
from torch import Tensor

from model.aggregator import FineGranularAggregator
from model.config import AggregatorOptions
from tests import reference

SMALL = AggregatorOptions(num_tokens=3, token_dim=4, num_ghosts=1, projection_norm="none")


def make(**changes: object) -> FineGranularAggregator:
    torch.manual_seed(0)
    options = SMALL.model_copy(update=changes)
    aggregator = FineGranularAggregator(5, options).double().eval()
    torch.nn.init.normal_(aggregator.bias)
    if hasattr(aggregator, "residual_centres"):
        torch.nn.init.normal_(aggregator.residual_centres)
    return aggregator


@pytest.fixture
def features() -> Tensor:
    return torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("aggregate", ["residual", "mean"])
@pytest.mark.parametrize("cell_weight", ["uniform", "norm"])
@pytest.mark.parametrize("num_ghosts", [0, 1, 2])
def test_tokens_and_mass_equal_the_plain_loops(
    features: Tensor, aggregate: str, cell_weight: str, num_ghosts: int
) -> None:
    fga = make(aggregate=aggregate, cell_weight=cell_weight, num_ghosts=num_ghosts)
    found = fga(features)
    cells = fga.embed(features).flatten(2).mT[1]
    length = cells.norm(dim=-1)
    weights = (length / length.mean() if cell_weight == "norm" else length * 0 + 1).tolist()
    gamma = reference.assign(
        cells.tolist(), fga.centres.tolist(), fga.bias.tolist(), fga.scale.item()
    )
    residuals = fga.residual_centres.tolist() if aggregate == "residual" else None
    tokens = reference.aggregate(cells.tolist(), gamma, residuals, weights, 3)
    torch.testing.assert_close(found.tokens[1].tolist(), tokens)
    torch.testing.assert_close(found.mass[1].tolist(), reference.mass(gamma, weights, 3))


def test_shared_residual_centres_are_the_assignment_centres(features: Tensor) -> None:
    separate, shared = make(), make(residual_centres="shared")
    separate.load_state_dict(shared.state_dict(), strict=False)
    separate.residual_centres.data = shared.centres.data[:3]
    torch.testing.assert_close(separate(features).tokens, shared(features).tokens)


def test_dot_assignment_is_equation_1_to_the_letter(features: Tensor) -> None:
    fga = make(assignment="dot")
    cells = fga.embed(features).flatten(2).mT
    logits = torch.einsum("bnd,kd->bnk", cells, fga.centres) + fga.bias
    expected = logits.exp() / logits.exp().sum(-1, keepdim=True)
    torch.testing.assert_close(fga.assign(cells), expected[..., :3])


def test_tokens_have_unit_length_and_mass_is_what_ghosts_left(features: Tensor) -> None:
    found = make()(features)
    torch.testing.assert_close(found.tokens.norm(dim=-1), torch.ones(2, 3, dtype=torch.float64))
    assert (found.mass >= 0).all()
    assert (found.mass.sum(-1) < 1).all()


def test_without_ghosts_no_part_of_the_image_is_lost(features: Tensor) -> None:
    mass = make(num_ghosts=0)(features).mass
    torch.testing.assert_close(mass.sum(-1), torch.ones(2, dtype=torch.float64))


def test_a_cell_that_only_the_ghost_wants_changes_no_token(features: Tensor) -> None:
    fga = make(aggregate="mean")
    fga.project = torch.nn.Identity()  # type: ignore[assignment]
    fga.scale.data.fill_(100.0)
    fga.bias.data.zero_()
    fga.centres.data = torch.eye(4, dtype=torch.float64)
    grid = torch.eye(4, dtype=torch.float64)[:, :3].reshape(1, 4, 1, 3)
    ghostly = torch.cat((grid, torch.eye(4, dtype=torch.float64)[3].view(1, 4, 1, 1)), dim=-1)
    torch.testing.assert_close(fga(grid).tokens, fga(ghostly).tokens)


def test_an_image_does_not_depend_on_its_batch(features: Tensor) -> None:
    fga = make()
    alone = torch.cat([fga(features[i : i + 1]).tokens for i in range(2)])
    torch.testing.assert_close(fga(features).tokens, alone)


def test_moving_cells_around_moves_only_the_geometry(features: Tensor) -> None:
    fga = make()
    flipped = fga(features.flip(-1))
    straight = fga(features)
    torch.testing.assert_close(flipped.tokens, straight.tokens)
    torch.testing.assert_close(flipped.geometry[..., 0], 1 - straight.geometry[..., 0])
    torch.testing.assert_close(flipped.geometry[..., 4], -straight.geometry[..., 4])


def test_geometry_points_at_the_cell_a_token_holds() -> None:
    fga = make(aggregate="mean", num_ghosts=0)
    fga.project = torch.nn.Identity()  # type: ignore[assignment]
    fga.scale.data.fill_(100.0)
    fga.bias.data.zero_()
    fga.centres.data = torch.eye(4, dtype=torch.float64)[:3]
    grid = torch.zeros(1, 4, 2, 4, dtype=torch.float64)
    grid[0, 0] = 1.0
    grid[0, :, 1, 3] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    place = fga(grid).geometry[0, 1]
    torch.testing.assert_close(place[:2].tolist(), [7 / 8, 3 / 4])
    assert place[2:4].max() < 0.01


def test_gradients_are_right(features: Tensor) -> None:
    fga = make()
    x = features[:1, :, :2, :2].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda t: fga(t).tokens, (x,))


def test_a_blank_map_gives_zero_tokens_and_finite_gradients() -> None:
    fga = make(aggregate="mean", cell_weight="norm")
    torch.nn.init.zeros_(fga.project.bias)
    blank = torch.zeros(1, 5, 3, 3, dtype=torch.float64, requires_grad=True)
    found = fga(blank)
    found.tokens.sum().backward()
    assert (found.tokens == 0).all()
    assert torch.isfinite(found.geometry).all()
    assert torch.isfinite(blank.grad).all()


def test_half_precision_features_are_aggregated_in_float32() -> None:
    fga = make().float()
    found = fga(torch.randn(1, 5, 3, 3).half())
    assert found.tokens.dtype == torch.float32
