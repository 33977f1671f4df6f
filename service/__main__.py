"""`python -m service --index DIR`: serve one gallery over HTTP."""

import errno
import shlex
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
import uvicorn
from pydantic import ValidationError

from indexer.results import Hit
from model.threads import wait_politely
from service.app import create_app
from service.engine import EngineSlot
from service.logs import configure_logging
from service.openapi import render_openapi
from service.settings import PREFIX, Settings, describe_setting, render_settings_docs

# How long a search may go on in Python while the event loop waits; the interpreter's own 5 ms are
# all that /healthz may take.
SWITCH_S = 0.001

cli = typer.Typer(add_completion=False, rich_markup_mode=None)


def _option(setting: str, *names: str) -> Any:
    return typer.Option(*names, help=describe_setting(setting), show_default=False)


@cli.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    index: Annotated[Path | None, _option("index_dir", "--index")] = None,
    host: Annotated[str | None, _option("host")] = None,
    port: Annotated[int | None, _option("port")] = None,
    device: Annotated[str | None, _option("device")] = None,
    runtime: Annotated[str | None, _option("runtime")] = None,
    checkpoint: Annotated[Path | None, _option("checkpoint")] = None,
    token_budget_mb: Annotated[int | None, _option("token_budget_mb")] = None,
    max_upload_mb: Annotated[int | None, _option("max_upload_mb")] = None,
    log_level: Annotated[str | None, _option("log_level")] = None,
    log_format: Annotated[str | None, _option("log_format")] = None,
) -> None:
    """Serve the gallery in DIR: the page at /, the API at /search, its list at /docs.

    Example: python -m service --index out/demo --port 8000

    Every setting has an environment variable (docs/settings.md); an option wins over it.
    """
    if context.invoked_subcommand:
        return
    options = {
        "index_dir": index,
        "host": host,
        "port": port,
        "device": device,
        "runtime": runtime,
        "checkpoint": checkpoint,
        "token_budget_mb": token_budget_mb,
        "max_upload_mb": max_upload_mb,
        "log_level": log_level,
        "log_format": log_format,
    }
    settings = _read_settings({key: value for key, value in options.items() if value is not None})
    configure_logging(settings.log_level, settings.log_format)
    raise typer.Exit(run_service(settings))


@cli.command("settings-docs")
def settings_docs() -> None:
    """Print docs/settings.md."""
    typer.echo(render_settings_docs(), nl=False)


@cli.command("openapi")
def openapi() -> None:
    """Print docs/openapi.json."""
    typer.echo(render_openapi(), nl=False)


def run_service(settings: Settings) -> int:
    """Serve until interrupted; return the exit status."""
    try:
        listener = _listen(settings.host, settings.port)
    except OSError as error:
        typer.echo(_explain_bind_error(settings, error), err=True)
        return 1
    url = _format_url(settings.host, listener.getsockname()[1])
    app = create_app(settings)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=settings.keep_alive_s,
            limit_concurrency=settings.max_connections,
            timeout_graceful_shutdown=settings.shutdown_timeout_s,
        )
    )
    slot: EngineSlot = app.state.slot

    def announce() -> None:
        if slot.failure:
            server.should_exit = True
        else:
            typer.echo(_greet(url, slot.first_hit))

    slot.when_settled(announce)
    sys.setswitchinterval(SWITCH_S)
    typer.echo(f"Selvedge listens on {url} and loads the gallery in {settings.index_dir} ...")
    # uvicorn raises the interrupt again once it has shut down: that is the ordinary way to stop.
    with listener, suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    return 1 if slot.failure else 0


def _read_settings(options: dict[str, Any]) -> Settings:
    """Join options and environment; misuse is one sentence and exit status 2."""
    try:
        return Settings(**options)
    except ValidationError as error:
        finding = error.errors()[0]
        name = str(finding["loc"][0])
        if finding["type"] == "missing":
            message = f"no gallery given; pass --index DIR or set {PREFIX}{name.upper()}"
        else:
            found = "is not usable" if "key" in name else f"is {finding['input']!r}"
            message = f"{name} ({PREFIX}{name.upper()}) {found}: {finding['msg']}"
        typer.echo(f"{message}.", err=True)
        raise typer.Exit(2) from error


def _listen(host: str, port: int) -> socket.socket:
    """Bind first, so that a taken port is found before anything is loaded."""
    family, _, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.create_server(address[:2], family=family, backlog=2048)
    # asyncio sets it only where the socket names its protocol. Without it the body of an answer
    # waits 40 ms for the client to acknowledge the head (Nagle meets delayed ACK).
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _explain_bind_error(settings: Settings, error: OSError) -> str:
    where = f"cannot listen on {settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{where}: the port is taken; stop the other program or choose another --port "
            "(0 finds a free one)."
        )
    return f"{where}: {error.strerror or error}; check --host and --port."


def _format_url(host: str, port: int) -> str:
    """Return an address that a browser on this machine can open.

    >>> _format_url("0.0.0.0", 80), _format_url("::1", 8000)
    ('http://127.0.0.1:80', 'http://[::1]:8000')
    """
    name = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _greet(url: str, hit: Hit | None) -> str:
    if hit is None:
        return f"Ready, but the gallery is empty. Page: {url}"
    return f"Ready. Open {url} or try:\n  {_make_curl(url, hit)}"


def _make_curl(url: str, hit: Hit) -> str:
    """Return a command that works as printed: with a photo of the gallery, or its thumbnail."""
    path = hit.item.uri.removeprefix("file://")
    # These characters have a meaning in curl's -F.
    if Path(path).is_file() and not set(path) & set(';,"\\'):
        return f"curl -F {shlex.quote(f'image=@{path}')} -F k=3 {url}/search"
    thumbnail = f"{url}/items/{quote(hit.item.item_id, safe='')}/thumbnail"
    return f"curl -s {thumbnail} | curl -s -F image=@- -F k=3 {url}/search"


if __name__ == "__main__":
    wait_politely()
    cli(prog_name="python -m service")
