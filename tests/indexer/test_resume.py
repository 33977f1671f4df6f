"""A build that is killed at any moment resumes to the same content."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from indexer.build import build_gallery
from indexer.failures import read_failures
from tests.indexer.conftest import read_content, small
from tests.indexer.fakes import FakeEncoder, draw_photos

NUM_PHOTOS = 500
BUILDS, KILLS = 4, 5


def start(photos: Path, index: Path, event: int, delay_ms: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.indexer.killed_build"]
    arguments = [str(photos), str(index), str(event), str(delay_ms)]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command + arguments, cwd=root, env=environment, stdout=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def many_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """500 photos, some of them broken, at the start, the end, and a whole chunk in the middle."""
    folder = draw_photos(tmp_path_factory.mktemp("resume") / "photos", NUM_PHOTOS)
    paths = sorted(folder.rglob("*.jpg"))
    for number in (0, 5, 130, 499, *range(224, 256)):
        paths[number].write_bytes(b"broken")
    return folder


@pytest.fixture(scope="module")
def uninterrupted(many_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    index = tmp_path_factory.mktemp("whole") / "index"
    build_gallery(many_photos, index, FakeEncoder(), options=small(chunk_size=32))
    return index


@pytest.fixture(scope="module")
def num_events(many_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> int:
    process = start(many_photos, tmp_path_factory.mktemp("count") / "index", 0, 0)
    output, _ = process.communicate(timeout=300)
    return int(output)


def test_builds_killed_at_twenty_moments_end_with_the_same_content(
    many_photos, uninterrupted, num_events, tmp_path
):
    """Four builds side by side, each killed again and again until it has had five kills."""
    chance, stages = random.Random(0), set()
    kills = dict.fromkeys((tmp_path / f"index{number}" for number in range(BUILDS)), 0)
    while unfinished := [index for index in kills if kills[index] < KILLS]:
        moments = [
            (chance.randrange(1, num_events * 6 // 10), chance.choice([0, 0, 2]))
            for _ in unfinished
        ]
        pairs = zip(unfinished, moments, strict=True)
        running = [(index, start(many_photos, index, *moment)) for index, moment in pairs]
        for index, process in running:
            process.communicate(timeout=300)
            stages.add(describe_stage(index))
            if process.returncode == -signal.SIGKILL:
                kills[index] += 1
            else:  # it was finished before its moment came: check, and begin another
                assert process.returncode == 0
                require_same(index, uninterrupted)
                shutil.rmtree(index)
    for index in kills:
        build_gallery(many_photos, index, FakeEncoder(), options=small(chunk_size=32))
        require_same(index, uninterrupted)
    assert len(stages) > 5, f"the kills did not reach different stages: {stages}"


def require_same(index: Path, expected: Path) -> None:
    """Compare all rows, the report of failures, and which files there are."""
    assert read_content(index) == read_content(expected)
    reports = [list(read_failures(folder / "failures.csv")) for folder in (index, expected)]
    assert reports[0] == reports[1]
    names = [sorted(path.name for path in folder.iterdir()) for folder in (index, expected)]
    assert names[0] == names[1]


def describe_stage(index: Path) -> str:
    """Name what a kill left: which files, and how many commits."""
    names = ("photos.arrow", "building.json", "manifest.json", "recall.faiss")
    commits = len(list((index / "gallery.lance" / "_versions").glob("*.manifest")))
    return f"{[name for name in names if (index / name).exists()]} {commits} commits"


class Killed(BaseException):
    """Stands for the end of the process."""


class DyingPath:
    """Makes the n-th rename or deletion of a file the moment of death."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, moment: int) -> None:
        self.left = moment
        for name in ("replace", "unlink"):
            monkeypatch.setattr(Path, name, self._wrap(getattr(Path, name)))

    def _wrap(self, operation):
        def die_or_do(path, *arguments, **options):
            self.left -= 1
            if self.left < 0:
                raise Killed
            return operation(path, *arguments, **options)

        return die_or_do


@pytest.mark.parametrize("overwrite", [False, True])
def test_dying_before_any_change_of_a_file_is_harmless(photos, index, overwrite, monkeypatch):
    """From the first file to the last; a replaced index stays whole until the new one is."""
    expected, died, moment = read_content(index), True, 0
    while died:
        target = index.with_name(f"index{moment}")
        if overwrite:
            shutil.copytree(index, target)
        with monkeypatch.context() as patch:
            DyingPath(patch, moment)
            died = build_or_die(photos, target, overwrite)
        if overwrite:
            assert read_content(target) == expected
        build_gallery(photos, target, FakeEncoder(), options=small(overwrite=overwrite))
        assert read_content(target) == expected
        assert not (target / "building.json").exists()
        moment += 1
    assert moment > 10


def build_or_die(photos: Path, index: Path, overwrite: bool) -> bool:
    try:
        build_gallery(photos, index, FakeEncoder(), options=small(overwrite=overwrite))
    except Killed:
        return True
    return False
