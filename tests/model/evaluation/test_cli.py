"""One command; results to stdout, progress to stderr."""

import json

import pytest
import typer
from typer.testing import CliRunner

from model.checkpoint import Record, save_checkpoint
from model.config import RecallOptions, get_preset
from model.errors import CheckpointError, DataError, ParameterError
from model.evaluation.cli import evaluate
from model.initialise import initialise

app = typer.Typer()
app.command()(evaluate)


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
