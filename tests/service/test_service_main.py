"""`python -m service`: starts, says where, and fails in one sentence."""

import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import uvicorn
from typer.testing import CliRunner, Result

from indexer.live_types import LiveOptions
from indexer.results import Hit, Item, Scores
from model.errors import GalleryNotFoundError
from service.__main__ import _listen, _make_curl, cli
from tests.service.fake_engine import STRANGE_ID, FakeEngine

Run = Callable[..., Result]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stand in for `indexer.live_engine`, which loads torch; lists how it was called.

    A server that got its engine is asked to stop, so that the command returns.
    """
    calls: list[dict[str, Any]] = []
    servers: list[uvicorn.Server] = []

    def open_live(index_dir: Path, **options: Any) -> FakeEngine:
        calls.append({"index_dir": index_dir, **options})
        if not index_dir.exists():
            raise GalleryNotFoundError(f"{index_dir} is not an index; build one first")
        threading.Timer(0.0, stop).start()
        return FakeEngine()

    def stop() -> None:
        servers[0].should_exit = True

    module = ModuleType("indexer.live_engine")
    module.open_live = open_live  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "indexer.live_engine", module)
    original = uvicorn.Server.__init__

    def remember(self: uvicorn.Server, config: uvicorn.Config) -> None:
        original(self, config)
        servers.append(self)

    monkeypatch.setattr(uvicorn.Server, "__init__", remember)
    # Logging is the process's own affair; here it belongs to pytest.
    monkeypatch.setattr("service.__main__.configure_logging", lambda level, style: None)
    return calls


@pytest.fixture
def run() -> Run:
    """Run the command line in this process."""
    return lambda *arguments: CliRunner().invoke(cli, [*map(str, arguments), "--port", "0"])


def test_it_opens_the_gallery_with_the_settings_and_ends_with_0(
    run: Run, opened: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELVEDGE_ATTRIBUTE_BUDGET_MB", "5")
    result = run("--index", tmp_path, "--runtime", "half", "--token-budget-mb", 7)
    assert result.exit_code == 0, result.output
    assert opened == [
        {
            "index_dir": tmp_path,
            "device": "auto",
            "runtime": "half",
            "checkpoint": None,
            "options": LiveOptions(token_budget_mb=7, attribute_budget_mb=5),
        }
    ]


def test_it_prints_the_address(run: Run, opened: list[Any], tmp_path: Path) -> None:
    assert "http://127.0.0.1:" in run("--index", tmp_path).stdout


def test_a_missing_index_is_a_sentence_and_exit_1(
    run: Run, opened: list[Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = run("--index", tmp_path / "nope")
    assert result.exit_code == 1
    assert "nope is not an index; build one first" in caplog.text
    assert "Traceback" not in caplog.text + result.output


def test_a_taken_port_is_a_sentence_and_exit_1(opened: list[Any], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        result = CliRunner().invoke(cli, ["--index", str(tmp_path), "--port", port])
    assert result.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in result.stderr
    assert "the port is taken" in result.stderr
    assert result.stderr.count("\n") == 1
    assert opened == []


def test_an_unknown_host_is_a_sentence_and_exit_1(
    run: Run, opened: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any, **options: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", fail)
    result = run("--index", tmp_path, "--host", "nowhere.invalid")
    assert result.exit_code == 1
    assert "Name or service not known" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "no gallery given; pass --index DIR or set SELVEDGE_INDEX_DIR"),
        (["--index", "x", "--device", "tpu"], "device (SELVEDGE_DEVICE) is 'tpu'"),
        (["--index", "x", "--max-upload-mb", "0"], "max_upload_mb (SELVEDGE_MAX_UPLOAD_MB) is 0"),
        (["--index", "x", "--frobnicate"], "No such option"),
    ],
)
def test_misuse_is_exit_2(run: Run, arguments: list[str], expected: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert expected in result.stderr


def test_every_option_names_its_environment_twin() -> None:
    text = " ".join(CliRunner().invoke(cli, ["--help"]).stdout.split())
    assert text.count("[env: SELVEDGE_") == 10
    assert "Example: python -m service --index out/demo" in text


def make_hit(item_id: str, uri: str) -> Hit:
    return Hit(1, Item(item_id, "p", uri), Scores(1.0, 1.0, 1.0))


def test_the_printed_curl_sends_a_photo_of_the_gallery(tmp_path: Path) -> None:
    photo = tmp_path / "my photo's.jpg"
    photo.touch()
    words = shlex.split(_make_curl("http://h", make_hit("a", str(photo))))
    assert words == ["curl", "-F", f"image=@{photo}", "-F", "k=3", "http://h/search"]


@pytest.mark.parametrize("uri", ["gone.jpg", "s3://bucket/a.jpg"])
def test_the_printed_curl_falls_back_to_a_thumbnail(uri: str) -> None:
    words = shlex.split(_make_curl("http://h", make_hit(STRANGE_ID, uri)))
    assert words[2].startswith("http://h/items/winter%202026%2F")
    assert words[3:] == ["|", "curl", "-s", "-F", "image=@-", "-F", "k=3", "http://h/search"]


def test_the_service_imports_without_torch_timm_or_faiss() -> None:
    code = (
        "import sys; sys.modules.update(torch=None, timm=None, faiss=None, lance=None);"
        "import service.app, service.__main__"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_limits_of_connections_reach_the_server(
    run: Run, opened: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    original = uvicorn.Config.__init__

    def remember(self: uvicorn.Config, app: Any, **options: Any) -> None:
        seen.update(options)
        original(self, app, **options)

    monkeypatch.setattr(uvicorn.Config, "__init__", remember)
    monkeypatch.setenv("SELVEDGE_MAX_CONNECTIONS", "7")
    monkeypatch.setenv("SELVEDGE_KEEP_ALIVE_S", "3")
    monkeypatch.setenv("SELVEDGE_SHUTDOWN_TIMEOUT_S", "9")
    assert run("--index", tmp_path).exit_code == 0
    assert seen["limit_concurrency"] == 7
    assert seen["timeout_keep_alive"] == 3
    assert seen["timeout_graceful_shutdown"] == 9
    assert seen["server_header"] is False


def test_answers_do_not_wait_for_the_client_to_acknowledge_their_head() -> None:
    """Head and body go out one after the other: with Nagle's algorithm the second waits 40 ms."""
    with _listen("127.0.0.1", 0) as listener:
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
