"""What an operator may set, from the environment or the command line.

Operational only: sizes of features and tokens come from the gallery's manifest,
tuning of one query comes with the query. `docs/settings.md` is printed from this class.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from indexer.results import MAX_K
from model.images import MAX_PIXELS

PREFIX = "SELVEDGE_"


class Settings(BaseSettings):
    """Settings of one service process; frozen, validated once."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    index_dir: Path = Field(
        description="Folder of the gallery, as written by `python -m indexer build`."
    )
    host: str = Field(
        default="127.0.0.1",
        description="Address to listen on; `0.0.0.0` lets other machines in.",
    )
    port: int = Field(
        default=8000, ge=0, le=65535, description="Port to listen on; 0 lets the system choose one."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where the network runs; `auto` takes a GPU if there is one."
    )
    checkpoint: Path | None = Field(
        default=None,
        description="Checkpoint file; left out, the one stored beside the gallery is used.",
    )
    token_budget_mb: int = Field(
        default=2048,
        ge=0,
        description="Memory for the gallery's tokens. Above it they are read from disk for every "
        "search: slower, but the process stays small.",
    )
    max_upload_mb: int = Field(
        default=20,
        ge=1,
        description="Largest request body. Raising it lets one client hold more memory and disk.",
    )
    max_pixels: int = Field(
        default=MAX_PIXELS,
        ge=1,
        description="Most pixels of an uploaded photo, checked before decoding. One pixel costs "
        "3 bytes or more while a search runs.",
    )
    default_k: int = Field(
        default=10, ge=1, le=MAX_K, description="Hits in an answer when the query does not say."
    )
    max_searches: int = Field(
        default=4,
        ge=1,
        le=32,
        description="Searches running at the same time. More than the machine can compute at once "
        "makes each of them slower.",
    )
    max_waiting: int = Field(
        default=16,
        ge=0,
        le=1000,
        description="Searches waiting for a free place; the next one is answered 429 at once.",
    )
    shutdown_timeout_s: int = Field(
        default=30, ge=0, description="Seconds that running requests get to finish on shutdown."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least important messages that are logged."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="`json` writes one object a line, for log collectors."
    )

    @property
    def max_upload_bytes(self) -> int:
        """Largest request body in bytes (1 MB = 1024 x 1024 bytes)."""
        return self.max_upload_mb * 1024 * 1024


def describe_setting(name: str) -> str:
    """Return the help text of one setting, with its environment variable.

    >>> describe_setting("default_k")
    'Hits in an answer when the query does not say. [env: SELVEDGE_DEFAULT_K; default: 10]'
    """
    field = Settings.model_fields[name]
    default = "" if field.is_required() else f"; default: {_show_default(name)}"
    return f"{field.description} [env: {PREFIX}{name.upper()}{default}]"


def render_settings_docs() -> str:
    """Return `docs/settings.md`, one table row a setting."""
    rows = [
        f"| `{PREFIX}{name.upper()}` | {_show_default(name)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join([_INTRO, *rows, ""])


def _show_default(name: str) -> str:
    field = Settings.model_fields[name]
    if field.is_required():
        return "required"
    return "none" if field.default is None else str(field.default)


_INTRO = """# Settings of the service

Printed by `python -m service settings-docs`; a test fails when this page and
`service/settings.py` disagree. An option on the command line wins over the
environment. 1 MB is 1024 x 1024 bytes.

| environment variable | default | what it does |
|---|---|---|"""
