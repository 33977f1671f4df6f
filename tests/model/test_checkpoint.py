"""A checkpoint comes back bit for bit, or says why it cannot."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.checkpoint import FORMAT, KEY, Record, load_checkpoint, save_checkpoint
from model.config import get_preset
from model.errors import CheckpointError
from model.initialise import initialise


def test_save_then_load_is_bit_identical(tiny: Path, tmp_path: Path) -> None:
    first = load_checkpoint(tiny)
    save_checkpoint(tmp_path / "copy.safetensors", first.model, first.record)
    again = load_checkpoint(tmp_path / "copy.safetensors")
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], tensor)
    assert again.record == first.record
    assert again.fingerprint == first.fingerprint
    assert again.model.config == first.model.config


def test_saving_returns_the_fingerprint_that_loading_finds(tmp_path: Path) -> None:
    model = initialise(get_preset("tiny")).model
    saved = save_checkpoint(tmp_path / "x.safetensors", model, Record(weights="random"))
    assert load_checkpoint(tmp_path / "x.safetensors").fingerprint == saved


def test_the_fingerprint_covers_weights_and_config_and_not_the_story(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    model = initialise(get_preset("tiny")).model
    plain = save_checkpoint(path, model, Record(weights="one story"))
    assert save_checkpoint(path, model, Record(weights="another")) == plain
    model.config = model.config.model_copy(update={"alpha": 0.9})
    other_alpha = save_checkpoint(path, model, Record(weights="one story"))
    model.neck.weight.data[0] += 1e-3
    other_weight = save_checkpoint(path, model, Record(weights="one story"))
    assert len({plain, other_alpha, other_weight}) == 3


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        load_checkpoint(tmp_path / "gone.safetensors")


def test_a_truncated_file_is_refused(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "half.safetensors").write_bytes(tiny.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="truncated or of another kind"):
        load_checkpoint(tmp_path / "half.safetensors")


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        load_checkpoint(tmp_path / "model.pt")


def test_plain_weights_are_told_from_a_checkpoint(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "plain.safetensors")
    with pytest.raises(CheckpointError, match="weights are given with --init"):
        load_checkpoint(tmp_path / "plain.safetensors")


def test_a_damaged_config_is_named(tmp_path: Path) -> None:
    metadata = {KEY: json.dumps({"format": FORMAT, "config": {"preset": 3}, "record": {}})}
    save_file({"weight": torch.zeros(2)}, tmp_path / "x.safetensors", metadata)
    with pytest.raises(CheckpointError, match="damaged config"):
        load_checkpoint(tmp_path / "x.safetensors")


def test_weights_that_do_not_fit_their_config_are_named(tiny: Path, tmp_path: Path) -> None:
    from safetensors import safe_open

    with safe_open(tiny, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(tiny)
    del tensors["neck.weight"]
    save_file(tensors, tmp_path / "x.safetensors", metadata)
    with pytest.raises(CheckpointError, match=r"do not fit.*neck\.weight"):
        load_checkpoint(tmp_path / "x.safetensors")


def test_a_folder_that_cannot_be_written_keeps_the_old_file(tiny: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(tiny)
    with pytest.raises(CheckpointError, match="cannot write the checkpoint"):
        save_checkpoint(tmp_path / "no/such/x.safetensors", checkpoint.model, checkpoint.record)
    assert list(tmp_path.iterdir()) == []


def test_half_precision_is_half_the_size_and_survives_being_saved_again(tmp_path: Path) -> None:
    model = initialise(get_preset("tiny")).model
    record = Record(weights="random")
    whole, half, again = (tmp_path / f"{name}.safetensors" for name in ("whole", "half", "again"))
    save_checkpoint(whole, model, record)
    first = save_checkpoint(half, model, record, half=True)
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    loaded = load_checkpoint(half)
    assert (loaded.half, load_checkpoint(whole).half) == (True, False)
    assert loaded.fingerprint == first
    for name, tensor in loaded.model.state_dict().items():
        torch.testing.assert_close(tensor, model.state_dict()[name], rtol=1e-3, atol=1e-3)
    assert save_checkpoint(again, loaded.model, record, half=True) == first
