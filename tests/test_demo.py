"""`make demo` as a newcomer meets it: start it, wait until it is ready, paste the printed curl."""

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NUM_PRODUCTS = 6


@contextmanager
def running_demo(folder: Path, *, until: str) -> Iterator[list[str]]:
    """Start scripts/demo on a free port; yield what it printed up to a line with `until` in it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"VENV": sys.prefix, "DEMO_DIR": str(folder), "PORT": str(port)}
    settings |= {"PRODUCTS": str(NUM_PRODUCTS), "SELVEDGE_PRESET": "tiny", "OMP_NUM_THREADS": "1"}
    demo = subprocess.Popen(
        [ROOT / "scripts" / "demo"],
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert demo.stdout is not None
    with demo:
        lines = []
        try:
            for line in demo.stdout:
                lines.append(line)
                if until in line:
                    break
            assert until in lines[-1], "".join(lines)
            yield lines
        finally:
            demo.terminate()
            demo.communicate()


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl on this machine")
def test_the_printed_curl_works_as_printed_and_a_second_start_draws_and_indexes_nothing(tmp_path):
    with running_demo(tmp_path / "demo", until="Ready.") as printed:
        (curl,) = [line for line in printed if line.startswith("  curl")]
        answer = subprocess.run(
            [*shlex.split(curl), "--silent", "--fail"], capture_output=True, cwd=tmp_path
        )
        hits = json.loads(answer.stdout)["hits"]
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    assert hits == sorted(hits, key=lambda hit: -hit["scores"]["fused"])
    photo = tmp_path / "demo" / "gallery" / hits[0]["uri"]
    drawn_at = photo.stat().st_mtime_ns

    with running_demo(tmp_path / "demo", until="is up to date: 12 items, nothing added"):
        pass
    assert photo.stat().st_mtime_ns == drawn_at
