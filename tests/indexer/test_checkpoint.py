"""Options become one checkpoint in the index, and another choice is refused."""

import pytest

from indexer.build import build_index
from indexer.checkpoint import CheckpointChoice
from indexer.manifest import Manifest
from model.errors import CheckpointError, GalleryMismatchError, ParameterError
from tests.indexer.conftest import small
from tests.indexer.fakes import FakeEncoder


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"weights")
    return path


@pytest.fixture(autouse=True)
def fake_network(monkeypatch):
    """The name of the fake encoder is what its checkpoint file says."""

    def load(path, device="auto", runtime="eager"):
        return FakeEncoder(path.read_text())

    def create(target, *, preset, init, photos, progress):
        target.write_text(f"{preset} {init} fitted on {len(photos) if photos else 'none'}")
        if photos:
            progress(len(photos), len(photos))

    monkeypatch.setattr("indexer.checkpoint.load_encoder", load)
    monkeypatch.setattr("model.fit.create_checkpoint", create)


def build(photos, index, choice=None, **options):
    return build_index(photos, index, choice or CheckpointChoice(), options=small(**options))


def test_the_checkpoint_is_copied_into_the_index(photos, checkpoint, tmp_path):
    build(photos, tmp_path / "index", CheckpointChoice(checkpoint))
    assert (tmp_path / "index" / "checkpoint.safetensors").read_bytes() == b"weights"


def test_without_a_choice_the_shipped_checkpoint_is_used(photos, shipped, tmp_path):
    build(photos, tmp_path / "index")
    assert (tmp_path / "index" / "checkpoint.safetensors").read_bytes() == shipped.read_bytes()


def test_an_installation_without_it_says_so(photos, shipped, tmp_path):
    shipped.unlink()
    with pytest.raises(CheckpointError, match="install it again, or choose weights"):
        build(photos, tmp_path / "index")
    assert build(photos, tmp_path / "index", CheckpointChoice(preset="tiny")).items == 20


def test_a_preset_without_weights_is_fitted_on_the_photos(photos, tmp_path):
    build(photos, tmp_path / "index", CheckpointChoice(init="random"))
    text = (tmp_path / "index" / "checkpoint.safetensors").read_text()
    assert text == "mga-b0 random fitted on 20"
    assert Manifest.load(tmp_path / "index").recipe == {
        "preset": "mga-b0", "init": "random", "fit_centres": True,
    }  # fmt: skip


def test_fitting_can_be_left_out(photos, tmp_path):
    build(photos, tmp_path / "index", CheckpointChoice(preset="tiny", fit_centres=False))
    text = (tmp_path / "index" / "checkpoint.safetensors").read_text()
    assert text == "tiny random fitted on none"


def test_a_build_without_a_choice_keeps_what_an_index_has(photos, checkpoint, tmp_path):
    build(photos, tmp_path / "index", CheckpointChoice(checkpoint))
    assert build(photos, tmp_path / "index").up_to_date


def test_the_copy_in_an_index_is_the_same_checkpoint(photos, tmp_path):
    build(photos, tmp_path / "index")
    stored = CheckpointChoice(tmp_path / "index" / "checkpoint.safetensors")
    assert build(photos, tmp_path / "index", stored).up_to_date


@pytest.mark.parametrize(
    "choice", [{"preset": "tiny"}, {"init": "imagenet"}, {"fit_centres": False}]
)
def test_another_choice_is_refused_and_may_overwrite(photos, tmp_path, choice):
    index = tmp_path / "index"
    build(photos, index)
    with pytest.raises(GalleryMismatchError, match="checkpoint"):
        build(photos, index, CheckpointChoice(**choice))
    report = build(photos, index, CheckpointChoice(**choice), overwrite=True)
    assert not report.up_to_date


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ({"preset": "tiny"}, "complete in itself"),
        ({"init": "random"}, "complete in itself"),
        ({"fit_centres": False}, "complete in itself"),
    ],
)
def test_a_checkpoint_excludes_the_options_that_make_one(checkpoint, choice, sentence):
    with pytest.raises(ParameterError, match=sentence):
        CheckpointChoice(checkpoint, **choice)


def test_files_that_are_not_there_are_named(tmp_path):
    with pytest.raises(ParameterError, match=r"--checkpoint .*gone is not a file"):
        CheckpointChoice(tmp_path / "gone")
    with pytest.raises(ParameterError, match="--init gone is neither random nor imagenet"):
        CheckpointChoice(init="gone")


def test_a_killed_fit_is_done_again(photos, tmp_path, monkeypatch):
    def die(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("model.fit.create_checkpoint", die)
        with pytest.raises(KeyboardInterrupt):
            build(photos, tmp_path / "index", CheckpointChoice(preset="tiny"))
    assert build(photos, tmp_path / "index", CheckpointChoice(preset="tiny")).items == 20
