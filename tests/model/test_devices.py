"""Who computes in bfloat16, and who waits for a GPU."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from model.devices import in_bfloat16, one_at_a_time


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


class Network:
    """Notes how many threads are inside at the same time."""

    def __init__(self, device: str, wait_for: int) -> None:
        self.device = device
        self.inside = self.most = 0
        self._lock = threading.Lock()
        self._met = threading.Barrier(wait_for)

    @one_at_a_time
    def encode(self, photo: int) -> int:
        return self._compute(photo)

    @one_at_a_time
    def align(self, photo: int) -> int:
        return self._compute(photo)

    def _compute(self, photo: int) -> int:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self._met.wait(10)
        with self._lock:
            self.inside -= 1
        return 2 * photo


@pytest.mark.parametrize(("device", "together"), [("cuda:0", 1), ("cpu", 4)])
def test_one_thread_at_a_time_computes_on_a_gpu_and_many_on_a_cpu(
    device: str, together: int
) -> None:
    network = Network(device, wait_for=together)
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(work, i) for i in (1, 2) for work in (network.encode, network.align)]
        assert [call.result() for call in calls] == [2, 2, 4, 4]
    assert network.most == together


def test_a_failure_gives_the_gpu_to_the_next_thread() -> None:
    network = Network("cuda:0", wait_for=1)
    with pytest.raises(TypeError):
        network.encode("photo", "too many")  # type: ignore[call-arg]
    assert network.encode(3) == 6
