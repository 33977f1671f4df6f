"""Who computes in bfloat16."""

import pytest
import torch

from model.devices import in_bfloat16


@pytest.mark.parametrize("has_matrix_units", [True, False])
def test_auto_is_bfloat16_on_gpus_and_on_cpus_with_matrix_units(
    monkeypatch: pytest.MonkeyPatch, has_matrix_units: bool
) -> None:
    capabilities = {"amx_bf16": has_matrix_units}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert in_bfloat16("auto", "cpu") == has_matrix_units
    assert in_bfloat16("auto", "cuda")


def test_a_torch_that_cannot_say_counts_as_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not in_bfloat16("auto", "cpu")


def test_on_and_off_ask_nobody() -> None:
    assert in_bfloat16("on", "cpu")
    assert not in_bfloat16("off", "cuda")
