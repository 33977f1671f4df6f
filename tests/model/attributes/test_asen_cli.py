"""`--method asen`: from a data set's name to the tables, and the sentences on misuse."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.attributes.asen import cli
from model.attributes.asen.recipes import ASEN_RECIPES, get_asen_recipe
from model.attributes.records import Attribute, AttributeData, Labelled
from model.cli import app
from model.errors import ParameterError, SelvedgeError
from tests.model.attributes.asen_data import COLOURS, draw_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> AttributeData:
    return draw_data(tmp_path_factory.mktemp("shapes"))


@pytest.fixture(scope="module")
def trained(data: AttributeData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cli.train_with_attributes(
        data, tmp_path_factory.mktemp("run") / "out", recipe="quick", preset=None, epochs=2, seed=0,
        init="random", local_init=None, device="cpu", workers=1, resume=False,
        watch=lambda *_: None, say=lambda _: None,
    )  # fmt: skip


def run(*words: object) -> str:
    """Run a verb; what it refuses is raised."""
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def _shapes(data: AttributeData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "load_attribute_data", lambda spec, seed: data)
    monkeypatch.setattr("model.cli.load_attribute_data", lambda spec, seed: data)


def test_train_says_what_no_triplet_can_be_made_of(data: AttributeData, tmp_path: Path) -> None:
    once = Labelled(data.train[0].photo, {0: 3})
    odd = replace(data, attributes=(Attribute("colour", (*COLOURS, "mauve")), data.attributes[1]))
    said: list[str] = []
    cli.train_with_attributes(
        replace(odd, train=(*data.train, once)), tmp_path / "out", recipe="quick-triplet",
        preset=None, epochs=2, seed=0, init="random", local_init=None, device="cpu", workers=1,
        resume=False, watch=lambda *_: None, say=said.append,
    )  # fmt: skip
    assert said == ["colour: mauve left out of training, as fewer than two photos show it."]


@pytest.mark.usefixtures("_shapes")
def test_train_then_evaluate_prints_ours_beside_the_published(
    trained: Path, tmp_path: Path
) -> None:
    words = ("--method", "asen", "--data", "fashionai:shapes", "--device", "cpu")
    out = tmp_path / "run"
    path = run("train", *words, "--recipe", "quick-triplet", "--epochs", "2", "--out", out).strip()
    assert Path(path).is_file()
    both = ("--checkpoint", trained, "--against", path)
    printed = run("evaluate", *words, *both, "--out", tmp_path / "report")
    assert (
        "| attribute | out/checkpoint.safetensors | out/checkpoint.safetensors, global branch"
        in (printed)
    )
    assert "## out/checkpoint.safetensors − run/checkpoint.safetensors (points, paired)" in printed
    assert "printed as 61.02 overall, the plain mean" in printed
    assert "network: asen" in printed
    assert (tmp_path / "report/attributes.md").read_text() == printed
    as_json = json.loads(run("evaluate", *words, *both, "--json"))
    assert len(as_json["results"]) == 3
    assert len(as_json["gains"]) == 2


@pytest.mark.usefixtures("_shapes")
def test_the_published_stand_beside_the_test_set_only(trained: Path) -> None:
    words = ("--method", "asen", "--data", "fashionai:shapes", "--checkpoint", trained)
    assert "as published" not in run("evaluate", *words, "--split", "validation")


@pytest.mark.usefixtures("_shapes")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--out", "x", "--recipe", "huge"], "no recipe 'huge' for --method asen; choose"),
        (["train", "--out", "x", "--preset", "huge"], "there is no preset 'huge'"),
        (["train", "--out", "x", "--loss", "triplet"], "--loss, --distil and --teacher-preset"),
        (["train", "--out", "x", "--data", "stitch"], "--data names 2; give one"),
        (["train", "--out", "x", "--epochs", "1"], "2 stages, so --epochs 1 is too few"),
        (["evaluate", "--checkpoint", "x", "--alpha", "0.5"], "speak of MGA's scores"),
        (["evaluate", "--checkpoint", "x"], "there is no checkpoint at x"),
    ],
)
def test_misuse_is_a_sentence(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    verb, *rest = words
    with pytest.raises(SelvedgeError, match=message):
        run(verb, "--method", "asen", "--data", "fashionai:x", *rest)
    assert not any(tmp_path.iterdir())


@pytest.mark.usefixtures("_shapes")
def test_an_unknown_split_is_refused(trained: Path) -> None:
    with pytest.raises(ParameterError, match="no split 'back'; choose one of test, validation"):
        run(
            "evaluate",
            "--method",
            "asen",
            "--data",
            "x",
            "--checkpoint",
            trained,
            "--split",
            "back",
        )


def test_a_second_branch_is_refused_for_mga(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="--local-init is for --method asen"):
        run("train", "--data", "stitch", "--local-init", "random", "--out", tmp_path)


@pytest.mark.parametrize("name", ["paper", "small", "quick"])
def test_a_baseline_differs_in_the_network_alone(name: str) -> None:
    ours = get_asen_recipe(name)
    assert ASEN_RECIPES[f"{name}-triplet"] == ours.changed(name=f"{name}-triplet", network="plain")
    assert not get_asen_recipe(f"{name}-triplet").trains_both(ours.epochs - 1)
