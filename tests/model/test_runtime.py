"""Runtimes: the same embeddings by other arithmetic, and the choice among them."""

import copy
import importlib
import json
import logging
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from model.backbone import Features
from model.checkpoint import Checkpoint, load_checkpoint
from model.encoder import Encoded, Encoder
from model.errors import DeviceError, ParameterError
from model.images import read_image
from model.runtime import openvino
from model.runtime.choice import (
    AGREEMENT,
    Measured,
    choose_runtime,
    collect_facts,
    draw_probes,
    find_cache_folder,
    hash_facts,
    measure_trunks,
    pick,
)
from model.runtime.names import NAMES, check_runtime
from model.runtime.opening import list_candidates, list_makers, open_trunk
from model.runtime.trunks import Compiled, Half, Trunk

needs_openvino = pytest.mark.skipif(
    not openvino.is_installed(), reason="OpenVINO (the extra `fast`) is not installed"
)
RUNTIMES = ["eager", "half", pytest.param("openvino", marks=needs_openvino)]


@pytest.fixture
def checkpoint(tiny: Path) -> Checkpoint:
    return load_checkpoint(tiny)


def encode(tiny: Path, photos: list[Path], runtime: str) -> Encoded:
    encoder = Encoder.from_checkpoint(tiny, "cpu", runtime)
    return encoder.encode([encoder.prepare(read_image(photo)) for photo in photos])


def cosines(x: Encoded, y: Encoded) -> list[float]:
    pairs = ((x.global_feature, y.global_feature), (x.recall, y.recall), (x.tokens, y.tokens))
    flat = (tuple(torch.from_numpy(part).flatten(1) for part in pair) for pair in pairs)
    return [float(torch.cosine_similarity(a, b).min()) for a, b in flat]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_runtime_agrees_with_eager(tiny: Path, photos: list[Path], runtime: str) -> None:
    found, reference = encode(tiny, photos, runtime), encode(tiny, photos, "eager")
    assert min(cosines(found, reference)) >= 0.999
    assert found.tokens.dtype == np.float32


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_ten_nearest_are_the_same(tiny: Path, photos: list[Path], runtime: str) -> None:
    found, reference = (encode(tiny, photos, name).recall for name in (runtime, "eager"))
    for query in range(len(photos)):
        order = np.argsort(-found @ found[query], kind="stable")[:10]
        scores = reference @ reference[query]
        # Only neighbours that are nearly as near may have changed places.
        np.testing.assert_allclose(scores[order], np.sort(scores)[::-1][:10], atol=1e-2)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_fingerprint_says_nothing_of_the_runtime(tiny: Path, runtime: str) -> None:
    encoder = Encoder.from_checkpoint(tiny, "cpu", runtime)
    assert encoder.fingerprint == load_checkpoint(tiny).fingerprint
    assert encoder.runtime == runtime


def test_half_leaves_the_checkpoint_as_it_is(checkpoint: Checkpoint) -> None:
    before = copy.deepcopy(checkpoint.model.state_dict())
    Half(checkpoint.model.backbone)(torch.zeros(1, 3, 64, 64))
    for name, tensor in checkpoint.model.state_dict().items():
        assert torch.equal(tensor, before[name])
        assert tensor.dtype == before[name].dtype


@needs_openvino
@pytest.mark.parametrize("threads", [1, 2])
def test_openvino_keeps_the_order_of_a_batch_in_many_threads(
    checkpoint: Checkpoint, threads: int
) -> None:
    torch.set_num_threads(threads)
    try:
        trunk = openvino.OpenVino(checkpoint.model.backbone, [64])
    finally:
        torch.set_num_threads(1)
    pixels = torch.randn(5, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    alone = [trunk(pixels[i : i + 1]).final[0] for i in range(5)]
    answers: list[Features] = []
    callers = [threading.Thread(target=lambda: answers.append(trunk(pixels))) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(answers) == 4
    for answer in answers:
        assert torch.equal(answer.final, torch.stack(alone))


def test_compiled_batches_are_filled_up_and_cut_again(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **_: None)
    trunk = Compiled(checkpoint.model.backbone, 64)
    trunk._backbone.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    found = trunk(torch.ones(3, 3, 64, 64))
    assert sizes == [4]
    assert [len(level) for level in (*found.levels, found.final)] == [3, 3, 3, 3]


def test_a_machine_that_cannot_compile_is_a_sentence(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: torch.nn.Module, **_: object) -> None:
        def call(*_: object) -> None:
            raise RuntimeError("No C++ compiler\nand more")

        self.forward = call  # type: ignore[method-assign]

    monkeypatch.setattr(torch.nn.Module, "compile", fail)
    with pytest.raises(DeviceError, match=r"\(No C\+\+ compiler\); install a C\+\+ compiler"):
        Compiled(checkpoint.model.backbone, 64)


def test_openvino_that_is_not_installed_is_a_sentence(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "is_installed", lambda: False)
    with pytest.raises(DeviceError, match="install `selvedge\\[fast\\]`, or use runtime auto"):
        Encoder.from_checkpoint(tiny, "cpu", "openvino")


@needs_openvino
def test_openvino_reports_nothing_to_anybody(tiny: Path) -> None:
    Encoder.from_checkpoint(tiny, "cpu", "openvino")
    converter = importlib.import_module("openvino.tools.ovc.convert_impl")
    assert converter.tm.__name__.endswith("telemetry_stub")


def test_an_unknown_runtime_is_a_sentence(tiny: Path) -> None:
    with pytest.raises(ParameterError, match="'onnx' is not a runtime; use auto, eager, half"):
        Encoder.from_checkpoint(tiny, "cpu", "onnx")


def test_openvino_on_a_gpu_is_a_sentence(checkpoint: Checkpoint) -> None:
    checkpoint.model.mean = checkpoint.model.mean.to("meta")
    with pytest.raises(ParameterError, match="openvino computes on the CPU, but the device is"):
        open_trunk(checkpoint.model, checkpoint.fingerprint, "openvino")


@pytest.mark.parametrize("installed", [True, False])
def test_auto_never_compiles_and_needs_no_openvino(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    monkeypatch.setattr(openvino, "is_installed", lambda: installed)
    makers = list_makers(checkpoint.model)
    assert set(makers) == set(NAMES) - {"auto"}
    on_cpu = ["eager", "half", *(["openvino"] if installed else [])]
    assert list(list_candidates(makers, torch.device("cpu"))) == on_cpu
    assert list(list_candidates(makers, torch.device("cuda"))) == ["eager", "half"]


class Counting:
    """Makes a trunk, and counts how often it ran."""

    def __init__(self, trunk: Trunk) -> None:
        self.trunk, self.calls = trunk, 0

    def __call__(self, pixels: Tensor) -> Features:
        self.calls += 1
        return self.trunk(pixels)


def test_the_choice_is_measured_once_and_remembered(
    checkpoint: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    eager = Counting(checkpoint.model.backbone)
    facts = {"fingerprint": "a"}
    with caplog.at_level(logging.INFO):
        assert (
            choose_runtime(checkpoint.model, {"eager": lambda: eager}, facts, tmp_path) == "eager"
        )
    assert "Runtime eager was chosen by a measurement" in caplog.text
    measured = eager.calls
    assert choose_runtime(checkpoint.model, {"eager": lambda: eager}, facts, tmp_path) == "eager"
    assert eager.calls == measured > 0
    choose_runtime(checkpoint.model, {"eager": lambda: eager}, {"fingerprint": "b"}, tmp_path)
    assert eager.calls == 2 * measured
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_or_outdated_choice_is_made_again(checkpoint: Checkpoint, tmp_path: Path) -> None:
    file = tmp_path / f"runtime-{hash_facts({})}.json"
    trunks = {"eager": lambda: checkpoint.model.backbone}
    for content in ("{", "[]", '{"runtime": "magic"}', '{"runtime": "openvino"}'):
        file.write_text(content)
        assert choose_runtime(checkpoint.model, trunks, {}, tmp_path) == "eager"
        assert json.loads(file.read_text())["runtime"] == "eager"


def test_a_folder_that_cannot_be_written_is_said_and_costs_only_time(
    checkpoint: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    trunks = {"eager": lambda: checkpoint.model.backbone}
    assert choose_runtime(checkpoint.model, trunks, {}, tmp_path / "file") == "eager"
    assert "is measured at every start until" in caplog.text


def test_a_fast_runtime_that_disagrees_is_never_chosen(checkpoint: Checkpoint) -> None:
    def distorted(pixels: Tensor) -> Features:
        levels, final = checkpoint.model.backbone(pixels)
        return Features(tuple(level.flip(-1) for level in levels), final.flip(1))

    found = measure_trunks(
        checkpoint.model, {"eager": lambda: checkpoint.model.backbone, "half": lambda: distorted}
    )
    assert found["eager"].cosine >= AGREEMENT > found["half"].cosine
    assert pick({**found, "half": Measured(found["half"].cosine, 0.0)}) == "eager"
    assert pick({**found, "half": Measured(AGREEMENT, 0.0)}) == "half"


def test_probes_are_pictures_and_always_the_same() -> None:
    probes = draw_probes(96, 2)
    assert probes.shape == (2, 96, 96, 3)
    assert probes.dtype == torch.uint8
    assert torch.equal(probes, draw_probes(96, 2))
    assert len(probes.unique()) > 100


def test_facts_name_what_the_choice_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = collect_facts("abc", torch.device("cpu"))
    assert facts["fingerprint"] == "abc"
    assert facts["torch"]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    assert hash_facts(collect_facts("abc", torch.device("cpu"))) != hash_facts(facts)


def test_the_cache_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert find_cache_folder() == tmp_path / "selvedge"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_cache_folder() == tmp_path / ".cache" / "selvedge"


def test_auto_comes_to_a_runtime_by_name(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    chosen = Encoder.from_checkpoint(tiny, "cpu", "auto").runtime
    assert chosen in {"eager", "half", "openvino"}
    assert Encoder.from_checkpoint(tiny, "cpu", "auto").runtime == chosen
    assert check_runtime("auto") == "auto"
