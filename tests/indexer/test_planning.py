"""A plan: sizes as people write them, arithmetic that can be followed, a short measurement."""

import json
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest
from typer.testing import CliRunner

from indexer.cells import count_cells, count_comparisons, count_probed
from indexer.cli.app import app
from indexer.engine import open_engine
from indexer.manifest import Dims, Manifest
from indexer.pipeline import measure_dims
from indexer.planning import measure as measuring
from indexer.planning.drawn import count_bytes, write_gallery
from indexer.planning.measure import Measured, draw_photo, find_memory
from indexer.planning.predict import predict
from indexer.planning.sizes import format_count, parse_items, parse_memory
from indexer.recall import RecallIndex
from indexer.store import Store
from indexer.tokens import to_matrix
from indexer.verify import verify
from model.encoder import Encoder
from model.errors import ParameterError
from model.runtime import openvino
from tests.indexer.test_engine import tiny

__all__ = ["tiny"]

MEASURED = Measured(
    dims=Dims(levels=1, num_tokens=2, token_dim=4, global_dim=8, recall_dim=100),
    fingerprint="f" * 64,
    device="cpu",
    runtime="half",
    cores=2,
    memory_bytes=10**10,
    free_disk_bytes=10**12,
    token_bytes=1000,
    photo_s=0.1,
    runtime_s={"half": 0.05},
    stages_s={"decode": 0.01, "encode": 0.05, "recall": 1.0, "fetch": 0.002, "align": 0.004},
    fetch_from_disk_s=0.02,
    row_bytes=5000,
    fixed_bytes=7000,
    start_s=3.0,
    write_s=0.001,
    flat_s=1e-6,
    cells_s=2e-6,
    training_s=1e-9,
    process_bytes=10**9,
    device_bytes=0,
)


@pytest.fixture
def checkpoint(tiny: Path) -> Path:
    return tiny / "index" / "checkpoint.safetensors"


# --- sizes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count"), [("12612", 12612), ("100k", 100_000), ("10M", 10**7), ("1.5m", 1_500_000)]
)
def test_items_are_read_as_people_write_them(text: str, count: int) -> None:
    assert parse_items(text) == count


@pytest.mark.parametrize("text", ["0", "10X", "-5", "", "1.5", "many", "20G"])
def test_a_number_of_items_that_is_none_is_a_sentence(text: str) -> None:
    with pytest.raises(ParameterError, match=f"--items is '{text}'; expected"):
        parse_items(text)


@pytest.mark.parametrize("text", ["0", "lots", "24Q", "5k"])
def test_a_memory_that_is_none_is_a_sentence(text: str) -> None:
    with pytest.raises(ParameterError, match="expected at least a megabyte, such as 512M or 24G"):
        parse_memory(text)


@pytest.mark.parametrize("count", [1, 999, 12_612, 100_000, 2_500_000])
def test_a_written_count_reads_back(count: int) -> None:
    assert parse_items(format_count(count).replace(",", "")) == count


# --- arithmetic -----------------------------------------------------------------------------------


def test_a_small_gallery_is_compared_item_by_item() -> None:
    plan = predict(MEASURED, 1000)
    assert plan.configuration["recall"].startswith("exact")
    assert plan.find("disk") == 1000 * (5000 + 408) + 7000
    assert plan.find("recall") == pytest.approx(0.001)
    assert plan.find("build") == pytest.approx(3.0 + 1000 * (0.1 + 2 * 0.001))
    assert plan.find("search") == pytest.approx(0.01 + 0.05 + 0.001 + 0.002 + 0.004)
    assert plan.notes == []


def test_a_large_gallery_gets_cells() -> None:
    plan = predict(MEASURED, 1_000_000)
    assert plan.configuration["recall"] == "cells (IVF): 500 of 4,000 are looked into"
    assert plan.find("recall") == pytest.approx(2e-6 * (1_000_000 / 8 + 4000))
    assert plan.find("of that, the recall index") == pytest.approx(1e-9 * 4000 * 2_920_000)


@pytest.mark.parametrize(("memory", "place"), [(3 * 10**9, "in memory"), (2 * 10**9, "on disk")])
def test_tokens_are_in_memory_where_they_fit(memory: int, place: str) -> None:
    plan = predict(MEASURED, 1_000_000, memory)
    assert plan.configuration["tokens"].startswith(place)
    assert plan.find("fetch") == (0.002 if place == "in memory" else 0.02)
    budget = int(plan.configuration["SELVEDGE_TOKEN_BUDGET_MB"])
    assert (budget >= 1000) is (place == "in memory")


def test_what_does_not_fit_is_said() -> None:
    notes = " ".join(predict(replace(MEASURED, free_disk_bytes=10**9), 10**8, 10**9).notes)
    assert "100M items need 46.2 GB of memory and there are 1 GB" in notes
    assert "are free here: choose another disk" in notes
    assert "fetching waits for the disk" in notes


def test_a_gpu_holds_network_and_recall_index() -> None:
    plan = predict(replace(MEASURED, device="cuda", device_bytes=10**9), 1000)
    assert plan.find("GPU memory") == 10**9 + 1000 * 408


@pytest.mark.parametrize("count", [500, 3000])
def test_cells_are_those_that_the_recall_index_makes(count: int) -> None:
    vectors = np.random.default_rng(0).standard_normal((count, 8), np.float32)
    rows = np.arange(count)
    index = RecallIndex.build(lambda: [(rows, vectors)], count, 8, 0, exact_limit=0)
    assert index._index.nlist == count_cells(count)
    # FAISS's own number of rounds.
    assert faiss.IndexIVFFlat(faiss.IndexFlatIP(8), 8, 4).cp.niter == 10
    assert count_comparisons(count) > count_cells(count) * count
    assert 1 <= count_probed(count_cells(count)) <= count_cells(count)


# --- measuring ------------------------------------------------------------------------------------


@pytest.fixture
def measured_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "is_installed", lambda: False)
    monkeypatch.setattr(measuring, "_FLAT_BYTES", 10**6)
    monkeypatch.setattr(measuring, "_CELLS_ITEMS", 1000)


@pytest.mark.usefixtures("measured_little")
def test_the_command_predicts_and_says_from_what(checkpoint: Path) -> None:
    arguments = ["plan", "--items", "10M", "--checkpoint", checkpoint, "--memory", "24G"]
    done = CliRunner().invoke(app, [str(word) for word in arguments])
    assert done.exit_code == 0, done.output
    assert "10M" in done.stdout
    assert "looked into" in done.stdout
    assert "One query photo through the network: eager" in done.stdout


@pytest.mark.usefixtures("measured_little")
def test_json_has_bytes_and_seconds(checkpoint: Path) -> None:
    arguments = ["plan", "--items", "1k", "--checkpoint", checkpoint, "--json", "--runtime", "half"]
    done = CliRunner().invoke(app, [str(word) for word in arguments])
    found = json.loads(done.stdout)
    assert found["items"] == 1000
    values = {each["name"]: each["value"] for each in found["predictions"]}
    assert min(values[name] for name in ("disk", "memory", "build", "search")) > 0
    assert found["configuration"]["SELVEDGE_RUNTIME"] == "half"
    assert set(found["measured"]["runtime_s"]) == {"eager", "half"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--items", "0"], "expected 1 to 10G"),
        (["--items", "10X"], "expected a whole number"),
        (["--items", "1k", "--memory", "much"], "expected at least a megabyte"),
        (["--items", "1k", "--runtime", "fast"], "is not a runtime"),
        (["--items", "1k", "--checkpoint", "none.safetensors"], "is not a file"),
    ],
)
def test_misuse_is_a_sentence(options: list[str], sentence: str) -> None:
    done = CliRunner().invoke(app, ["plan", *options])
    assert done.exit_code == 2
    assert sentence in " ".join(done.stderr.split())


def test_the_machine_has_memory() -> None:
    assert find_memory() > 10**8


# --- drawn galleries ------------------------------------------------------------------------------


def test_a_drawn_gallery_is_a_gallery(checkpoint: Path, tmp_path: Path) -> None:
    dims = measure_dims(Encoder.from_checkpoint(checkpoint, "cpu"))
    written = write_gallery(tmp_path / "drawn", 2500, checkpoint, dims, exact_limit=1000)
    assert written.seconds > 0
    assert count_bytes(tmp_path / "drawn") > 2500 * dims.recall_width * 4
    assert verify(tmp_path / "drawn").problems == []
    engine = open_engine(tmp_path / "drawn", device="cpu")
    found = engine.search(draw_photo())
    assert (len(engine.info().gallery.fingerprint), len(found.hits)) == (64, 10)
    engine.close()


def test_the_same_seed_draws_the_same_vectors(checkpoint: Path, tmp_path: Path) -> None:
    dims = measure_dims(Encoder.from_checkpoint(checkpoint, "cpu"))
    found = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_gallery(tmp_path / name, 300, checkpoint, dims, seed=seed)
        store = Store.open(Manifest.load(tmp_path / name).files(tmp_path / name).dataset)
        batches = store.scan([dims.recall_column])
        found.append(
            np.concatenate([to_matrix(b[dims.recall_column], dims.recall_width) for b in batches])
        )
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
    assert len(np.unique(found[0], axis=0)) == 300
