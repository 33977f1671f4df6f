"""`python -m model attributes`: the verbs, on a tiny checkpoint and twelve photos."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.attributes import cli
from model.attributes.heads import load_heads, save_heads
from model.attributes.records import Attribute, AttributeData, AttributeSplit, Labelled
from model.attributes.token_cache import encode_photos
from model.attributes.training import fit_heads
from model.data.records import Photo
from model.encoder import Encoder
from model.errors import CheckpointError, DataError, ParameterError


@pytest.fixture
def data(photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> AttributeData:
    """Every photo is trained on and asked for, so that there is something to find."""
    records = tuple(
        Labelled(Photo(path, path.stem), {0: n % 2, 1: n // 6}) for n, path in enumerate(photos)
    )
    everyone = tuple(range(len(records)))
    split = AttributeSplit(
        records, dict.fromkeys((0, 1), everyone), dict.fromkeys((0, 1), everyone)
    )
    attributes = (Attribute("parity", ("even", "odd")), Attribute("half", ("first", "second")))
    found = AttributeData("twelve", attributes, records, split, split)
    monkeypatch.setattr(cli, "load_attribute_data", lambda spec: found)
    return found


def call(*words: object) -> str:
    result = CliRunner().invoke(cli.app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_train_then_evaluate(data: AttributeData, tiny: Path, tmp_path: Path) -> None:
    out, cache = tmp_path / "a.safetensors", tmp_path / "tokens.npz"
    assert str(out) in call(
        "train", "--data", "x", "--checkpoint", tiny, "--out", out, "--tokens", cache,
        "--device", "cpu",
    )  # fmt: skip
    heads = load_heads(out)
    assert set(heads.names) <= {"parity", "half"}
    assert all(info.quality is not None for info in heads.infos)
    shown = call(
        "evaluate", "--data", "x", "--checkpoint", tiny, "--heads", out, "--tokens", cache,
        "--device", "cpu", "--out", tmp_path / "results",
    )  # fmt: skip
    assert "| attribute | random | global feature | tokens | stored int8 |" in shown
    assert {path.name for path in (tmp_path / "results").iterdir()} == {
        "random.json", "global-feature.json", "tokens.json", "stored-int8.json",
    }  # fmt: skip


def test_each_attribute_is_learned_from_examples(
    data: AttributeData, tiny: Path, tmp_path: Path
) -> None:
    encoder = Encoder.from_checkpoint(tiny, "cpu")
    store = encode_photos(encoder, [each.photo for each in data.train])
    heads, path = fit_heads(data, store, encoder.fingerprint)[0], tmp_path / "a.safetensors"
    start = ("examples", "--data", "x", "--checkpoint", tiny, "--device", "cpu", "--heads", path)
    save_heads(heads, path)
    shown = call(*start, "--counts", 5, "--counts", 8, "--draws", 1)
    assert "| attribute | values | 5 examples | 8 examples | in full |" in shown
    save_heads(heads.only(["half"]), path)
    with pytest.raises(ParameterError, match="one attribute only"):
        call(*start)


def test_what_cannot_be_measured_is_a_sentence(
    data: AttributeData, tiny: Path, tmp_path: Path
) -> None:
    from model.attributes.slot_heads import AttributeHeads
    from model.checkpoint import load_checkpoint
    from tests.model.attributes.token_store import make_heads

    foreign, own = tmp_path / "foreign.safetensors", tmp_path / "own.safetensors"
    heads = make_heads()
    save_heads(heads, foreign)
    fingerprint = load_checkpoint(tiny).fingerprint
    save_heads(AttributeHeads(fingerprint, heads.infos, heads.scaling, heads.maps), own)
    start = ["evaluate", "--data", "x", "--checkpoint", tiny, "--device", "cpu", "--heads"]
    with pytest.raises(CheckpointError, match="train or learn the attributes again"):
        call(*start, foreign)
    with pytest.raises(DataError, match="knows collar, hem, and twelve is asked for parity, half"):
        call(*start, own)
    with pytest.raises(ParameterError, match="is not HEAD=ATTRIBUTE"):
        call(*start, own, "--rename", "collar")
    with pytest.raises(ParameterError, match="no attribute 'cuff'"):
        call(*start, own, "--rename", "cuff=half")
