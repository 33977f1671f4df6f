"""What is looked at after every kill: the files while nobody serves them, then the answers."""

import subprocess
import sys
from pathlib import Path

from benchmarks.soak.client import Client, World
from benchmarks.soak.gallery import Row, read_rows
from benchmarks.soak.journal import Violation
from indexer.verify import verify
from model.errors import SelvedgeError

# Items that nobody changed, and as many that are gone, asked for after every restart; the end asks
# for all that are there.
SAMPLE = 10


class Checker(Client):
    """Compares the gallery to the journal; used by the main thread alone."""

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world, seed)
        self._rows: dict[str, Row] = read_rows(world.index)
        self.num_items = 0
        self.num_asked = 0

    def check_files(self) -> None:
        """Compare every item on the disk, and run what `indexer verify` runs."""
        world = self.world
        rows = read_rows(world.index)
        world.tally.report(world.journal.settle({name: row.value for name, row in rows.items()}))
        world.tally.report(find_encoded_anew(self._rows, rows))
        try:
            problems = verify(world.index).problems
        except SelvedgeError as error:
            problems = [str(error)]
        world.tally.report(Violation("verify", problem) for problem in problems)
        self._rows = rows
        self.num_items += len(rows)

    def check_answers(self, *, every: bool = False) -> None:
        """Search by the photo of each item that was changed, and of some that were not."""
        states = self.world.journal.items()
        self._check_count(sum(state is not None for state in states.values()))
        chosen = self.world.journal.pop_touched()
        there = sorted(name for name, state in states.items() if state and name not in chosen)
        gone = sorted(name for name, state in states.items() if not state and name not in chosen)
        for names in (there, gone):
            chosen |= set(self.rng.sample(names, min(SAMPLE, len(names))))
        if every:
            chosen |= set(there)
        for item_id in sorted(chosen):
            self.look_at(item_id, states.get(item_id))
        self.num_asked += len(chosen)

    def check_command(self) -> None:
        """Run `python -m indexer verify`."""
        command = [sys.executable, "-m", "indexer", "verify", "--index", str(self.world.index)]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        if process.returncode:
            said = process.stdout + process.stderr
            self.world.tally.report([Violation("verify", f"`indexer verify` failed: {said}")])

    def _check_count(self, expected: int) -> None:
        response = self.send("info", "GET", "/info")
        if response is None or response.status_code != 200:
            return
        items = response.json()["gallery"]["items"]
        if items != expected:
            sentence = f"the service says {items} items, the journal {expected}"
            self.world.tally.report([Violation("count", sentence)])


def find_encoded_anew(before: dict[str, Row], after: dict[str, Row]) -> list[Violation]:
    """Find items whose photo is the same, but whose vectors, tokens or thumbnail are not."""
    return [
        Violation("encoded", f"item {name} has its photo, but other vectors, tokens or thumbnail")
        for name, row in after.items()
        if name in before
        and before[name].value.photo == row.value.photo
        and before[name].encoded != row.encoded
    ]


def find_failures(log: Path) -> list[Violation]:
    """Find what the service's log says of bugs."""
    text = log.read_text(encoding="utf-8", errors="replace")
    count = text.count("Traceback (most recent call last)")
    return [Violation("traceback", f"{log.name} has {count} tracebacks")] if count else []
