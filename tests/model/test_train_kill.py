"""Training that dies by SIGKILL, again and again, ends with the weights of one that lived.

As a process of its own (`python -m tests.model.test_train_kill PHOTOS OUT STEP DELAY_MS`)
it trains, or goes on training, and dies DELAY_MS after its step number STEP; a delay may
reach into the saving that follows an epoch's last step.
"""

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file

from model import train as training
from model.checkpoint import load_checkpoint
from model.data import load_dataset
from model.recipes import get_recipe
from model.train import CHECKPOINT, train
from model.trainstate import STATE

RECIPE = get_recipe("quick").changed(batch_items=4, batch_photos=2, epochs=4, ema=0.9)
STEPS, KILLS = 5, 3  # steps an epoch: 9 items of 4 photos make 18 groups of 2, 4 a batch


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten folders of four photos: a coloured shape at another place each time."""
    root = tmp_path_factory.mktemp("kill") / "photos"
    rng = np.random.default_rng(0)
    for item in range(10):
        (root / f"item{item}").mkdir(parents=True)
        colour = tuple(rng.integers(0, 200, 3).tolist())
        for shot in range(4):
            image = Image.new("RGB", (64, 64), "white")
            left, top = rng.integers(4, 24, 2).tolist()
            ImageDraw.Draw(image).ellipse((left, top, left + 20 + 2 * item, top + 30), fill=colour)
            image.save(root / f"item{item}" / f"{shot}.png")
    return root


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed."""
    steps: set[int] = set()
    out = tmp_path_factory.mktemp("whole")
    train(RECIPE, load_dataset(f"folder:{photos}"), out, watch=lambda _e, _s, n, _l: steps.add(n))
    assert steps == {STEPS}
    return out


def run_until(photos: Path, out: Path, step: int, delay_ms: float) -> int:
    """Train in another process until it ends or dies; returns its exit status."""
    command = [sys.executable, "-m", "tests.model.test_train_kill"]
    arguments = [str(photos), str(out), str(step), str(delay_ms)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command + arguments, cwd=root, env=environment, capture_output=True, timeout=120
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode


def require_same(out: Path, expected: Path) -> None:
    """Compare checkpoints (weights and config), what a next epoch would need, and the logs."""
    found, wanted = (load_checkpoint(each / CHECKPOINT) for each in (out, expected))
    weights, others = found.model.state_dict(), wanted.model.state_dict()
    assert [name for name in others if not torch.equal(weights[name], others[name])] == []
    assert found.model.config == wanted.model.config
    assert (found.fingerprint, found.record) == (wanted.fingerprint, wanted.record)
    state, other = load_file(out / STATE), load_file(expected / STATE)
    assert state.keys() == other.keys()
    assert [name for name in other if not torch.equal(state[name], other[name])] == []
    assert (out / "log.csv").read_text() == (expected / "log.csv").read_text()


def test_a_run_killed_at_random_moments_ends_with_the_same_weights(
    photos: Path, whole: Path, tmp_path: Path
) -> None:
    chance, kills = random.Random(5), 0
    for _ in range(KILLS):
        # About an epoch further each time; the last step of one is followed by saving.
        step, delay_ms = chance.randint(STEPS - 1, STEPS + 1), chance.uniform(0, 40)
        kills += run_until(photos, tmp_path, step, delay_ms) != 0
    assert kills == KILLS, "the run ended before it could be killed"
    resume = (tmp_path / STATE).exists()
    train(RECIPE, load_dataset(f"folder:{photos}"), tmp_path, resume=resume)
    require_same(tmp_path, whole)


@pytest.mark.parametrize("epoch", [1, RECIPE.epochs])
@pytest.mark.parametrize("step", ["write_log", "save_state", "save_checkpoint"])
def test_a_stop_at_any_point_of_saving_loses_nothing(
    photos: Path,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    epoch: int,
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    def arm(now: int, step_now: int, steps: int, loss: float) -> None:
        if (now + 1, step_now + 1) == (epoch, steps):
            monkeypatch.setattr(training, step, die)

    data = load_dataset(f"folder:{photos}")
    with pytest.raises(Killed):
        train(RECIPE, data, tmp_path, watch=arm)
    monkeypatch.undo()
    train(RECIPE, data, tmp_path, resume=(tmp_path / STATE).exists())
    require_same(tmp_path, whole)


def main(photos: str, out: str, step: str, delay_ms: str) -> None:
    seen = 0

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def watch(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == int(step):
            threading.Timer(float(delay_ms) / 1000, die).start()

    torch.set_num_threads(1)
    resume = (Path(out) / STATE).exists()
    train(RECIPE, load_dataset(f"folder:{photos}"), Path(out), resume=resume, watch=watch)


if __name__ == "__main__":
    main(*sys.argv[1:])
