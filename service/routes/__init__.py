"""One router a resource; each handler translates, calls the engine once, translates back."""

from typing import Any

from service.schemas import ErrorAnswer

# What every route that searches may answer besides hits.
SEARCH_REFUSALS = {
    "_429": "too many searches at once; Retry-After says when",
    "_503": "still loading, nothing to search, past the deadline, or shutting down",
}


def describe_errors(**reasons: str) -> dict[int | str, dict[str, Any]]:
    """Document error answers for OpenAPI: `describe_errors(_404="no such item")`."""
    return {
        int(status.lstrip("_")): {"model": ErrorAnswer, "description": reason}
        for status, reason in reasons.items()
    }
