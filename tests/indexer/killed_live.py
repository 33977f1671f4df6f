"""Change a gallery and die by SIGKILL: run as a process of its own.

    python -m tests.indexer.killed_live INDEX STEPS DELAY_MS

Prints each change after it is acknowledged (`+ID` added or replaced, `-ID` removed). Step
number STEPS is interrupted DELAY_MS after it began; with maintenance in the background.
"""

import os
import signal
import sys
import threading
from itertools import count
from pathlib import Path

from tests.indexer.live import item, open_gallery


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(index: str, steps: str, delay_ms: str) -> None:
    gallery = open_gallery(Path(index), background=True, maintain_s=0.01, watch_s=0.05)
    for step in count():
        if step == int(steps):
            threading.Timer(float(delay_ms) / 1000, kill).start()
        gallery.add([item(f"n{step}", 100 + step), item(f"m{step}", 3000 + step)])
        say(f"+n{step}")
        gallery.replace([item(f"n{step}", 6000 + step)])
        if step % 3 == 2:
            gallery.remove([f"n{step - 1}"])
            say(f"-n{step - 1}")


if __name__ == "__main__":
    main(*sys.argv[1:])
