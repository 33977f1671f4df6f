"""Settings come from the environment, refuse nonsense, and are all documented."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from service.__main__ import cli
from service.settings import PREFIX, Settings, render_settings_docs

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


def test_docs_are_what_the_settings_say() -> None:
    message = "run `python -m service settings-docs > docs/settings.md`"
    assert DOCS.read_text("utf-8") == render_settings_docs(), message


def test_the_command_prints_the_docs() -> None:
    assert CliRunner().invoke(cli, ["settings-docs"]).stdout == render_settings_docs()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_described(name: str) -> None:
    assert Settings.model_fields[name].description
    assert f"`{PREFIX}{name.upper()}`" in DOCS.read_text("utf-8")


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SELVEDGE_INDEX_DIR", str(tmp_path))
    monkeypatch.setenv("SELVEDGE_PORT", "9001")
    settings = Settings()  # type: ignore[call-arg]
    assert (settings.index_dir, settings.port) == (tmp_path, 9001)


def test_settings_are_frozen(settings: Settings) -> None:
    with pytest.raises(ValidationError):
        settings.port = 1


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="prot"):
        Settings(index_dir=Path("x"), prot=1)  # type: ignore[call-arg]
