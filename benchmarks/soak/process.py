"""The service as a process of its own: started, watched, killed."""

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from model.errors import GalleryError

READY_S = 600.0
STOP_S = 120.0
_ADDRESS = re.compile(r"listens on (http://\S+)")
# Small bounds, so that what is kept for queries stops growing within minutes.
SETTINGS = {
    "SELVEDGE_DEVICE": "cpu",
    "SELVEDGE_LOG_LEVEL": "warning",
    "SELVEDGE_MAX_QUERIES": "200",
    "SELVEDGE_QUERY_TTL_S": "60",
}


class ServiceProcess:
    """One `python -m service` at a time, on a port that the system chooses."""

    def __init__(self, index: Path, log: Path) -> None:
        """`log` gets what every start of it says, one after the other."""
        self.log = log
        self.url = ""
        key = secrets.token_hex(16)
        self.headers = {"X-API-Key": key}
        kept = {name: value for name, value in os.environ.items() if "SELVEDGE_" not in name}
        self._environment = {**kept, **SETTINGS, "SELVEDGE_WRITE_KEYS": key}
        self._command = [sys.executable, "-m", "service", "--index", str(index), "--port", "0"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it and wait until a search would succeed; returns the seconds that took.

        Raises:
            GalleryError: it ended, or was not ready within `READY_S`.
        """
        begun, offset = time.monotonic(), self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._environment
            )
        while time.monotonic() < begun + READY_S:
            if self._process.poll() is not None:
                break
            said = self.log.read_bytes()[offset:].decode(errors="replace")
            if (found := _ADDRESS.search(said)) and _is_ready(found[1]):
                self.url = found[1]
                return time.monotonic() - begun
            time.sleep(0.1)
        self.kill()
        raise GalleryError(f"the service did not become ready; {self.log} has what it said")

    def kill(self) -> None:
        """SIGKILL, and wait until it is dead."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> int:
        """SIGTERM, as an operator does; returns the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(STOP_S)
        self._process = None
        return status


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=10, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
