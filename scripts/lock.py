"""Resolve every dependency once, for all platforms, and write it to constraints/ with hashes.

Run by `make lock` in an environment that has uv. Pins that still fit are kept; `--upgrade`
takes the newest releases instead. The result names no host, so that any mirror of the ordinary
index can serve it: the hashes say what is right, not the address.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints"
OLDEST_PYTHON = "3.11"
# setuptools builds the project itself (`pip install --no-build-isolation`).
BUILD_REQUIREMENTS = "setuptools>=77\n"
# What the CPU build of PyTorch has no use for; everything else is the same on every machine.
TORCH_FAMILY = re.compile(r"^(torch|torchvision|triton|cuda-.*|nvidia-.*)$")
NAME = re.compile(r"^[a-z0-9][a-z0-9._-]*", re.IGNORECASE)

HEADERS = {
    "base": "What every machine needs, without PyTorch and FAISS.",
    "torch": "PyTorch as the ordinary index has it: with CUDA on Linux, without it on macOS.",
    "torch-cpu": (
        "The same releases by version only, for PyTorch's own CPU index: its files have\n"
        "# other hashes than those of the ordinary index."
    ),
    "cpu": "Extra `cpu`: the module `faiss` without CUDA.",
    "fast": "Extra `fast`: a faster encoder, for machines without a GPU.",
    "gpu": "Extra `gpu`: the module `faiss` with CUDA. Never beside extra `cpu`.",
    "milvus": "Extra `milvus`: a gallery on a Milvus server; `dev` has it too.",
    "lite": "Extra `lite`: a Milvus server for tests; beside `cpu` and `dev`.",
    "dev": "Extra `dev`: what the tests and `make check` need.",
}

# Each extra with those it is installed beside: a package is in one list of them.
EXTRAS: dict[str, list[str]] = {
    "cpu": [],
    "fast": [],
    "gpu": [],
    "milvus": [],
    "dev": [],
    "lite": ["cpu", "dev"],
}

Pins = dict[str, str]  # package name -> its lines: version, marker, hashes


def main() -> None:
    """Write all files."""
    is_upgrade = "--upgrade" in sys.argv[1:]
    everything = resolve(list(EXTRAS), {} if is_upgrade else read_pins())
    runtime = resolve([], everything)
    base = {name: lines for name, lines in runtime.items() if not TORCH_FAMILY.match(name)}
    torch = {name: lines for name, lines in runtime.items() if TORCH_FAMILY.match(name)}
    write("base", base)
    write("torch", torch)
    write("torch-cpu", {name: without_hashes(torch[name]) for name in ("torch", "torchvision")})
    for extra, beside in EXTRAS.items():
        there = resolve(beside, everything)
        added = resolve([*beside, extra], everything)
        write(extra, {name: lines for name, lines in added.items() if name not in there})


def resolve(extras: list[str], preferred: Pins) -> Pins:
    """Return the pins of the project with these extras; `preferred` versions win where they fit."""
    with tempfile.TemporaryDirectory() as folder:
        build, output = Path(folder, "build.in"), Path(folder, "out.txt")
        build.write_text(BUILD_REQUIREMENTS)
        output.write_text("".join(preferred.values()))  # uv keeps the versions it finds here
        command = ["uv", "pip", "compile", "pyproject.toml", str(build), "-o", str(output)]
        command += ["--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes"]
        command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-config", "--quiet"]
        command += [f"--extra={extra}" for extra in extras]
        subprocess.run(command, cwd=ROOT, check=True)
        return parse(output.read_text())


def read_pins() -> Pins:
    """Return what constraints/ pins today; empty on the first run."""
    files = [CONSTRAINTS / f"{name}.txt" for name in HEADERS if name not in ("torch-cpu", "milvus")]
    return parse("".join(file.read_text() for file in files if file.exists()))


def parse(text: str) -> Pins:
    """Split a requirements text into one block of lines a package.

    A package may have several pins, each for other versions of Python.

    >>> parse("# head\\na==1 \\\\\\n    --hash=sha256:00\\nb==2\\n")
    {'a': 'a==1 \\\\\\n    --hash=sha256:00\\n', 'b': 'b==2\\n'}
    >>> parse("a==1 ; python_version < '3.12'\\na==2\\n")["a"].count("a==")
    2
    """
    pins: Pins = {}
    name = ""
    for line in text.splitlines(keepends=True):
        if start := NAME.match(line):
            name = start.group()
            pins.setdefault(name, "")
        if name and not line.startswith("#"):
            pins[name] += line
    return pins


def without_hashes(lines: str) -> str:
    """Return the version alone."""
    return lines.split()[0] + "\n"


def write(name: str, pins: Pins) -> None:
    """Write one file of constraints/, packages in alphabetical order."""
    header = f"# {HEADERS[name]}\n# Written by `make lock`; do not edit.\n"
    CONSTRAINTS.mkdir(exist_ok=True)
    (CONSTRAINTS / f"{name}.txt").write_text(header + "".join(pins[key] for key in sorted(pins)))


if __name__ == "__main__":
    main()
