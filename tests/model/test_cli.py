"""`python -m model`: exit codes, sentences, and that the guide keeps to the recipes."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from model.cli import main
from model.evaluation.report import JSON
from model.recipes import RECIPES
from model.train import CHECKPOINT

GUIDE = Path(__file__).parents[2] / "docs/training.md"
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a verb as the command line does; returns exit code, stdout, and stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["model", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        said = capsys.readouterr()
        return (code if isinstance(code, int) else 0), said.out, said.err

    return run


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of twelve items of two photos, two of them for testing; quick batches hold eight."""
    root = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    lines = ["image,product_id,split"]
    for item in range(12):
        colour = tuple(rng.integers(0, 200, 3).tolist())
        for shot in range(2):
            image = Image.new("RGB", (64, 64), "white")
            left, top = rng.integers(4, 24, 2).tolist()
            ImageDraw.Draw(image).ellipse((left, top, left + 20 + 2 * item, top + 30), fill=colour)
            image.save(root / f"{item}_{shot}.png")
            lines.append(f"{item}_{shot}.png,{item},{'test' if item > 9 else 'train'}")
    (root / "shop.csv").write_text("\n".join(lines) + "\n")
    return root / "shop.csv"


@pytest.fixture
def training(shop: Path, tmp_path: Path) -> list[str]:
    """Words of the smallest training."""
    out = str(tmp_path / "run")
    quick = ["--recipe", "quick", "--epochs", "1", "--device", "cpu", "--workers", "0"]
    return ["train", "--data", f"csv:{shop}", "--out", out, *quick]


def test_train_then_evaluate_then_resume_nothing(
    call: Call, training: list[str], shop: Path, tmp_path: Path
) -> None:
    code, out, err = call(*training)
    assert code == 0, err
    checkpoint = Path(out.strip())
    assert checkpoint == tmp_path / "run" / CHECKPOINT
    assert "epoch 1" in err
    words = ("--data", f"csv:{shop}", "--checkpoint", checkpoint, "--out", tmp_path / "report")
    code, out, err = call("evaluate", *words, "--no-sensitivity")
    assert (code, out.startswith("# Evaluation: csv:")) == (0, True), err
    assert json.loads((tmp_path / "report" / JSON).read_text())["counts"]["items"] == 2
    before = checkpoint.read_bytes()
    assert call(*training, "--resume")[0] == 0
    assert checkpoint.read_bytes() == before
    code, _, err = call(*training)
    assert (code, "holds a training run already" in err) == (1, True)
    code, _, err = call(*training, "--resume", "--epochs", 2)
    assert (code, "epochs = 1, now it is 2" in err) == (1, True)


def test_baseline_prints_its_table_and_is_quick_the_second_time(
    call: Call, training: list[str], shop: Path, tmp_path: Path
) -> None:
    words = ["baseline", *training[1:]]
    code, table, err = call(*words)
    assert code == 0, err
    assert table.startswith(f"# Three losses from one start: csv:{shop}, test")
    assert all(f"{loss}: epoch 1 of 1" in err for loss in ("identity", "multi-granular"))
    code, again, err = call(*words, "--json")
    assert code == 0, err
    assert "epoch 1 of 1" not in err
    assert json.loads(again)["lines"][0]["loss"] == "identity"
    assert (tmp_path / "run/baseline.md").read_text() == table[:-1]
    code, _, err = call(*words, "--seed", 1)
    assert (code, "choose another --out folder" in err) == (1, True)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--data", "shopify:x"], 2, "'shopify:x' does not name a data set"),
        (["--data", "csv:"], 2, "names no place"),
        (["--data", "csv:x?size=3"], 1, "does not exist"),
        (["--data", "folder:missing"], 1, "missing does not exist"),
        (["--recipe", "huge"], 2, "choose one of paper, shop, contrastive"),
        (["--preset", "huge"], 2, "there is no preset 'huge'"),
        (["--epochs", "0"], 2, "epochs is 0"),
        (["--device", "abacus"], 2, "not a device"),
        (["--init", "missing.safetensors"], 1, "there is no such file"),
        (["--seed", "many"], 2, "Invalid value for '--seed'"),
        (["--colour", "red"], 2, "No such option"),
    ],
)
@pytest.mark.parametrize("verb", ["train", "baseline"])
def test_mistakes_end_in_a_sentence(
    call: Call, training: list[str], verb: str, words: list[str], code: int, sentence: str
) -> None:
    found, out, err = call(verb, *training[1:], *words)
    assert (found, out) == (code, "")
    assert sentence in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--loss", "hinge"], 2, "loss is 'hinge'"),
        (["--resume"], 1, "nothing to resume"),
        (["--workers", "-1"], 2, "-1 workers"),
    ],
)
def test_mistakes_of_train_alone(
    call: Call, training: list[str], words: list[str], code: int, sentence: str
) -> None:
    found, _, err = call(*training, *words)
    assert (found, sentence in err) == (code, True), err


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([], 1, "there is no checkpoint at"),
        (["--checkpoint", "shop.csv"], 1, "cannot be read as safetensors"),
        (["--alpha", "2"], 2, "0..1"),
        (["--candidates", "0"], 2, "whole numbers from 1 up"),
    ],
)
def test_mistakes_of_evaluate(
    call: Call,
    shop: Path,
    words: list[str],
    code: int,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(shop.parent)
    asked = ["evaluate", "--data", f"csv:{shop}", "--checkpoint", "absent", *words]
    found, out, err = call(*asked)
    assert (found, out) == (code, "")
    assert sentence in err


def test_distil_then_train_on_what_was_taught(
    call: Call, training: list[str], shop: Path, tiny: Path, tmp_path: Path
) -> None:
    words = ["train", "--data", f"csv:{shop}", "--device", "cpu", "--preset", "tiny"]
    code, out, err = call(*words, "--distil", tiny, "--epochs", 1, "--out", tmp_path / "taught")
    assert (code, Path(out.strip())) == (0, tmp_path / "taught" / CHECKPOINT), err
    assert call(*training, "--init", out.strip())[0] == 0


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--distil", "missing"], 1, "the teacher missing is not a file"),
        (["--distil", "missing", "--epochs", "0"], 2, "epochs is 0"),
        (["--distil", "missing", "--recipe", "shop"], 2, "--distil has choices of its own"),
        (["--distil", "missing", "--loss", "triplet"], 2, "--distil has choices of its own"),
        (["--teacher-preset", "tiny"], 2, "without --distil TEACHER"),
    ],
)
def test_mistakes_of_distil(
    call: Call, shop: Path, tmp_path: Path, words: list[str], code: int, sentence: str
) -> None:
    found, out, err = call("train", "--data", f"csv:{shop}", "--out", tmp_path / "run", *words)
    assert (found, out, sentence in err) == (code, "", True), err


def test_a_split_that_is_not_there_names_those_that_are(call: Call, training: list[str]) -> None:
    code, _, err = call("baseline", *training[1:], "--split", "trial")
    assert (code, "choose one of test, validation" in err) == (2, True), err


def test_help_shows_every_verb(call: Call) -> None:
    code, out, _ = call("--help")
    assert code == 0
    assert all(verb in out for verb in ("train", "evaluate", "baseline"))


@pytest.mark.parametrize("name", RECIPES)
def test_the_guide_shows_each_recipe_as_it_is(name: str) -> None:
    """The table in docs/training.md has a column a recipe and a row a choice."""
    rows = [
        [cell.strip(" `") for cell in line.strip().strip("|").split("|")]
        for line in GUIDE.read_text(encoding="utf-8").split("## Recipes")[1].splitlines()
        if line.startswith("|") and not line.startswith("|-")
    ]
    head, *lines = rows
    column = head.index(name)
    written = {line[0]: line[column] for line in lines}
    recipe = RECIPES[name].model_dump(mode="json", exclude={"name", "seed"})
    assert written == {choice: show(value) for choice, value in recipe.items()}


def show(value: object) -> str:
    """How the guide writes a value.

    >>> show([40, 70]), show(1e-4), show(None), show(True)
    ('40, 70', '0.0001', 'off', 'on')
    """
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if value is None or isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
