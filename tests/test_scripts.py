"""`scripts/install` and `scripts/demo`, with a Python that only writes down how it is called."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Answers as `python`, `python -m venv` and `python -m pip` would; $CALLS is the record.
# $REACHABLE: the CPU index answers. $BROKEN: a pip call with this word in it fails.
STAND_IN = """#!/usr/bin/env bash
echo "$*" >>"$CALLS"
case $1,$2 in
  -,http*) [ "$REACHABLE" = yes ] ;;
  -,*) exit 1 ;;
  -m,venv) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  -m,pip) [ -z "$BROKEN" ] || [[ $* != *$BROKEN* ]] ;;
esac
"""


class Machine:
    """A machine on which nothing is really installed."""

    def __init__(self, folder: Path) -> None:
        self.venv = folder / "venv"
        self.calls = folder / "calls"
        self.python = folder / "python3"
        self.python.write_text(STAND_IN)
        self.python.chmod(0o755)

    def install(self, *options: str, **environment: str) -> tuple[int, str, str]:
        """Run scripts/install: exit status, what it said, and what it called."""
        self.calls.write_text("")
        settings = {"PYTHON": str(self.python), "CALLS": str(self.calls), "SELVEDGE_VARIANT": "cpu"}
        answer = run_script("install", "--venv", str(self.venv), *options, **settings | environment)
        return answer.returncode, answer.stderr, self.calls.read_text()


def run_script(name: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if "SELVEDGE" not in key}
    return subprocess.run(
        [ROOT / "scripts" / name, *options],
        env={**inherited, "REACHABLE": "", "BROKEN": "", **environment},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_a_second_install_calls_nothing(machine):
    assert machine.install()[0] == 0
    assert machine.install() == (0, "", "")


def test_the_tests_tools_are_added_to_an_environment_without_them(machine):
    machine.install()
    status, _, calls = machine.install("--dev")
    assert status == 0
    assert "constraints/dev.txt" in calls
    assert "-m venv" not in calls
    assert machine.install() == (0, "", "")


def test_an_install_that_broke_off_is_started_over(machine):
    assert machine.install(BROKEN="torch.txt")[0] != 0
    status, said, calls = machine.install()
    assert status == 0
    assert "starting over" in said
    assert "-m venv" in calls


def test_a_running_install_is_not_disturbed(machine):
    machine.install(BROKEN="torch.txt")
    (machine.venv / ".selvedge-unfinished").write_text(f"{os.getpid()}\n")
    status, said, calls = machine.install()
    assert (status, calls) == (1, "")
    assert f"process {os.getpid()} is installing" in said


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the ordinary build is the CPU one")
def test_a_cpu_machine_takes_pytorch_from_the_cpu_index(machine):
    _, _, calls = machine.install(REACHABLE="yes", SELVEDGE_TORCH_INDEX="http://mirror/cpu")
    assert "--index-url http://mirror/cpu -r constraints/torch-cpu.txt" in calls
    assert "constraints/torch.txt" not in calls


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the ordinary build is the CPU one")
@pytest.mark.parametrize(
    "how", [{"REACHABLE": ""}, {"REACHABLE": "yes", "BROKEN": "torch-cpu.txt"}]
)
def test_without_the_cpu_index_the_ordinary_pytorch_is_taken_and_its_size_is_said(machine, how):
    status, said, calls = machine.install(**how)
    assert status == 0
    assert "3 GB to download" in said
    assert "--require-hashes -r constraints/torch.txt" in calls


@pytest.mark.parametrize(("variant", "faiss"), [("cpu", "cpu.txt"), ("cuda", "gpu.txt")])
def test_exactly_one_faiss_is_installed(machine, variant, faiss):
    _, _, calls = machine.install(SELVEDGE_VARIANT=variant)
    both = [name for name in ("/cpu.txt", "/gpu.txt") if name in calls]
    assert both == [f"/{faiss}"]


@pytest.mark.parametrize(("variant", "installed"), [("cpu", True), ("cuda", False)])
def test_openvino_comes_to_machines_without_a_gpu(machine, variant, installed):
    _, _, calls = machine.install(SELVEDGE_VARIANT=variant)
    assert ("constraints/fast.txt" in calls) == installed


def test_an_environment_for_another_kind_of_machine_is_made_anew(machine):
    machine.install(SELVEDGE_VARIANT="cpu")
    _, said, calls = machine.install(SELVEDGE_VARIANT="cuda")
    assert "another kind of machine" in said
    assert "-m venv" in calls


def test_everything_but_the_cpu_build_is_installed_by_hash(machine):
    _, _, calls = machine.install("--dev", SELVEDGE_VARIANT="cuda")
    installs = [line for line in calls.splitlines() if " -r " in line]
    assert installs
    assert all("--require-hashes" in line and "--no-deps" in line for line in installs)


@pytest.mark.parametrize(
    ("options", "environment", "sentence"),
    [
        ([], {"PYTHON": "python-that-is-not-there"}, "no Python 3.11 or newer found"),
        ([], {"SELVEDGE_VARIANT": "tpu"}, "SELVEDGE_VARIANT is 'tpu'; it may be auto, cpu or cuda"),
        (["--fast"], {}, "unknown option --fast"),
    ],
)
def test_misuse_of_the_installer_is_answered_with_a_sentence(
    machine, options, environment, sentence
):
    status, said, _ = machine.install(*options, **environment)
    assert status == 1
    assert sentence in said
    assert not machine.venv.exists()


def test_the_demo_refuses_a_taken_port_before_it_draws(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        answer = run_script("demo", VENV=sys.prefix, PORT=port, DEMO_DIR=str(tmp_path / "demo"))
    assert answer.returncode == 1
    assert f"cannot serve on 127.0.0.1:{port}" in answer.stderr
    assert "make demo PORT=" in answer.stderr
    assert not (tmp_path / "demo").exists()
