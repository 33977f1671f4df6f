"""One client of the soaked service: sends, counts, and looks whether promises are kept."""

import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from benchmarks.soak.gallery import MARK, Photos
from benchmarks.soak.journal import Journal, State, Violation
from benchmarks.soak.process import ServiceProcess
from benchmarks.soak.tally import Tally

PAUSE_S = 0.05
TIMEOUT_S = 60.0
# A search by its own photo scores 1 and strangers far less, so a few hits say enough.
K = 5
# Full queue, busy folder, starting up; and queries or versions that are not kept any more.
EXPECTED = (404, 410, 429, 503)


class Gate:
    """Lets clients work, and holds them back while the gallery is looked at."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._is_open = False
        self._inside = 0
        self.is_over = False

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Wait until it is open (or all is over), and count as inside."""
        with self._condition:
            self._condition.wait_for(lambda: self._is_open or self.is_over)
            self._inside += 1
        try:
            yield
        finally:
            with self._condition:
                self._inside -= 1
                self._condition.notify_all()

    def open(self) -> None:
        """Let them work."""
        with self._condition:
            self._is_open = True
            self._condition.notify_all()

    def close(self, *, over: bool = False) -> None:
        """Let nobody in, and wait until nobody is inside; `over` sends them home."""
        with self._condition:
            self._is_open, self.is_over = False, over
            self._condition.notify_all()
            self._condition.wait_for(lambda: not self._inside)


@dataclass(frozen=True)
class World:
    """What all clients share."""

    service: ServiceProcess
    index: Path
    journal: Journal
    photos: Photos
    tally: Tally
    gate: Gate
    target: int  # items that the writers come back to
    is_marked: bool  # the gallery has the column `mark`


class Client:
    """Asks the service, and looks whether its answers keep what was promised."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.rng = world, random.Random(seed)
        self._http = httpx.Client(timeout=TIMEOUT_S, trust_env=False, headers=world.service.headers)

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def connect(self) -> httpx.Client:
        """A connection of its own to the service that runs now."""
        return httpx.Client(
            base_url=self.world.service.url, headers=self.world.service.headers, trust_env=False
        )

    def send(self, operation: str, method: str, path: str, **body: Any) -> httpx.Response | None:
        """Send one request and count its answer; None when the connection broke.

        Raises:
            httpx.ConnectError: nothing was sent.
        """
        begun = time.monotonic()
        try:
            response = self._http.request(method, self.world.service.url + path, **body)
        except httpx.ConnectError:
            self.world.tally.count(operation, "no connection", 0.0)
            raise
        except httpx.TimeoutException:
            self.complain("hang", f"{method} {path} was not answered in {TIMEOUT_S:.0f} s")
            return None
        except httpx.TransportError:
            self.world.tally.count(operation, "broken", 0.0)
            return None
        self.world.tally.count(operation, str(response.status_code), time.monotonic() - begun)
        if response.status_code != 200 and response.status_code not in EXPECTED:
            self.complain("answer", f"{method} {path}: {response.status_code} {response.text}")
        return response

    def search(self, operation: str, since: float, **body: Any) -> dict[str, Any] | None:
        """Search; no hit may have been removed before `since`. None without an answer of 200."""
        response = self.send(operation, "POST", "/search", **body)
        if response is None or response.status_code != 200:
            return None
        answer: dict[str, Any] = response.json()
        found = [hit["item_id"] for hit in answer["hits"]]
        for ghost in self.world.journal.find_ghosts(found, since):
            self.complain("ghost", f"a search found {ghost} after its removal was acknowledged")
        return answer

    def search_photo(self, operation: str, photo: bytes) -> dict[str, Any] | None:
        """Search by a photo."""
        form = {"k": K, "candidates": 20}
        return self.search(operation, time.monotonic(), data=form, files={"image": photo})

    def look_at(self, item_id: str, state: State, old: str | None = None) -> None:
        """Search by an item's photo, and ask for the item: both must show its state."""
        digest = state.photo if state else old
        photo = self.world.photos.find(digest) if digest else None
        if photo is not None:
            answer = self.search_photo("search after change", photo)
            found = [hit["item_id"] for hit in answer["hits"]] if answer else None
            if found is not None and state and found[:1] != [item_id]:
                self.complain("not found", f"a search by the photo of {item_id} found {found}")
            if found is not None and not state and item_id in found:
                self.complain("ghost", f"a search found {item_id}, which is removed")
        response = self.send("item", "GET", to_path(item_id))
        if response is None or response.status_code not in (200, 404):
            return
        shown = read_shown(response)
        if shown != (state and (state.product, state.mark)):
            self.complain("shown", f"item {item_id} is shown as {shown}, it should be {state}")

    def complain(self, kind: str, sentence: str) -> None:
        """Report a broken promise."""
        self.world.tally.report([Violation(kind, sentence)])


class Worker(Client, ABC):
    """One thread with one kind of work: `step` is done again and again while the gate is open."""

    def __init__(self, world: World, seed: int, pause_s: float = PAUSE_S) -> None:
        super().__init__(world, seed)
        self._pause_s = pause_s
        self._thread = threading.Thread(target=self._run, name=f"client {seed}")

    @abstractmethod
    def step(self) -> None:
        """One piece of work."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Wait for the end, once the gate is over."""
        if self._thread.ident is not None:
            self._thread.join()
        super().close()

    def _run(self) -> None:
        while not self.world.gate.is_over:
            with self.world.gate.passing():
                if self.world.gate.is_over:
                    return
                try:
                    self.step()
                except httpx.ConnectError:
                    time.sleep(PAUSE_S)
                except Exception as error:
                    self.complain("driver", f"the driver failed: {error!r}")
                    raise
            time.sleep(self._pause_s)


def read_shown(response: httpx.Response) -> tuple[str, int | None] | None:
    """The product and mark that GET /items/{id} shows; None for 404."""
    if response.status_code == 404:
        return None
    item = response.json()
    return item["product_id"], item["metadata"].get(MARK)


def to_path(item_id: str) -> str:
    """The address of an item."""
    return f"/items/{quote(item_id, safe='')}"
