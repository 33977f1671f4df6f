"""One router a resource; each handler translates, calls the engine once, translates back."""

from typing import Any

from service.schemas import ErrorAnswer


def describe_errors(**reasons: str) -> dict[int | str, dict[str, Any]]:
    """Document error answers for OpenAPI: `describe_errors(_404="no such item")`."""
    return {
        int(status.lstrip("_")): {"model": ErrorAnswer, "description": reason}
        for status, reason in reasons.items()
    }
