"""Contrast of pairs: the same scores as alignment's own, and what learns from them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from model.alignment import TokenSet
from model.bare import compare_bare
from model.config import get_preset
from model.contrastive import match_loss, score_levels
from model.data import DataSet
from model.errors import CheckpointError, ParameterError
from model.initialise import initialise
from model.recipes import Recipe, get_recipe
from model.train import ALIKE, train
from tests.model.test_alignment import images, make
from tests.model.test_train import data, weights

__all__ = ["data"]

OPTIONS: list[dict[str, Any]] = [
    {},
    {"direction": "query"},
    {"compare": "all", "token_weight": "mass"},
    {"compare": "all", "token_weight": "root_mass", "direction": "query"},
]
PAIRS = get_recipe("contrastive").changed(
    preset="tiny", batch_items=4, epochs=2, image_size=32, validate_every=1, warmup_epochs=0.0
)


def aligned(alignment: Any, queries: TokenSet, items: TokenSet) -> torch.Tensor:
    """Level scores pair by pair, through alignment's own path."""
    prepared = alignment.prepare(items).map(lambda x: x.expand(len(queries.tokens), *x.shape))
    scores: torch.Tensor = alignment.level_scores(alignment.prepare(queries), prepared)
    return scores


@pytest.mark.parametrize("options", OPTIONS)
def test_bare_tokens_compare_as_alignment_compares_them(options: dict[str, Any]) -> None:
    alignment, queries, items = make(**options), images(3), images(5, seed=2)
    queries.tokens[0, :, 1] = 0.0  # padding
    queries.tokens[1, :, 2] *= 0.01  # hardly any cell belongs to it
    items.tokens[2] = 0.0  # an image without any token
    found = compare_bare(alignment, queries, items)
    torch.testing.assert_close(found, aligned(alignment, queries, items))


@pytest.mark.parametrize("options", OPTIONS)
def test_blocks_that_do_something_are_run(options: dict[str, Any]) -> None:
    alignment, queries, items = make(trained=True, **options), images(3), images(5, seed=2)
    found = score_levels(alignment, queries, items)
    torch.testing.assert_close(found, aligned(alignment, queries, items))
    assert not torch.allclose(found, compare_bare(alignment, queries, items))


def test_gradients_of_bare_tokens_are_finite_for_empty_ones() -> None:
    alignment = make(compare="all", token_weight="root_mass", direction="query")
    queries, items = images(2), images(2, seed=2)
    queries.tokens[0, :, 1], queries.mass[0, :, 1] = 0.0, 0.0
    leaves = TokenSet(*(x.requires_grad_() for x in queries))
    compare_bare(alignment, leaves, items).sum().backward()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in leaves)


def test_the_match_loss_asks_rows_and_columns() -> None:
    logits = torch.tensor([[2.0, 1.0], [3.0, 0.5]])
    right = torch.tensor([0, 1])
    expected = (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2
    assert match_loss(logits).item() == pytest.approx(expected.item())
    assert match_loss(torch.eye(3) * 50).item() == pytest.approx(0.0, abs=1e-6)


def test_a_run_learns_and_serves_at_the_presets_size(data: DataSet, tmp_path: Path) -> None:
    losses: list[float] = []
    path = train(
        PAIRS.changed(epochs=12, learning_rate=5e-4),
        data,
        tmp_path / "run",
        watch=lambda epoch, step, steps, loss: losses.append(loss),
    )
    quarter = len(losses) // 4
    assert sum(losses[-quarter:]) < 0.7 * sum(losses[:quarter])
    assert (tmp_path / "run" / ALIKE).is_file()
    model = initialise(get_preset("tiny"), str(path)).model
    assert model.config.preprocessing.image_size == 64
    assert model.config.alpha == PAIRS.alpha


def test_a_resumed_run_ends_like_an_uninterrupted_one(data: DataSet, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(epoch: int, step: int, steps: int, loss: float) -> None:
        if epoch == 1:
            raise Stopped

    whole = weights(train(PAIRS, data, tmp_path / "whole"))
    with pytest.raises(Stopped):
        train(PAIRS, data, tmp_path / "halved", watch=stop)
    halved = weights(train(PAIRS, data, tmp_path / "halved", resume=True))
    assert all(torch.equal(whole[name], halved[name]) for name in whole)


def test_the_second_recipe_moves_only_the_blocks(data: DataSet, tmp_path: Path) -> None:
    start = train(PAIRS, data, tmp_path / "first")
    recipe = get_recipe("alignment").changed(
        preset="tiny", batch_items=4, image_size=32, learning_rate=1e-2, ema=None
    )
    before = weights(start)
    after = weights(train(recipe, data, tmp_path / "second", init=str(start)))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all(name.startswith(("alignment.joint", "alignment.refine")) for name in moved)


def test_a_checkpoint_of_another_preset_is_refused(data: DataSet, tmp_path: Path) -> None:
    start = train(PAIRS, data, tmp_path / "first")
    with pytest.raises(CheckpointError, match="preset tiny, but mga-b0 is asked for"):
        train(get_recipe("shop"), data, tmp_path / "second", init=str(start))


def test_contrast_needs_pairs() -> None:
    with pytest.raises(ParameterError, match="contrastive needs batch_photos 2; found 4"):
        Recipe(name="x", preset="tiny").changed(loss="contrastive", batch_photos=4)
