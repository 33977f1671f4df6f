"""One command; results to stdout, progress to stderr."""

import json

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from model.checkpoint import Record, load_checkpoint, save_checkpoint
from model.config import RecallOptions, get_preset
from model.errors import CheckpointError, DataError, ParameterError
from model.evaluation.cli import calibrate, evaluate
from model.initialise import initialise

app = typer.Typer()
app.command()(evaluate)
calibrating = typer.Typer()
calibrating.command()(calibrate)


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def asked(data_folder, tiny):
    return ("--data", f"folder:{data_folder}", "--checkpoint", tiny, "--device", "cpu")


def test_json_goes_to_stdout_and_files_to_out(asked, tmp_path):
    done = call(*asked, "--json", "--out", tmp_path, "--candidates", 2, "--split", "validation")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said == json.loads((tmp_path / "evaluation.json").read_text())
    assert said["checkpoint"]["preset"] == "tiny"
    assert {curve["setting"] for curve in said["curves"]} == {"alpha", "tau", "reduction", "M"}
    assert (tmp_path / "evaluation.html").exists()


def test_the_ceilings_of_all_three_vectors_stand_side_by_side(asked, tmp_path, tiny):
    options = RecallOptions(vector="joint", dim=8)
    model = initialise(get_preset("tiny").model_copy(update={"recall": options})).model
    save_checkpoint(tmp_path / "joint.safetensors", model, Record(weights="random"))
    for checkpoint, own in ((tiny, "global"), (tmp_path / "joint.safetensors", "joint")):
        done = call(*asked, "--json", "--no-sensitivity", "--checkpoint", checkpoint)
        said = json.loads(done.stdout)
        vectors = [ceiling["vector"] for ceiling in said["ceilings"]]
        assert vectors[0] == own == said["checkpoint"]["recall vector"]
        assert set(vectors) == {"global", "granular", "joint"}
        assert said["main"].endswith(f"by {own}")


def test_tables_go_to_stdout_without_json(asked, tiny):
    done = call(*asked, "--no-sensitivity", "--split", "validation", "--against", tiny)
    assert done.stdout.startswith("# Evaluation: folder:")
    assert "| this checkpoint − tiny.safetensors | 0.0 [0.0, 0.0]" in done.stdout


@pytest.mark.parametrize(
    ("words", "error", "sentence"),
    [
        (("--split", "trial"), ParameterError, "no split 'trial'"),
        (("--alpha", "2"), ParameterError, "0..1"),
        (("--checkpoint", "missing.safetensors"), CheckpointError, "no checkpoint"),
        (("--data", "folder:missing"), DataError, "missing"),
    ],
)
def test_mistakes_are_sentences(asked, words, error, sentence):
    done = call(*asked, *words)
    assert isinstance(done.exception, error)
    assert sentence in str(done.exception)


@pytest.fixture(scope="module")
def many_items(tmp_path_factory):
    """A folder of forty items, three photos each: a few of them are held out."""
    root, rng = tmp_path_factory.mktemp("many"), np.random.default_rng(2)
    for item in range(40):
        (root / f"item{item}").mkdir()
        colour = rng.integers(0, 255, 3)
        for number in range(3):
            pixels = np.clip(colour + rng.integers(-90, 90, (4, 4, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).resize((48, 48)).save(root / f"item{item}" / f"{number}.png")
    return root


def call_calibrate(folder, checkpoint, *words):
    asked = ("--data", f"folder:{folder}", "--checkpoint", checkpoint, "--device", "cpu")
    return CliRunner().invoke(calibrating, [*map(str, asked), *map(str, words)])


def test_calibrating_keeps_the_fingerprint_and_evaluating_shows_the_curve(
    many_items, tiny, tmp_path
):
    out, before = tmp_path / "sure.safetensors", tiny.read_bytes()
    done = call_calibrate(many_items, tiny, "--out", out)
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(out)
    assert tiny.read_bytes() == before
    one, two = load_checkpoint(tiny), load_checkpoint(out)
    assert two.fingerprint == one.fingerprint
    curve = two.record.calibration
    assert "validation" in two.record.calibrated_on
    words = ("--data", f"folder:{many_items}", "--split", "validation", "--no-sensitivity")
    words = (*words, "--json", "--int8", "--checkpoint", out, "--device", "cpu")
    said = json.loads(call(*words).stdout)["reliability"]
    assert said["source"].startswith("the checkpoint's own curve, fitted on folder:")
    assert sum(one["count"] for one in said["bins"]) == curve.num_pairs > 2
    share = sum(one["count"] * one["true"] for one in said["bins"])
    assert share == pytest.approx(curve.num_same)
    other = json.loads(call(*words, "--alpha", 0.9).stdout)["reliability"]
    assert "five folds" in other["source"]


def test_calibrating_in_place_replaces_the_file(many_items, tiny, tmp_path):
    path = tmp_path / "own.safetensors"
    path.write_bytes(tiny.read_bytes())
    assert call_calibrate(many_items, path).exit_code == 0
    assert load_checkpoint(path).record.calibration is not None
    assert load_checkpoint(tiny).record.calibration is None


def test_a_single_held_out_item_calibrates_nothing(data_folder, tiny, tmp_path):
    done = call_calibrate(data_folder, tiny, "--out", tmp_path / "x.safetensors")
    assert isinstance(done.exception, DataError)
    assert "show a single item" in str(done.exception)
    assert not (tmp_path / "x.safetensors").exists()
