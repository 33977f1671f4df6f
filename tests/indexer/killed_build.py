"""Build with the fake encoder and die by SIGKILL: run as a process of its own.

    python -m tests.indexer.killed_build PHOTOS INDEX EVENT DELAY_MS

From the first use of the network on (before that, photos are only listed), Python
events are counted in the thread that encodes and commits: calls and returns, also
of C functions. At event number EVENT the process is killed DELAY_MS later, so
that it may also die inside of Lance. It prints the count when it lives.
"""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from indexer.build import build_gallery
from tests.indexer.conftest import small
from tests.indexer.fakes import FakeEncoder


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(photos: str, index: str, event: str, delay_ms: str) -> None:
    seen = 0

    def count(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == int(event):
            if float(delay_ms):
                threading.Timer(float(delay_ms) / 1000, kill).start()
            else:
                kill()

    class CountingEncoder(FakeEncoder):
        def encode(self, prepared: Any) -> Any:
            sys.setprofile(count)
            return super().encode(prepared)

    build_gallery(Path(photos), Path(index), CountingEncoder(), options=small(chunk_size=32))
    sys.setprofile(None)
    sys.stdout.write(str(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
