"""How the numeric libraries' threads wait: to be called before torch or faiss is imported."""

import os


def wait_politely() -> None:
    """Let idle OpenMP threads sleep instead of spin, unless the environment says otherwise.

    Spinning threads hold a core while other work waits for it; on a busy machine encoding
    was several times slower so (docs/experiments.md). An idle machine was not measured.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
