"""A real headless Chromium, driven over WebDriver's HTTP API: no Python package needed."""

import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

# The key under which WebDriver hands out elements.
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
FIND_TIMEOUT_MS = 10_000

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_missing_program() -> str | None:
    """Name the program without which there is no browser here."""
    for names in (("chromium", "google-chrome", "chrome"), ("chromedriver",)):
        if not any(shutil.which(name) for name in names):
            return names[0]
    return None


needs_browser = pytest.mark.skipif(
    find_missing_program() is not None,
    reason=f"{find_missing_program()} is not installed (Debian: chromium, chromium-driver)",
)


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Run a real server in a thread; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def watch_sources(browser: "Browser") -> None:
    """Remember which query each search of the loaded page is sent with."""
    browser.run(
        "window.sources = []; const real = window.fetch;"
        "window.fetch = (address, options) => {"
        "  const form = options?.body;"
        "  const names = ['image', 'query_id', 'item_id'];"
        "  if (form) sources.push(names.filter((name) => form.has(name)).join());"
        "  return real(address, options); };"
    )


class Browser:
    """One window. Elements are found by CSS selector, waiting up to ten seconds."""

    def __init__(self, session_url: str) -> None:
        self._url = session_url

    def open(self, url: str) -> None:
        """Load a page and wait for its load event; complaints of the last one are forgotten."""
        self.severe_logs()
        self._post("url", url=url)

    def find(self, selector: str) -> str:
        """Wait for an element; return the address of its commands."""
        found = self._post("element", using="css selector", value=selector)
        return f"element/{found[ELEMENT]}"

    def count(self, selector: str) -> int:
        """Count the elements that are there now."""
        return int(self.run(f"return document.querySelectorAll({json.dumps(selector)}).length"))

    def text(self, selector: str) -> str:
        """Return an element's visible text."""
        return str(_call("GET", f"{self._url}/{self.find(selector)}/text"))

    def click(self, selector: str) -> None:
        """Click an element."""
        self._post(f"{self.find(selector)}/click")

    def type(self, selector: str, text: str) -> None:
        """Type into an element; a file's path into a file input chooses it."""
        self._post(f"{self.find(selector)}/value", text=text)

    def run(self, script: str) -> Any:
        """Run JavaScript and return what it returns."""
        return self._post("execute/sync", script=script, args=[])

    def choose(self, selector: str, value: str) -> None:
        """Choose an option of a <select> by its value."""
        self.find(selector)
        self.run(
            f"const select = document.querySelector({json.dumps(selector)});"
            f"select.value = {json.dumps(value)};"
            "select.dispatchEvent(new Event('input', {bubbles: true}))"
        )

    def wait(self, script: str) -> Any:
        """Run JavaScript, up to ten seconds long, until it returns something true; return that."""
        until = time.monotonic() + FIND_TIMEOUT_MS / 1000
        while not (answer := self.run(script)):
            assert time.monotonic() < until, f"never true: {script}"
            time.sleep(0.05)
        return answer

    def press(self, *keys: str) -> None:
        """Press keys together where the focus is, as `("\\ue008", "\\ue014")`: shift and right."""
        down = [{"type": "keyDown", "value": key} for key in keys]
        up = [{"type": "keyUp", "value": key} for key in reversed(keys)]
        self._post("actions", actions=[{"type": "key", "id": "keys", "actions": down + up}])

    def drag(
        self,
        selector: str,
        start: tuple[float, float],
        end: tuple[float, float],
        pointer: str = "mouse",
    ) -> None:
        """Drag between two places of an element, given as fractions of its width and height."""
        rect = self.run(
            f"const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            "return [box.left, box.top, box.width, box.height]"
        )
        places = [
            {
                "type": "pointerMove",
                "duration": 0,
                "x": round(rect[0] + x * rect[2]),
                "y": round(rect[1] + y * rect[3]),
            }
            for x, y in (start, end)
        ]
        down, up = ({"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp"))
        steps = [places[0], down, places[1], up]
        source = {"type": "pointer", "id": pointer, "actions": steps}
        self._post("actions", actions=[{**source, "parameters": {"pointerType": pointer}}])

    def hover(self, selector: str) -> None:
        """Rest the mouse on an element's middle."""
        found = {ELEMENT: self.find(selector).removeprefix("element/")}
        move = {"type": "pointerMove", "duration": 0, "origin": found, "x": 0, "y": 0}
        self._post("actions", actions=[{"type": "pointer", "id": "mouse", "actions": [move]}])

    def park(self) -> None:
        """Put the mouse into the corner: where the last test left it, it may rest on a hit."""
        move = {"type": "pointerMove", "duration": 0, "x": 0, "y": 0}
        self._post("actions", actions=[{"type": "pointer", "id": "mouse", "actions": [move]}])

    def prefer(self, scheme: str) -> None:
        """Ask pages for their `light` or their `dark` look."""
        wanted = [{"name": "prefers-color-scheme", "value": scheme}]
        self._post(
            "goog/cdp/execute", cmd="Emulation.setEmulatedMedia", params={"features": wanted}
        )

    def name_controls(self, selector: str) -> list[str]:
        """List what a screen reader calls the elements."""
        found = self._post("elements", using="css selector", value=selector)
        paths = [f"{self._url}/element/{element[ELEMENT]}/computedlabel" for element in found]
        return [str(_call("GET", path)) for path in paths]

    def resize(self, width: int, height: int) -> None:
        """Show the page as a screen of this size would; real windows are at least 500 px wide."""
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._post("goog/cdp/execute", cmd="Emulation.setDeviceMetricsOverride", params=screen)

    def severe_logs(self) -> list[str]:
        """List what the page's console complained about, and forget it."""
        entries = self._post("se/log", type="browser")
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def _post(self, command: str, **body: Any) -> Any:
        return _call("POST", f"{self._url}/{command}", body)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start chromedriver and a window; end both."""
    driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
    try:
        url = f"http://127.0.0.1:{_read_port(driver)}/session"
        session = f"{url}/{_call('POST', url, _describe_session())['sessionId']}"
        try:
            yield Browser(session)
        finally:
            _call("DELETE", session)
    finally:
        driver.terminate()
        driver.communicate()


def _read_port(driver: "subprocess.Popen[str]") -> int:
    assert driver.stdout
    for line in driver.stdout:
        if "started successfully on port" in line:
            return int(line.rsplit(" ", 1)[1].strip().rstrip("."))
    raise AssertionError("chromedriver ended without naming its port")


def _describe_session() -> dict[str, Any]:
    options = {"args": FLAGS}
    wanted = {
        "goog:chromeOptions": options,
        "goog:loggingPrefs": {"browser": "ALL"},
        "timeouts": {"implicit": FIND_TIMEOUT_MS},
    }
    return {"capabilities": {"alwaysMatch": wanted}}


def _call(method: str, url: str, body: dict[str, Any] | None = None) -> Any:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)["value"]
