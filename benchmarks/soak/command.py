"""`python -m benchmarks soak`: minutes of searches and changes, with kill -9 in between."""

import os
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from typer import Exit, Option

from benchmarks.memory import fit_slope, read_memory
from benchmarks.soak.check import Checker, find_failures
from benchmarks.soak.client import Gate, Worker, World
from benchmarks.soak.gallery import Photos, build_tiny, has_mark, read_rows
from benchmarks.soak.journal import Journal, Violation
from benchmarks.soak.load import Operator, Searcher, Writer
from benchmarks.soak.process import SETTINGS, ServiceProcess
from benchmarks.soak.tally import Tally
from benchmarks.story import write_story

OUT = Path("benchmarks/results/soak.json")
WRITERS = SEARCHERS = 2
LOOK_EVERY_S = 5.0
# A gallery that is given may itself have been drawn for a soak.
FIRST_OF_COPY = 1_000_000
# The service ends by the signal itself once it has answered everybody.
STOPPED = (0, -signal.SIGTERM)


@dataclass(frozen=True)
class Plan:
    """How long, how often, and what happens to the files of the dead service (only in tests)."""

    seconds: float
    kill_after_s: tuple[float, float] = (20.0, 40.0)
    steady_share: float = 1 / 3
    seed: int = 0
    tamper: Callable[[Path], None] = lambda index: None


def soak(
    minutes: Annotated[float, Option(help="How long, without the last check.", min=0.1)] = 30.0,
    index: Annotated[
        Path | None, Option(help="Gallery to copy; left out: a drawn one, preset `tiny`.")
    ] = None,
    seed: Annotated[int, Option(help="Of the load and of the kills.")] = 0,
    kill_every_s: Annotated[
        float,
        Option(help="Seconds between a start and the next kill, give or take a third.", min=3),
    ] = 30.0,
    out: Annotated[Path, Option(help="JSON file for the findings.")] = OUT,
) -> None:
    """Change, search and kill a real service; exit 1 if it breaks a promise.

    The first two thirds of the time it is killed again and again, then it runs on, so that its
    memory can be seen to stay. Example: `python -m benchmarks soak --minutes 30`.
    """
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        work = Path(folder)
        between = (kill_every_s * 2 / 3, kill_every_s * 4 / 3)
        story = run_soak(Plan(60 * minutes, between, seed=seed), work, index)
        write_story(out, story)
        log = out.with_suffix(".log")
        if story["violations"]:
            shutil.copyfile(work / "service.log", log)
    console = Console(file=sys.stdout)
    console.print(summarise(story))
    if story["violations"]:
        console.print(f"Broken promises: {story['violations']}; {out} and {log} have the details.")
        raise Exit(1)


def run_soak(plan: Plan, folder: Path, index: Path | None = None) -> dict[str, Any]:
    """Soak a service of a copy of `index`; returns what is written as JSON."""
    photos = Photos() if index is None else Photos(FIRST_OF_COPY)
    if index is None:
        soaked, what = build_tiny(folder, photos), "drawn photos, preset tiny, random weights"
    else:
        soaked, what = folder / "index", f"a copy of {index.name}"
        shutil.copytree(index, soaked)
    rows = read_rows(soaked)
    world = World(
        service=ServiceProcess(soaked, folder / "service.log"),
        index=soaked,
        journal=Journal({name: row.value for name, row in rows.items()}),
        photos=photos,
        tally=Tally(),
        gate=Gate(),
        target=len(rows),
        is_marked=has_mark(soaked),
    )
    run = _Run(world, plan)
    run.go()
    return {"gallery": what, **_describe_machine(), **run.describe(), **world.tally.describe()}


@dataclass
class _Run:
    """The main thread: starts, kills, looks."""

    world: World
    plan: Plan
    starts_s: list[float] = field(default_factory=list)
    kills_s: list[int] = field(default_factory=list)
    memory: list[tuple[float, float, int]] = field(default_factory=list)
    disk_mb: list[tuple[int, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.plan.seed)
        self._checker = Checker(self.world, self.plan.seed)
        self._steady_from = self.plan.seconds * (1 - self.plan.steady_share)

    def go(self) -> None:
        """All of it."""
        clients = self._make_clients()
        try:
            self._start()
            self.world.tally.begin()
            for client in clients:
                client.start()
            self.world.gate.open()
            while self._work():
                self._kill_and_check()
            self._end()
        finally:
            self.world.gate.close(over=True)
            self.world.service.kill()
            for each in [*clients, self._checker]:
                each.close()

    def describe(self) -> dict[str, Any]:
        """Everything but what the clients counted."""
        steady = [(at, mb) for at, mb, _ in self.memory if at >= self._steady_from]
        late = steady[len(steady) // 2 :]
        slope = fit_slope([(at / 60, mb) for at, mb in late])
        return {
            "seconds": round(self.plan.seconds),
            "seed": self.plan.seed,
            "settings": SETTINGS,
            "clients": {"writers": WRITERS, "searchers": SEARCHERS, "operators": 1},
            "kills": len(self.kills_s),
            "kills_at_s": self.kills_s,
            "restarts": len(self.starts_s) - 1,
            "start_s": [round(seconds, 1) for seconds in self.starts_s],
            "items_compared_on_disk": self._checker.num_items,
            "items_asked_for_after_a_start": self._checker.num_asked,
            "memory": {
                "steady_from_s": round(self._steady_from),
                "steady_first_mb": steady[0][1] if steady else None,
                "steady_last_mb": steady[-1][1] if steady else None,
                "slope_mb_per_minute": slope,
                "slope_over_s": round(late[-1][0] - late[0][0]) if late else 0,
                "samples": [(round(at), round(mb, 1), life) for at, mb, life in self.memory],
            },
            "disk_mb": self.disk_mb,
        }

    def _make_clients(self) -> list[Worker]:
        kinds: list[type[Worker]] = [Writer] * WRITERS + [Searcher] * SEARCHERS
        seeds = (1000 * self.plan.seed + number for number in range(1, 100))
        clients = [kind(self.world, next(seeds)) for kind in kinds]
        return [*clients, Operator(self.world, next(seeds))]

    def _start(self) -> None:
        self.starts_s.append(self.world.service.start())

    def _work(self) -> bool:
        """Let the clients work for a random time; False when the time is over."""
        until = self.world.tally.elapsed() + self._rng.uniform(*self.plan.kill_after_s)
        if until > self._steady_from:
            until = self.plan.seconds
        self._watch(until)
        return until < self.plan.seconds

    def _watch(self, until: float) -> None:
        tally, life = self.world.tally, len(self.starts_s)
        with self._checker.connect() as client:
            while (left := until - tally.elapsed()) > 0:
                self.memory.append((tally.elapsed(), read_memory(client), life))
                time.sleep(min(LOOK_EVERY_S, left))

    def _kill_and_check(self) -> None:
        self.world.service.kill()
        self.kills_s.append(round(self.world.tally.elapsed()))
        self.world.gate.close()
        self.plan.tamper(self.world.index)
        self._check_files()
        self._start()
        self._checker.check_answers()
        self.world.gate.open()

    def _end(self) -> None:
        """Ask for every item, stop as an operator does, and look at the files once more."""
        self.world.gate.close()
        self._checker.check_answers(every=True)
        if (status := self.world.service.stop()) not in STOPPED:
            sentence = f"the service ended with status {status} on SIGTERM"
            self.world.tally.report([Violation("stop", sentence)])
        self._check_files()
        self._checker.check_command()
        self.world.tally.report(find_failures(self.world.service.log))

    def _check_files(self) -> None:
        self._checker.check_files()
        files = (path for path in self.world.index.rglob("*") if path.is_file())
        size = sum(path.stat().st_size for path in files)
        self.disk_mb.append((round(self.world.tally.elapsed()), round(size / 1e6, 1)))


def summarise(story: dict[str, Any]) -> str:
    """A few lines for people."""
    operations = sum(sum(answers.values()) for answers in story["operations"].values())
    memory = story["memory"]
    slope = memory["slope_mb_per_minute"]
    growth = "too short to see a slope" if slope is None else f"{slope:+.2f} MB a minute at the end"
    return (
        f"{story['seconds']} s, {operations} operations, {story['kills']} kills, "
        f"{story['restarts']} restarts, {sum(story['violations'].values())} broken promises\n"
        f"{story['items_compared_on_disk']} items compared on the disk, "
        f"{story['items_asked_for_after_a_start']} asked for after a start\n"
        f"memory: {memory['steady_first_mb']} MB to {memory['steady_last_mb']} MB, {growth}"
    )


def _describe_machine() -> dict[str, Any]:
    return {"machine": {"cpus": os.cpu_count(), "system": platform.platform(terse=True)}}
