"""One router a resource; each handler translates, calls the engine once, translates back."""

from typing import Any

from service.schemas import ErrorAnswer

# What every route that searches may answer besides hits.
SEARCH_REFUSALS = {
    "_410": "the query or the version of a cursor is not kept any more",
    "_429": "too many searches at once; Retry-After says when",
    "_503": "still loading, nothing to search, past the deadline, or shutting down",
}


# What every route that takes an upload may answer.
UPLOAD_REFUSALS = {
    "_400": "a form that cannot be parsed",
    "_408": "the upload did not arrive in time",
    "_413": "too many bytes or pixels",
}


def describe_errors(**reasons: str) -> dict[int | str, dict[str, Any]]:
    """Document error answers for OpenAPI: `describe_errors(_404="no such item")`."""
    return {
        int(status.lstrip("_")): {"model": ErrorAnswer, "description": reason}
        for status, reason in reasons.items()
    }
