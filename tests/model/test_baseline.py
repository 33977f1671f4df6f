"""Table 2: three losses from one start, judged as they say, and resumable."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from model import baseline
from model.baseline import (
    JUDGED_BY,
    LOSSES,
    Baseline,
    is_finished,
    measure_rows,
    render,
    table_settings,
    train_rows,
    write_table,
)
from model.checkpoint import load_checkpoint
from model.data import DataSet, Photo, RetrievalSet
from model.errors import TrainingError
from model.evaluation.evaluate import evaluate_model
from model.evaluation.settings import Settings
from model.recipes import get_recipe

# Identity alone for the first epoch, so that the rows part ways in the second.
QUICK = get_recipe("quick").changed(batch_items=4, batch_photos=2, epochs=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """Ten items of four photos; the last four items are the test."""
    folder = tmp_path_factory.mktemp("shapes")
    rng = np.random.default_rng(0)
    photos = []
    for item in range(10):
        colour = tuple(rng.integers(0, 200, 3).tolist())
        for shot in range(4):
            image = Image.new("RGB", (64, 64), "white")
            left, top = rng.integers(4, 24, 2).tolist()
            ImageDraw.Draw(image).ellipse((left, top, left + 20 + 2 * item, top + 30), fill=colour)
            image.save(folder / f"{item}_{shot}.png")
            photos.append(Photo(folder / f"{item}_{shot}.png", str(item)))
    test = RetrievalSet("test", tuple(photos[24::2]), tuple(photos[25::2]))
    return DataSet("shapes", tuple(photos[:24]), RetrievalSet("validation", (), ()), test)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("baseline")


@pytest.fixture(scope="module")
def paths(data: DataSet, out: Path) -> dict[str, Path]:
    return train_rows(QUICK, data, out)


@pytest.fixture(scope="module")
def found(paths: dict[str, Path], data: DataSet) -> Baseline:
    assert data.test is not None
    return measure_rows(QUICK, paths, data, data.test)


def backbone(path: Path) -> dict[str, torch.Tensor]:
    return dict(load_checkpoint(path).model.backbone.state_dict())


def test_there_is_a_row_for_each_loss_judged_as_it_is_searched(found: Baseline) -> None:
    assert [line.loss for line in found.lines] == list(LOSSES)
    assert [line.judged_by for line in found.lines] == ["global", "global", "fused"]
    assert JUDGED_BY.keys() == set(LOSSES)


def test_rows_share_start_and_batches_until_their_losses_differ(
    data: DataSet, paths: dict[str, Path], tmp_path: Path
) -> None:
    alone = QUICK.changed(epochs=1)  # identity_epochs is 1: all three have one loss
    ends = [backbone(path) for path in train_rows(alone, data, tmp_path).values()]
    for name, value in ends[0].items():
        assert torch.equal(value, ends[1][name]), name
        assert torch.equal(value, ends[2][name]), name
    later = [backbone(path) for path in paths.values()]
    weight = next(name for name, value in later[0].items() if value.ndim == 4)
    assert not torch.equal(later[0][weight], later[1][weight])
    assert not torch.equal(later[1][weight], later[2][weight])


def test_the_global_column_is_the_global_ranking_of_an_evaluation(
    found: Baseline, paths: dict[str, Path], data: DataSet
) -> None:
    assert data.test is not None
    whole = evaluate_model(
        load_checkpoint(paths["triplet"]).model, data.test, Settings(alpha=QUICK.alpha)
    )
    assert found.lines[1].global_score == whole.row("global").metrics
    assert found.lines[1].fused == whole.main_row.metrics


def test_differences_are_those_of_the_table(found: Baseline) -> None:
    one, two, three = found.lines
    gains = {gain.name: gain.metrics["mAP"].value for gain in found.gains}
    expected = {
        "triplet − identity, both global": two.global_score["mAP"].value
        - one.global_score["mAP"].value,
        "multi-granular fused − triplet global": three.fused["mAP"].value
        - two.global_score["mAP"].value,
        "multi-granular − triplet, both fused": three.fused["mAP"].value - two.fused["mAP"].value,
    }
    for name, value in expected.items():
        assert gains[name] == pytest.approx(value), name


def test_finished_rows_are_not_trained_again(
    data: DataSet, out: Path, paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(baseline, "train", refuse)
    assert train_rows(QUICK, data, out) == paths


def test_a_stopped_table_goes_on_and_ends_the_same(
    data: DataSet, paths: dict[str, Path], tmp_path: Path
) -> None:
    class Killed(Exception):
        pass

    def stop_in(row: str) -> baseline.Watch:
        def watch(epoch: int, step: int, steps: int, loss: float) -> None:
            if (row, epoch) == ("triplet", 1):
                raise Killed

        return watch

    with pytest.raises(Killed):
        train_rows(QUICK, data, tmp_path, watch=stop_in)
    assert is_finished(tmp_path / "identity/checkpoint.safetensors", QUICK.changed(loss="identity"))
    resumed = train_rows(QUICK, data, tmp_path)
    prints = [
        [load_checkpoint(path).fingerprint for path in each.values()] for each in (resumed, paths)
    ]
    assert prints[0] == prints[1]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [({"epochs": 3}, "epochs = 2, now it is 3"), ({"seed": 1}, "seed = 0, now it is 1")],
)
def test_rows_of_other_runs_are_never_mixed(
    data: DataSet, out: Path, paths: dict[str, Path], change: dict[str, int], sentence: str
) -> None:
    assert paths
    with pytest.raises(TrainingError, match=sentence):
        train_rows(QUICK.changed(**change), data, out)


def test_another_recipe_or_fewer_epochs_is_not_finished(paths: dict[str, Path]) -> None:
    path, recipe = paths["identity"], QUICK.changed(loss="identity")
    assert is_finished(path, recipe)
    assert not is_finished(path, QUICK.changed(loss="identity", epochs=3))
    assert not is_finished(path, QUICK)
    assert not is_finished(path.with_name("absent"), recipe)


def test_json_comes_back_and_markdown_shows_the_paper(found: Baseline, tmp_path: Path) -> None:
    as_json, as_markdown = write_table(tmp_path / "table", found)
    assert Baseline.model_validate(json.loads(as_json.read_text())) == found
    text = as_markdown.read_text()
    assert text == render(found)
    assert "| multi-granular |" in text
    assert "| 84.2 | 95.6 |" in text
    judged = str(found.lines[2].fused["mAP"])
    assert f"**{judged}**" in text


def test_a_single_candidate_leaves_the_global_ranking(
    paths: dict[str, Path], data: DataSet
) -> None:
    assert data.test is not None
    model = load_checkpoint(paths["multi-granular"]).model
    found = evaluate_model(model, data.test, table_settings(1.0, candidates=1))
    assert found.main_row.metrics == found.row("global").metrics
