"""Distillation as a run: it learns, it repeats, it resumes, and its checkpoint is a usual one."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from model import distil as distilling
from model.checkpoint import load_checkpoint
from model.config import BackboneOptions, get_preset
from model.data import DataSet, Photo, RetrievalSet, read_photo
from model.distil import Teacher, distil, imitate, load_teacher
from model.encoder import Encoder
from model.errors import CheckpointError, TrainingError
from model.fit import fit_norms
from model.initialise import initialise
from model.recipes import DISTIL, Distillation, get_recipe
from model.train import train
from model.trainstate import STATE

QUICK = DISTIL.changed(preset="tiny", epochs=3, batch_photos=4, image_size=64, amp="off")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """Eight photos of coloured blots; the items are all the same and of no use."""
    folder = tmp_path_factory.mktemp("blots")
    rng = np.random.default_rng(0)
    photos = []
    for number in range(8):
        seeds = rng.integers(0, 255, (5, 4, 3), dtype=np.uint8)
        path = folder / f"{number}.png"
        Image.fromarray(seeds).resize((60, 80), Image.Resampling.BICUBIC).save(path)
        photos.append(Photo(path, "any"))
    return DataSet("blots", tuple(photos), RetrievalSet("validation", (), ()))


@pytest.fixture(scope="module")
def bare(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher's backbone weights alone: random filters that tell colours apart."""
    path = tmp_path_factory.mktemp("teacher") / "bare.safetensors"
    model = initialise(get_preset("tiny"), seed=7).model
    fit_norms(model, [photo.path for photo in data.train])
    save_file(dict(model.backbone.net.state_dict()), path, {"source": "a teacher of seed 7"})
    return path


@pytest.fixture(scope="module")
def teacher(bare: Path) -> Teacher:
    return load_teacher(str(bare), "tiny")


@pytest.fixture(scope="module")
def whole(data: DataSet, teacher: Teacher, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed."""
    out = tmp_path_factory.mktemp("whole")
    return distil(QUICK, teacher, data, out, validate=lambda _: {"global R@1": 0.5})


def differing(path: Path, other: Path) -> list[str]:
    found, wanted = (load_checkpoint(each).model.state_dict() for each in (path, other))
    return [name for name in wanted if not torch.equal(found[name], wanted[name])]


def test_the_record_names_the_teacher_and_claims_no_training(whole: Path) -> None:
    record = load_checkpoint(whole).record
    assert record.taught_by.startswith("tiny (tiny, a teacher of seed 7; ")
    assert f"taught by {record.taught_by} on blots: 8 photos" in record.weights
    assert not record.trained_for_retrieval
    assert (record.metrics, record.epochs) == ({"global R@1": 0.5}, 3)
    assert Distillation.model_validate(record.recipe) == QUICK
    with (whole.parent / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    columns = ["stride 32", "stride 16", "stride 8", "final"]
    assert all(0 < float(row[f"1 - cosine, {name}"]) < 2 for row in rows for name in columns)


def test_the_checkpoint_is_fitted_and_can_be_served(whole: Path, data: DataSet) -> None:
    random = initialise(get_preset("tiny"), seed=0).model.state_dict()
    taught = load_checkpoint(whole).model.state_dict()
    touched = ("backbone.net.bn1.running_mean", "aggregators.0.centres", "neck.running_mean")
    assert not any(torch.equal(random[name], taught[name]) for name in touched)
    assert random.keys() == taught.keys()
    encoder = Encoder(load_checkpoint(whole), "cpu")
    encoded = encoder.encode([encoder.prepare(read_photo(photo)) for photo in data.train])
    similar = encoded.global_feature @ encoded.global_feature.T
    assert similar.min() < 0.9


def test_teaching_brings_maps_of_unseen_crops_closer(
    data: DataSet, teacher: Teacher, tmp_path: Path
) -> None:
    recipe = QUICK.changed(epochs=20, learning_rate=5e-3)
    rng = np.random.default_rng(9)
    seeds = [Image.fromarray(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)) for _ in range(4)]
    unseen = np.stack(
        [np.asarray(seed.resize((64, 64), Image.Resampling.BICUBIC)) for seed in seeds]
    )
    runs, keep = [], distilling.save_state

    def measure(out: Path, recipe: Distillation, run: distilling.Run) -> None:
        run.model.eval()
        with torch.no_grad():
            runs.append(float(imitate(recipe, run, teacher.model, unseen)[0]))
        keep(out, recipe, run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distilling, "save_state", measure)
        distil(recipe, teacher, data, tmp_path)
    assert runs[-1] < 0.8 * runs[0]


def test_equal_seeds_give_equal_weights_whoever_loads(
    data: DataSet, teacher: Teacher, whole: Path, tmp_path: Path
) -> None:
    again = distil(QUICK, teacher, data, tmp_path / "again", workers=1)
    assert differing(again, whole) == []
    other = distil(QUICK.changed(seed=1), teacher, data, tmp_path / "other")
    assert "backbone.net.conv_stem.weight" in differing(other, whole)


def test_labels_are_not_looked_at(
    data: DataSet, teacher: Teacher, whole: Path, tmp_path: Path
) -> None:
    photos = tuple(replace(photo, item=photo.path.stem) for photo in data.train)
    assert differing(distil(QUICK, teacher, replace(data, train=photos), tmp_path), whole) == []


@pytest.mark.parametrize("amp", ["off", "on"])
def test_a_run_that_was_stopped_ends_with_the_same_weights(
    data: DataSet, teacher: Teacher, whole: Path, tmp_path: Path, amp: str
) -> None:
    class Killed(Exception):
        pass

    def kill(epoch: int, step: int, *_: object) -> None:
        if (epoch, step) == (1, 1):
            raise Killed

    recipe = QUICK.changed(amp=amp)
    expected = whole if amp == "off" else distil(recipe, teacher, data, tmp_path / "whole")
    with pytest.raises(Killed):
        distil(recipe, teacher, data, tmp_path / "cut", watch=kill)
    resumed = distil(recipe, teacher, data, tmp_path / "cut", resume=True)
    assert differing(resumed, expected) == []
    logs = [(path.parent / "log.csv").read_text() for path in (resumed, expected)]
    assert logs[0] == logs[1]


@pytest.mark.parametrize("step", ["write_log", "save_state", "fit", "save_checkpoint"])
def test_a_stop_at_any_point_of_saving_loses_nothing(
    data: DataSet,
    teacher: Teacher,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    def arm(epoch: int, *_: object) -> None:
        if epoch + 1 == QUICK.epochs:
            monkeypatch.setattr(distilling, step, die)

    with pytest.raises(Killed):
        distil(QUICK, teacher, data, tmp_path, watch=arm)
    monkeypatch.undo()
    assert differing(distil(QUICK, teacher, data, tmp_path, resume=True), whole) == []


def test_the_teacher_and_its_statistics_stay_as_they_are(data: DataSet, tmp_path: Path) -> None:
    model = initialise(get_preset("tiny"), seed=7).model
    before = {name: x.clone() for name, x in model.state_dict().items()}
    distil(QUICK.changed(epochs=1), Teacher(model, "a teacher"), data, tmp_path)
    assert all(torch.equal(before[name], x) for name, x in model.state_dict().items())


def test_contrast_goes_on_from_what_was_taught(data: DataSet, whole: Path, tmp_path: Path) -> None:
    recipe = get_recipe("contrastive").changed(
        preset="tiny", image_size=64, batch_items=4, epochs=1, together=2, amp="off"
    )
    photos = tuple(replace(photo, item=photo.path.stem) for photo in data.train)
    labelled = replace(data, train=photos, views=True)
    path = train(recipe, labelled, tmp_path, init=str(whole))
    changed = differing(path, whole)
    assert "backbone.net.conv_stem.weight" in changed
    assert not [name for name in changed if "running" in name]
    record = load_checkpoint(path).record
    assert record.trained_for_retrieval
    assert "taught by tiny" in record.weights


def refuse_another_teacher(data: DataSet, out: Path) -> None:
    other = Teacher(initialise(get_preset("tiny"), seed=8).model, "another teacher")
    distil(QUICK, other, data, out, resume=True)


def refuse_another_choice(data: DataSet, out: Path) -> None:
    teacher = Teacher(initialise(get_preset("tiny"), seed=7).model, "a teacher")
    distil(QUICK.changed(epochs=4), teacher, data, out, resume=True)


def refuse_another_kind(data: DataSet, out: Path) -> None:
    photos = tuple(replace(photo, item=photo.path.stem) for photo in data.train)
    recipe = get_recipe("quick").changed(batch_items=4, batch_photos=2)
    train(recipe, replace(data, train=photos, views=True), out, resume=True)


@pytest.mark.parametrize(
    ("resume", "sentence"),
    [
        (refuse_another_teacher, "taught by tiny .* now it is .* taught by another teacher"),
        (refuse_another_choice, "a run with epochs = 3, now it is 4"),
        (refuse_another_kind, "a run with name = distil, now it is quick"),
    ],
)
def test_only_the_same_run_is_resumed(
    data: DataSet, whole: Path, resume: Callable[[DataSet, Path], None], sentence: str
) -> None:
    state = (whole.parent / STATE).read_bytes()
    with pytest.raises(TrainingError, match=sentence):
        resume(data, whole.parent)
    assert (whole.parent / STATE).read_bytes() == state


def test_a_folder_with_a_run_is_not_overwritten(
    data: DataSet, teacher: Teacher, whole: Path
) -> None:
    with pytest.raises(TrainingError, match="holds a training run already"):
        distil(QUICK, teacher, data, whole.parent)


def test_a_loss_that_is_not_finite_stops_with_the_batch(
    data: DataSet, teacher: Teacher, tmp_path: Path
) -> None:
    recipe = QUICK.changed(learning_rate=1e30, clip_norm=1e30, warmup_epochs=0.0)
    with pytest.raises(TrainingError, match=r"failed_batch\.safetensors. Lower the learning rate"):
        distil(recipe, teacher, data, tmp_path)


def test_a_whole_checkpoint_teaches_without_a_preset(whole: Path) -> None:
    assert load_teacher(str(whole)).words.startswith("tiny (tiny, random (seed 0); taught by")
    assert not load_teacher(str(whole)).model.training
    with pytest.raises(CheckpointError, match="of preset tiny, not mga-b0; leave --teacher-preset"):
        load_teacher(str(whole), "mga-b0")


def test_another_file_is_another_teacher(tmp_path: Path) -> None:
    words = []
    for seed in (1, 2):
        state = dict(initialise(get_preset("tiny"), seed=seed).model.backbone.net.state_dict())
        save_file(state, tmp_path / "same_name.safetensors")
        words.append(load_teacher(str(tmp_path / "same_name.safetensors"), "tiny").words)
    assert words[0] != words[1]


def test_a_teacher_that_is_none_is_a_sentence(bare: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="the teacher missing is not a file"):
        load_teacher("missing", "tiny")
    with pytest.raises(CheckpointError, match="say which network they are with --teacher-preset"):
        load_teacher(str(bare))
    with pytest.raises(CheckpointError, match="do not fit mobilenetv2_100"):
        load_teacher(str(bare), "mga-mobile")
    (tmp_path / "text").write_text("not weights")
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        load_teacher(str(tmp_path / "text"), "tiny")


def test_a_teacher_without_common_levels_is_a_sentence(data: DataSet, tmp_path: Path) -> None:
    fine = BackboneOptions(name="tiny", strides=(4,))
    teacher = initialise(get_preset("tiny").model_copy(update={"backbone": fine})).model
    with pytest.raises(CheckpointError, match=r"strides 4, the student tiny of 32, 16, 8: none"):
        distil(QUICK, Teacher(teacher, "too fine"), data, tmp_path)
