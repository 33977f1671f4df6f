"""Training: the schedule, what learns, and that a killed run ends as if it never was."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file

from model.checkpoint import load_checkpoint
from model.config import PRESETS, RecallOptions, get_preset
from model.data import DataSet, Photo, RetrievalSet
from model.errors import ParameterError, TrainingError
from model.fit import fit_recall
from model.initialise import initialise
from model.optimise import rate_factor
from model.recipes import RECIPES, Recipe, get_recipe
from model.train import compute_loss, make_optimiser, start_run, train

QUICK = get_recipe("quick").changed(batch_items=4, batch_photos=2, epochs=3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """Eight items of three photos: a coloured shape at another place each time."""
    folder = tmp_path_factory.mktemp("shapes")
    rng = np.random.default_rng(0)
    photos = []
    for item in range(8):
        colour = tuple(rng.integers(0, 200, 3).tolist())
        for shot in range(3):
            image = Image.new("RGB", (64, 64), "white")
            left, top = rng.integers(4, 24, 2).tolist()
            ImageDraw.Draw(image).ellipse((left, top, left + 20 + 2 * item, top + 30), fill=colour)
            path = folder / f"{item}_{shot}.png"
            image.save(path)
            photos.append(Photo(path, str(item)))
    nothing = RetrievalSet("validation", (), ())
    return DataSet("shapes", tuple(photos), nothing)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(load_checkpoint(path).model.state_dict())


def test_a_run_writes_a_checkpoint_its_record_and_a_log(data: DataSet, tmp_path: Path) -> None:
    path = train(QUICK, data, tmp_path / "run", validate=lambda _: {"global R@1": 0.5})
    record = load_checkpoint(path).record
    assert record.trained_for_retrieval
    assert record.epochs == 3
    assert Recipe.model_validate(record.recipe) == QUICK
    assert "trained on shapes: 24 photos, 8 items" in record.weights
    with (tmp_path / "run/log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert {row["global R@1"] for row in rows} == {"0.5"}


@pytest.mark.parametrize("amp", ["off", "on"])
def test_a_run_that_was_stopped_ends_with_the_same_weights(
    data: DataSet, tmp_path: Path, amp: str
) -> None:
    recipe = QUICK.changed(amp=amp)

    class Killed(Exception):
        pass

    def kill(epoch: int, step: int, steps: int, loss: float) -> None:
        if (epoch, step) == (1, 1):
            raise Killed

    whole = weights(train(recipe, data, tmp_path / "whole"))
    with pytest.raises(Killed):
        train(recipe, data, tmp_path / "cut", watch=kill)
    resumed = weights(train(recipe, data, tmp_path / "cut", resume=True))
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_processes_that_load_give_the_same_weights(data: DataSet, tmp_path: Path) -> None:
    recipe = QUICK.changed(epochs=2)
    alone = weights(train(recipe, data, tmp_path / "alone"))
    helped = weights(train(recipe, data, tmp_path / "helped", workers=1))
    assert all(torch.equal(alone[name], helped[name]) for name in alone)


def test_ema_resumes_too_and_is_what_is_saved(data: DataSet, tmp_path: Path) -> None:
    recipe = QUICK.changed(ema=0.9, epochs=2)
    averaged = weights(train(recipe, data, tmp_path / "ema"))
    plain = weights(train(QUICK.changed(epochs=2), data, tmp_path / "plain"))
    name = "aggregators.0.centres"
    assert not torch.equal(averaged[name], plain[name])


@pytest.mark.parametrize("ema", [None, 0.9])
def test_the_recall_vector_is_fitted_to_the_tokens_as_trained(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ema: float | None
) -> None:
    options = RecallOptions(vector="joint", dim=8)
    joint = get_preset("tiny").model_copy(update={"recall": options})
    monkeypatch.setitem(PRESETS, "tiny", joint)
    recipe = QUICK.changed(ema=ema, epochs=2)
    model = load_checkpoint(train(recipe, data, tmp_path / "run")).model
    saved = {name: x.clone() for name, x in model.recall.state_dict().items()}
    fit_recall(model, [photo.path for photo in data.train], seed=recipe.seed)
    for name, x in model.recall.state_dict().items():
        torch.testing.assert_close(saved[name], x, atol=1e-5, rtol=0)


def test_training_lowers_the_loss(data: DataSet, tmp_path: Path) -> None:
    losses: list[float] = []
    recipe = QUICK.changed(epochs=12, identity_epochs=0, learning_rate=5e-3)
    train(recipe, data, tmp_path, watch=lambda _e, _s, _n, loss: losses.append(loss))
    assert np.mean(losses[-6:]) < 0.8 * np.mean(losses[:3])


def test_a_loss_that_is_not_finite_stops_with_the_batch(data: DataSet, tmp_path: Path) -> None:
    recipe = QUICK.changed(learning_rate=1e30, clip_norm=1e30, warmup_epochs=0.0)
    with pytest.raises(TrainingError, match=r"failed_batch\.safetensors. Lower the learning rate"):
        train(recipe, data, tmp_path)
    assert (tmp_path / "failed_batch.safetensors").stat().st_size > 1000


def test_resuming_with_another_recipe_names_the_difference(data: DataSet, tmp_path: Path) -> None:
    train(QUICK.changed(epochs=1), data, tmp_path)
    with pytest.raises(TrainingError, match=r"a run with margin = 0\.2, now it is 0\.3"):
        train(QUICK.changed(epochs=1, margin=0.3), data, tmp_path, resume=True)


def test_resuming_from_another_start_is_refused(data: DataSet, tmp_path: Path) -> None:
    """The input's mean and std come with --init: silently mixing them would spoil the run."""
    recipe = QUICK.changed(epochs=1)
    train(recipe, data, tmp_path / "run")
    other = dict(initialise(get_preset("tiny")).model.backbone.net.state_dict())
    save_file(other, tmp_path / "w.safetensors", {"source": "elsewhere"})
    with pytest.raises(TrainingError, match=r"now it is tiny, elsewhere.*same --init and --data"):
        train(recipe, data, tmp_path / "run", init=str(tmp_path / "w.safetensors"), resume=True)


def test_resuming_on_another_data_set_is_refused(data: DataSet, tmp_path: Path) -> None:
    train(QUICK.changed(epochs=1), data, tmp_path)
    with pytest.raises(TrainingError, match="trained on others"):
        train(QUICK.changed(epochs=1), replace(data, name="others"), tmp_path, resume=True)


def test_a_folder_with_a_run_is_not_overwritten(data: DataSet, tmp_path: Path) -> None:
    train(QUICK.changed(epochs=1), data, tmp_path)
    with pytest.raises(TrainingError, match="holds a training run already"):
        train(QUICK.changed(epochs=1), data, tmp_path)


def test_nothing_to_resume_is_a_sentence(data: DataSet, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="nothing to resume"):
        train(QUICK, data, tmp_path, resume=True)


def test_a_folder_that_cannot_be_made_is_a_sentence(data: DataSet, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="cannot write"):
        train(QUICK, data, tmp_path / "file/run")


def test_a_full_disk_keeps_the_state_that_was_there(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(QUICK.changed(epochs=1), data, tmp_path)
    before = (tmp_path / "state.safetensors").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("model.trainstate.save_file", full)
    with pytest.raises(TrainingError, match="No space left on device"):
        train(QUICK.changed(epochs=1), data, tmp_path / "other")
    assert (tmp_path / "state.safetensors").read_bytes() == before


def test_the_papers_schedule_falls_tenfold_at_epochs_40_and_70() -> None:
    paper = get_recipe("paper")
    assert (paper.learning_rate, paper.epochs) == (1e-4, 130)
    assert (paper.batch_items * paper.batch_photos, paper.optimiser) == (48, "adam")
    factors = [rate_factor(paper, epoch) for epoch in (10, 39.9, 40, 69.9, 70, 129)]
    np.testing.assert_allclose(factors, [1, 1, 0.1, 0.1, 0.01, 0.01])


def test_frozen_batch_norm_keeps_its_statistics(data: DataSet, tmp_path: Path) -> None:
    recipe = QUICK.changed(freeze_batch_norm="backbone", epochs=1, fit_centres=False)
    start = initialise(get_preset("tiny"), "random", recipe.seed).model.state_dict()
    end = weights(train(recipe, data, tmp_path))
    name = "backbone.net.bn1.running_mean"
    assert torch.equal(start[name], end[name])
    assert not torch.equal(start["backbone.net.bn1.weight"], end["backbone.net.bn1.weight"])


@pytest.mark.parametrize("loss", ["identity", "triplet", "multi-granular"])
def test_each_loss_trains_the_parts_it_reaches(loss: str) -> None:
    recipe = QUICK.changed(loss=loss, identity_epochs=0)
    run = start_run(recipe, initialise(get_preset("tiny")).model, 2)
    pixels = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    items, valid = torch.tensor([0, 0, 1, 1]), torch.ones(4, dtype=torch.bool)
    torch.autograd.backward(compute_loss(recipe, run, pixels, items, valid, epoch=0))
    touched = run.model.aggregators[0].centres.grad is not None
    assert touched == (loss == "multi-granular")
    optimised = {id(p) for g in run.optimiser.param_groups for p in g["params"]}
    assert (id(run.model.aggregators[0].centres) in optimised) == (loss == "multi-granular")


def test_tokens_join_the_triplets_after_the_global_epochs() -> None:
    recipe = QUICK.changed(identity_epochs=0, global_epochs=1)
    run = start_run(recipe, initialise(get_preset("tiny")).model, 2)
    pixels = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    items, valid = torch.tensor([0, 0, 1, 1]), torch.ones(4, dtype=torch.bool)
    for epoch, reached in ((0, False), (1, True)):
        torch.autograd.backward(compute_loss(recipe, run, pixels, items, valid, epoch))
        assert (run.model.aggregators[0].centres.grad is not None) == reached


@pytest.mark.parametrize(("amp", "kind"), [("on", torch.bfloat16), ("off", torch.float32)])
def test_amp_reaches_the_backbone_and_not_the_scores(
    amp: str, kind: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = QUICK.changed(identity_epochs=0, amp=amp, triplet="softmax")
    run = start_run(recipe, initialise(get_preset("tiny")).model, 2)
    seen: list[torch.dtype] = []
    run.model.backbone.register_forward_hook(lambda _m, _i, out: seen.append(out.final.dtype))

    def watch(scores: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        seen.append(scores.dtype)
        return scores.sum()

    monkeypatch.setattr("model.train.softmax_loss", watch)
    items, valid = torch.tensor([0, 0, 1, 1]), torch.ones(4, dtype=torch.bool)
    compute_loss(recipe, run, torch.randn(4, 3, 64, 64), items, valid, epoch=0)
    assert seen == [kind, torch.float32]


def test_weight_decay_spares_biases_norms_and_centres() -> None:
    recipe = get_recipe("paper").changed(preset="tiny")
    run = start_run(recipe, initialise(get_preset("tiny")).model, 2)
    spared = {
        id(p) for g in make_optimiser(recipe, run.model, run.criterion).param_groups
        if g["weight_decay"] == 0 for p in g["params"]
    }  # fmt: skip
    for name, parameter in run.model.named_parameters():
        if parameter.requires_grad and (parameter.ndim < 2 or "centres" in name):
            assert id(parameter) in spared, name
    assert id(run.model.aggregators[0].project.weight) not in spared


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_recipe_names_a_preset_that_exists(recipe: Recipe) -> None:
    assert get_preset(recipe.preset).preset == recipe.preset


def test_a_bad_choice_names_itself() -> None:
    with pytest.raises(ParameterError, match="epochs is 0"):
        get_recipe("paper").changed(epochs=0)
    with pytest.raises(
        ParameterError,
        match="choose one of paper, shop, contrastive, alignment, mini, mini-paper, quick",
    ):
        get_recipe("huge")
