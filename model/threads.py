"""How the numeric libraries' threads wait: to be called before torch or faiss is imported."""

import os


def wait_politely() -> None:
    """Let idle OpenMP threads sleep instead of spin, unless the environment says otherwise.

    Spinning wins a few per cent on an idle machine and loses several times that where
    anything else runs: with other work on 2 cores, encoding took 3.5x the CPU time.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
