"""The processes of a run: service, load generator, trivial endpoint; their CPU time and memory."""

import json
import os
import re
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

import httpx

from benchmarks.serving.generator import Stream, Told
from model.errors import DataError, ParameterError

HOST = "127.0.0.1"
READY_S = 180.0
END_S = 40.0
SAMPLE_S = 0.1


class Load(NamedTuple):
    """What a load brought: a `Told` a stream, CPU seconds of the generator and of the service."""

    told: list[Told]
    generator_cpu_s: float
    service_cpu_s: float


class Service:
    """A running `python -m service`, with a write key."""

    def __init__(self, process: "subprocess.Popen[str]", port: int, key: str) -> None:
        self.port, self.pid = port, process.pid
        self.client = httpx.Client(
            base_url=f"http://{HOST}:{port}",
            headers={"X-API-Key": key},
            timeout=60,
            trust_env=False,
        )

    def stream(self, photos: Sequence[Path] = (), **changes: object) -> Stream:
        """A stream of requests to this service: searches, or GET without photos."""
        return Stream(HOST, self.port, [str(photo) for photo in photos], **changes)  # type: ignore[arg-type]


class Generator:
    """The load generator's process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, *streams: Stream, service: Service) -> Load:
        """Run a load; blocks until it has ended."""
        before = read_cpu_s(service.pid)
        sender, answers = self._process.stdin, self._process.stdout
        assert sender is not None
        assert answers is not None
        sender.write(json.dumps([asdict(stream) for stream in streams]) + "\n")
        sender.flush()
        line = answers.readline()
        if not line:
            raise DataError("the load generator ended; its message is above")
        found = json.loads(line)
        told = [Told(**each) for each in found["told"]]
        return Load(told, found["cpu_s"], read_cpu_s(service.pid) - before)


class MemoryWatch:
    """Samples the resident memory of a process while a block runs."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.megabytes: list[float] = []

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            self.megabytes.append(read_resident_mb(self._pid))
            if self._ended.wait(SAMPLE_S):
                return


@contextmanager
def start_service(index: Path, log: Path, settings: Mapping[str, str]) -> Iterator[Service]:
    """Start a service on a free port and wait until it can search; it ends with the block.

    Raises:
        DataError: it does not start; the log says why.
    """
    key = secrets.token_urlsafe(24)
    environment = {**os.environ, **settings, "SELVEDGE_WRITE_KEYS": key}
    command = [sys.executable, "-u", "-m", "service", "--index", str(index), "--port", "0"]
    with log.open("w") as errors, _running(command, environment, errors) as process:
        port = _read_port(process, log)
        service = Service(process, port, key)
        # Nobody else reads what it prints: a full pipe would stop it.
        threading.Thread(target=_drop, args=(process.stdout,), daemon=True).start()
        with service.client:
            _wait_until_ready(service, process, log)
            yield service


@contextmanager
def start_generator() -> Iterator[Generator]:
    """Start the load generator; it ends with the block."""
    with _running([sys.executable, "-m", "benchmarks.serving.generator"]) as process:
        yield Generator(process)


@contextmanager
def start_trivial() -> Iterator[Stream]:
    """Start the endpoint that does nothing; yields a stream to it, without an end."""
    with _running([sys.executable, "-m", "benchmarks.serving.trivial"]) as process:
        assert process.stdout is not None
        yield Stream(HOST, int(process.stdout.readline()))


def read_cpu_s(pid: int) -> float:
    """CPU seconds of a process, all threads, kernel time included.

    Raises:
        ParameterError: the system has no /proc, or the process is gone.
    """
    # The name, in parentheses, may hold anything.
    fields = _read_proc(pid, "stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_resident_mb(pid: int) -> float:
    """Resident memory of a process in MB (10^6 bytes); raises as `read_cpu_s` does."""
    pages = int(_read_proc(pid, "statm").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _read_proc(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError as error:
        raise ParameterError(
            f"/proc/{pid}/{name} cannot be read ({error.strerror}); this benchmark needs Linux, "
            "and a service that runs to its end"
        ) from error


@contextmanager
def _running(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    errors: IO[str] | None = None,
) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env=environment,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _read_port(process: "subprocess.Popen[str]", log: Path) -> int:
    assert process.stdout is not None
    found = re.search(r"http://[^ ]+:(\d+)", process.stdout.readline())
    if found is None:
        raise DataError(f"the service did not start; {log} says why: {log.read_text()[-300:]}")
    return int(found[1])


def _drop(stream: IO[str] | None) -> None:
    assert stream is not None
    try:
        for _ in stream:
            pass
    except ValueError:
        return  # Closed at the end.


def _wait_until_ready(service: Service, process: "subprocess.Popen[str]", log: Path) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until and process.poll() is None:
        if service.client.get("/readyz").status_code == 200:
            return
        time.sleep(0.1)
    raise DataError(f"the service cannot search; {log} says why: {log.read_text()[-300:]}")
