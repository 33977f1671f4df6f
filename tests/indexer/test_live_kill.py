"""What was acknowledged outlives SIGKILL, and what was removed does not come back."""

import subprocess
import sys
from pathlib import Path

import pytest

from indexer.gallery import EmbeddedGallery
from indexer.verify import verify
from tests.indexer.live import build_afresh, item, open_gallery, read_dataset, read_state


@pytest.mark.parametrize(("steps", "delay_ms"), [(0, 1), (1, 9), (3, 0), (4, 25), (7, 14), (9, 60)])
def test_acknowledged_changes_outlive_a_kill(tmp_path: Path, steps: int, delay_ms: int) -> None:
    index = tmp_path / "one" / "index"
    build_afresh(tmp_path / "one", {f"{number}.png": number for number in range(8)})
    command = [sys.executable, "-m", "tests.indexer.killed_live", str(index)]
    process = subprocess.run(
        [*command, str(steps), str(delay_ms)], capture_output=True, text=True, timeout=120
    )
    assert process.returncode == -9, process.stderr
    said = process.stdout.split()
    removed = {line[1:] for line in said if line.startswith("-")}
    added = {line[1:] for line in said if line.startswith("+")} - removed
    found = set(read_dataset(index))
    # The step that was killed may have removed an item without saying so.
    assert added - {f"n{steps - 1}"} <= found
    assert not removed & found
    with EmbeddedGallery.open(index) as opened, open_gallery(index) as gallery:
        assert read_state(gallery.current()) == read_state(opened)
        gallery.add([item("after", 9)])
        assert set(read_dataset(index)) == found | {"after"}
    assert not [problem for problem in verify(index).problems if "photo of" not in problem]
