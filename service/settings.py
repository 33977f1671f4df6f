"""What an operator may set, from the environment or the command line.

Operational only: sizes of features and tokens come from the gallery's manifest,
tuning of one query comes with the query. `docs/settings.md` is printed from this class.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from indexer.results import MAX_K
from model.images import MAX_PIXELS
from model.runtime.names import RuntimeName

PREFIX = "SELVEDGE_"
# Guessing a key of 16 characters over HTTP is hopeless.
MIN_KEY_LENGTH = 16


class Settings(BaseSettings):
    """Settings of one service process; frozen, validated once."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    index_dir: Path = Field(
        description="Folder of the gallery, as written by `python -m indexer build`, or its "
        "address on a Milvus server, `milvus://HOST:PORT/COLLECTION`; user and password are then "
        "read from `SELVEDGE_MILVUS_TOKEN`."
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
    runtime: RuntimeName = Field(
        default="auto",
        description="How the backbone is computed: eager, half, openvino or compile; `auto` takes "
        "the fastest that agrees with eager, found by a short measurement at the first start.",
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
    attribute_budget_mb: int = Field(
        default=256,
        ge=0,
        description="Memory for what attributes see of the items: 8 bytes and two a number of its "
        "width (at most 64), for each item and attribute, computed in the background after a "
        "start. Attributes beyond it are computed when a search asks: slower, each time another "
        "one does.",
    )
    max_upload_mb: int = Field(
        default=20,
        ge=1,
        description="Largest request body. Raising it lets one client hold more memory and disk.",
    )
    max_items_upload_mb: int = Field(
        default=100,
        ge=1,
        description="Largest request body when items are added or replaced.",
    )
    items_root: Path | None = Field(
        default=None,
        description="Folder on the server under which photos may be named by path when items are "
        "added; none: photos are uploaded.",
    )
    watch_s: float = Field(
        default=2.0,
        gt=0,
        le=3600,
        description="How often the gallery's folder is looked at for changes by others: a new "
        "build, or `python -m indexer add`.",
    )
    query_ttl_s: int = Field(
        default=600,
        ge=1,
        le=86_400,
        description="Seconds after its last use that a `query_id` can be searched with again, and "
        "that a `cursor` stays on its version of the gallery.",
    )
    keep_versions: int = Field(
        default=64,
        ge=1,
        le=10_000,
        description="Versions of the gallery that a `cursor` can stay on, the newest included: "
        "it is gone after that many changes. Each costs some kilobytes, and keeps the files that "
        "it reads on the disk.",
    )
    max_queries: int = Field(
        default=1000, ge=1, description="Most queries kept for a search by `query_id`."
    )
    query_memory_mb: int = Field(
        default=256,
        ge=0,
        description="Memory for the photos and encodings of those queries; the longest unused "
        "ones make room.",
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
    upload_timeout_s: float = Field(
        default=30.0,
        gt=0,
        description="Seconds in which a request's body must arrive; then 408. Slow senders hold "
        "connections.",
    )
    max_searches: int | None = Field(
        default=None,
        ge=1,
        le=32,
        description="Searches computed at the same time. Left out: the cores, at most 4, on a "
        "CPU; 20 on a GPU, so that a batch is gathered while others are ranked.",
    )
    max_batch: int | None = Field(
        default=None,
        ge=1,
        le=256,
        description="Most photos that go through the network together. Left out: 16 on a GPU, 1 "
        "on a CPU, where batches do not pay.",
    )
    batch_wait_ms: float | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="How long a photo waits for others to share its batch. Left out: 2 on a GPU, "
        "0 on a CPU.",
    )
    max_waiting: int = Field(
        default=16,
        ge=0,
        le=1000,
        description="Searches waiting for a free place; the next one is answered 429 at once.",
    )
    deadline_ms: int = Field(
        default=0,
        ge=0,
        description="After this time a search answers in the order of stage one, with `reranked: "
        "false`; 0 re-ranks however long it takes. The field `deadline_ms` lowers it for one "
        "request.",
    )
    keep_alive_s: int = Field(
        default=5, ge=1, description="Seconds that an idle connection stays open."
    )
    max_connections: int = Field(
        default=1000,
        ge=1,
        description="Connections and running requests at the same time; the next is answered 503.",
    )
    shutdown_timeout_s: int = Field(
        default=30, ge=0, description="Seconds that running requests get to finish on shutdown."
    )
    read_keys: SecretStr = Field(
        default=SecretStr(""),
        description="Secrets that may search, separated by commas, 16 characters or more each; "
        "none: everybody may.",
    )
    read_keys_file: Path | None = Field(
        default=None,
        description="File with further read keys, one a line or separated by commas (a docker "
        "secret).",
    )
    write_keys: SecretStr = Field(
        default=SecretStr(""),
        description="Secrets that may change the gallery, and search; none: nobody may change it "
        "over HTTP.",
    )
    write_keys_file: Path | None = Field(
        default=None, description="File with further write keys, as `SELVEDGE_READ_KEYS_FILE`."
    )
    metrics_key: bool = Field(
        default=False,
        description="`true`: /metrics asks for a read key too, where there are read keys.",
    )
    cors_origins: str = Field(
        default="",
        description="Origins whose pages may call the API from a browser, separated by commas, as "
        "in `https://shop.example`; `*` for all.",
    )
    allowed_hosts: str = Field(
        default="",
        description="Host names under which the service answers, separated by commas, `*.` in "
        "front for subdomains; none: all.",
    )
    fetch_hosts: str = Field(
        default="",
        description="Hosts from which photos may be fetched by https address, separated by commas; "
        "none: no address is fetched.",
    )
    fetch_timeout_s: float = Field(
        default=10.0, gt=0, le=120, description="Seconds in which a fetched photo must arrive."
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

    @property
    def max_items_upload_bytes(self) -> int:
        """Largest request body of a write in bytes."""
        return self.max_items_upload_mb * 1024 * 1024

    @field_validator("read_keys", "write_keys")
    @classmethod
    def _check_keys(cls, keys: SecretStr) -> SecretStr:
        _require_strong(split_list(keys.get_secret_value()))
        return keys

    @field_validator("read_keys_file", "write_keys_file")
    @classmethod
    def _check_key_file(cls, file: Path | None) -> Path | None:
        if file is not None:
            _require_strong(_read_key_file(file))
        return file

    def list_read_keys(self) -> list[str]:
        """Return the secrets that may read, from the setting and from its file."""
        return _join_keys(self.read_keys, self.read_keys_file)

    def list_write_keys(self) -> list[str]:
        """Return the secrets that may write, from the setting and from its file."""
        return _join_keys(self.write_keys, self.write_keys_file)

    def without_keys(self) -> "Settings":
        """Return the same settings without secrets, for whatever stays in memory."""
        nothing = {"read_keys": SecretStr(""), "write_keys": SecretStr("")}
        return self.model_copy(update=nothing)


def split_list(text: str) -> list[str]:
    """Split at commas and line ends; nothing is left of blanks.

    >>> split_list("https://a.example, https://b.example,")
    ['https://a.example', 'https://b.example']
    """
    return [part for line in text.splitlines() for part in map(str.strip, line.split(",")) if part]


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
    return "none" if field.default is None else str(field.default) or "none"


def _join_keys(keys: SecretStr, file: Path | None) -> list[str]:
    return split_list(keys.get_secret_value()) + (_read_key_file(file) if file else [])


def _read_key_file(file: Path) -> list[str]:
    try:
        keys = split_list(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PydanticCustomError("key_file", "the file cannot be read as text") from error
    if not keys:
        raise PydanticCustomError("key_file", "the file holds no key; write one a line")
    return keys


def _require_strong(keys: list[str]) -> None:
    """Refuse keys that are too short or cannot travel in a header; never repeat one."""
    for key in keys:
        if len(key) < MIN_KEY_LENGTH or not key.isascii() or not key.isprintable() or " " in key:
            raise PydanticCustomError(
                "key_weak",
                "a key is too short or holds odd characters; use at least "
                f"{MIN_KEY_LENGTH} letters and digits, as `openssl rand -hex 32` prints",
            )


_INTRO = """# Settings of the service

Printed by `python -m service settings-docs`; a test fails when this page and
`service/settings.py` disagree. An option on the command line wins over the
environment. 1 MB is 1024 x 1024 bytes.

| environment variable | default | what it does |
|---|---|---|"""
