"""What is shipped around the code: pins, image, compose file, scripts."""

import re
import runpy
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = sorted((ROOT / "constraints").glob("*.txt"))
LOCK = runpy.run_path(str(ROOT / "scripts" / "lock.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()


def read_pins(name: str) -> dict[str, str]:
    return LOCK["parse"]((ROOT / "constraints" / f"{name}.txt").read_text())


def list_tracked() -> list[Path]:
    try:
        answer = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: there is no list of tracked files")
    return [ROOT / name for name in answer.stdout.decode().split("\0") if name]


# --- pins ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", CONSTRAINTS, ids=lambda f: f.stem)
def test_a_list_of_pins_names_no_host_and_no_path(file):
    assert not re.search(r"://|^-|--index|--find-links|/", file.read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", ["base", "torch", "cpu", "fast", "gpu", "dev"])
def test_every_pin_has_a_version_and_hashes(name):
    pins = read_pins(name)
    assert pins
    for lines in pins.values():
        assert re.match(r"[a-z0-9-]+==[^ ]+ ", lines)
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\n", lines)


@pytest.mark.parametrize(
    ("requirements", "lists"),
    [
        (PROJECT["dependencies"], ["base", "torch"]),
        (PROJECT["optional-dependencies"]["cpu"], ["cpu"]),
        (PROJECT["optional-dependencies"]["fast"], ["fast"]),
        (PROJECT["optional-dependencies"]["gpu"], ["gpu"]),
        (PROJECT["optional-dependencies"]["dev"], ["base", "dev"]),
        (PROJECT["optional-dependencies"]["milvus"], ["milvus"]),
        (PROJECT["optional-dependencies"]["lite"], ["lite"]),
    ],
    ids=["project", "cpu", "fast", "gpu", "dev", "milvus", "lite"],
)
def test_every_dependency_is_pinned_to_a_version_it_allows(requirements, lists):
    pins = {key: lines for name in lists for key, lines in read_pins(name).items()}
    for requirement in map(Requirement, requirements):
        version = pins[canonicalize_name(requirement.name)].split()[0].split("==")[1]
        assert requirement.specifier.contains(version), f"{requirement}, but {version} is pinned"


def test_the_cpu_build_of_torch_is_the_same_release_as_the_ordinary_one():
    ordinary = read_pins("torch")
    for name, line in read_pins("torch-cpu").items():
        assert ordinary[name].split()[0] == line.strip()


def test_no_package_is_pinned_twice():
    """One list a package: two lists that pip reads together could contradict each other."""
    names = [
        key
        for name in ("base", "torch", "cpu", "fast", "gpu", "dev", "lite")
        for key in read_pins(name)
    ]
    assert len(names) == len(set(names))


# --- image and compose file ---------------------------------------------------------------------


def list_copied() -> list[str]:
    copies = [line.split()[1:-1] for line in DOCKERFILE if line.startswith("COPY ")]
    return [source for copy in copies if not copy[0].startswith("--from") for source in copy]


def test_the_dockerfile_copies_only_what_exists():
    assert list_copied()
    assert [source for source in list_copied() if not (ROOT / source).exists()] == []


def test_the_build_context_holds_what_the_dockerfile_copies():
    let_in = (ROOT / ".dockerignore").read_text().splitlines()
    assert {f"!{source}" for source in list_copied()} <= set(let_in)
    assert "*" in let_in


def test_the_image_ships_every_package_of_the_project():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packages = {name.rstrip("*") for name in setuptools["packages"]["find"]["include"]}
    assert packages <= set(list_copied())


def test_the_image_does_not_run_as_root():
    last = [line for line in DOCKERFILE if line.startswith("USER ")][-1]
    assert last.split()[1].split(":")[0] not in {"0", "root"}


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_container_can_write_only_to_its_volume(name):
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    writable = [mount for mount in service["volumes"] if not mount.endswith(":ro")]
    volume = {"prometheus": "metrics:/prometheus", "grafana": "dashboards:/var/lib/grafana"}
    assert writable == [volume.get(name, "gallery:/gallery")]


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_no_container_runs_as_root(name):
    """The service's own image says so itself."""
    service = COMPOSE["services"][name]
    assert "build" in service or service["user"].split(":")[0] not in {"0", "root"}


@pytest.mark.parametrize("name", ["search", "search-gpu"])
def test_a_composed_service_is_healthy_once_it_can_search(name):
    assert "/readyz" in COMPOSE["services"][name]["healthcheck"]["test"][-1]


def test_what_is_mounted_from_the_checkout_exists():
    mounts = [mount for service in COMPOSE["services"].values() for mount in service["volumes"]]
    local = [mount.split(":")[0] for mount in mounts if mount.startswith("./deploy")]
    assert len(local) == 3
    assert [path for path in local if not (ROOT / path).exists()] == []


def test_prometheus_asks_a_name_that_every_search_service_has():
    scrape = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    (target,) = scrape["scrape_configs"][0]["static_configs"][0]["targets"]
    name, port = target.split(":")
    for service in (COMPOSE["services"]["search"], COMPOSE["services"]["search-gpu"]):
        assert service["networks"]["default"]["aliases"] == [name]
        assert service["ports"][0].endswith(f":{port}")


@pytest.mark.parametrize(
    "command",
    [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules_test.yml"],
    ],
    ids=" ".join,
)
def test_prometheus_itself_accepts_its_files_and_the_alerts_fire(command):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: package prometheus)")
    done = subprocess.run(
        [promtool, *command], cwd=ROOT / "deploy/prometheus", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_this_machine_reaches_a_composed_service():
    ports = [port for s in COMPOSE["services"].values() for port in s.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


# --- the checkout -------------------------------------------------------------------------------


def test_no_tracked_file_names_a_path_of_one_machine():
    folders = "|".join(["work", "root", "home", "Users", "farm"])
    pattern = re.compile(rf"(^|[^\w.~$}}/-])/({folders})/\w".encode(), re.MULTILINE)
    texts = {file: file.read_bytes() for file in list_tracked() if file.is_file()}
    assert [
        str(file.relative_to(ROOT))
        for file, text in texts.items()
        if b"\0" not in text[:1024] and pattern.search(text)
    ] == []


@pytest.mark.parametrize("name", ["scripts/install", "scripts/demo", ".ci/run"])
def test_a_script_is_executable_and_parses(name):
    script = ROOT / name
    assert script.stat().st_mode & 0o111
    assert subprocess.run(["bash", "-n", script]).returncode == 0
