"""How long work reports how far it is; the command line draws it."""

from typing import Protocol


class Progress(Protocol):
    """Told about stages of work, in order; each stage begins when the next does."""

    def begin(self, stage: str, total: int | None) -> None:
        """Start a stage of `total` steps, None when that is not known."""

    def advance(self, count: int = 1) -> None:
        """Count finished steps of the current stage."""


class Silent:
    """Progress that nobody watches."""

    def begin(self, stage: str, total: int | None) -> None:
        """Say nothing."""

    def advance(self, count: int = 1) -> None:
        """Say nothing."""
