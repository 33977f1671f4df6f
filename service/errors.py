"""Every failure as one HTTP status and one JSON shape.

    {"error": {"code": "image_unreadable", "message": "A sentence.", "request_id": "..."}}

`FAULTS` is the whole translation of `model/errors.py`; a test fails if a class is missing.
An unreadable photo is 422, not 415: the form arrived as asked, its content is of no use, and
a truncated JPEG is still a JPEG. Messages of 5xx faults name paths and devices of the server,
so those go to the log, and the client gets the sentence of this table.
"""

import logging
from typing import NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

from model import errors as tree
from service.validation import explain_validation

logger = logging.getLogger(__name__)


class Fault(NamedTuple):
    """How one error class leaves the service; `sentence` replaces the error's own message."""

    status: int
    code: str
    sentence: str | None = None


FAULTS: dict[type[tree.SelvedgeError], Fault] = {
    tree.InputError: Fault(422, "input_invalid"),
    tree.ImageError: Fault(422, "image_unreadable"),
    tree.ImageTooLargeError: Fault(413, "image_too_large"),
    tree.ParameterError: Fault(422, "parameter_invalid"),
    tree.SourceError: Fault(422, "source_invalid"),
    tree.DataError: Fault(422, "data_invalid"),
    tree.ItemNotFoundError: Fault(404, "item_not_found"),
    tree.VersionGoneError: Fault(410, "version_gone"),
    tree.TrainingError: Fault(500, "training_failed", "A training run failed."),
    tree.CheckpointError: Fault(
        503,
        "checkpoint_unusable",
        "The checkpoint cannot be used; its operator finds why in the log.",
    ),
    tree.DeviceError: Fault(
        503, "device_unavailable", "The device for the network is missing; see the service's log."
    ),
    tree.GalleryError: Fault(503, "gallery_unavailable", "The gallery cannot be read right now."),
    tree.GalleryNotFoundError: Fault(
        503, "gallery_missing", "The gallery's folder is not an index; see the service's log."
    ),
    tree.GalleryExistsError: Fault(409, "gallery_exists", "The gallery exists already."),
    tree.GalleryMismatchError: Fault(
        503,
        "gallery_mismatch",
        "The gallery was built with another checkpoint; see the service's log.",
    ),
    tree.GalleryEmptyError: Fault(
        503, "gallery_empty", "The gallery is empty; add photos with `python -m indexer add`."
    ),
    tree.GalleryBusyError: Fault(
        503, "gallery_busy", "The gallery is being written to; try again in a few seconds."
    ),
    tree.AttributePendingError: Fault(
        503,
        "attribute_pending",
        "An attribute asked for is being prepared for this gallery, and was not ready before the "
        "deadline; search again in a few seconds, or without it.",
    ),
    tree.StorageError: Fault(
        503, "storage_failed", "The gallery's storage failed; see the service's log."
    ),
}

# Names of fields that begin a sentence stay as they are.
FIELDS = {"k", "alpha", "candidates", "image", "box", "cursor", "explain", "facet", "filter"}
FIELDS |= {
    "aligned",
    "item",
    "items",
    "offset",
    "sort",
    "attributes",
    "overall",
    "examples",
    "name",
    "value",
}

INTERNAL_SENTENCE = "Something went wrong in the service; quote the request id when you report it."


class Refused(HTTPException):
    """A refusal that starts in the service itself: not ready, too busy, upload too large."""

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, message, headers)
        self.code = code


def find_fault(error: tree.SelvedgeError) -> Fault:
    """Return the row of the error's class, or of the nearest class above it."""
    for cls in type(error).__mro__:
        if cls in FAULTS:
            return FAULTS[cls]
    return Fault(500, "internal", INTERNAL_SENTENCE)


def answer_error(
    scope: Scope,
    status: int,
    code: str,
    message: str,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """Build the one shape in which every error leaves; the code is kept for log and metrics."""
    state = scope.setdefault("state", {})
    state["error_code"] = code
    request_id = state.get("request_id", "")
    # JSON may hold half a character, which a message quotes and UTF-8 cannot say.
    sentence = as_sentence(message).encode("utf-8", "replace").decode("utf-8")
    error = {"code": code, "message": sentence, "request_id": request_id}
    return JSONResponse({"error": error}, status, headers)


def as_sentence(message: str) -> str:
    """Start with a capital and end with a full stop; parameter names and paths stay as they are.

    >>> as_sentence("the image is empty (0 bytes); send a JPEG")
    'The image is empty (0 bytes); send a JPEG.'
    >>> as_sentence("k is 0; expected 1 to 1,000")
    'k is 0; expected 1 to 1,000.'
    """
    first = message.split(" ", 1)[0]
    if first.isalpha() and first not in FIELDS:
        message = message[:1].upper() + message[1:]
    return message if message.endswith((".", "!", "?")) else message + "."


def install_error_handlers(app: FastAPI) -> None:
    """Answer every kind of failure in the same shape; bugs are caught by `RequestContext`."""
    app.add_exception_handler(tree.SelvedgeError, _answer_fault)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(HTTPException, _answer_http)


def _answer_fault(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, tree.SelvedgeError)
    fault = find_fault(error)
    if fault.status >= 500:
        logger.error("%s: %s", type(error).__name__, error)
    headers = {"Retry-After": "5"} if fault.status == 503 else None
    message = fault.sentence or str(error)
    return answer_error(request.scope, fault.status, fault.code, message, headers)


def _answer_validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    message = explain_validation(
        error.errors(), error.body, request.headers.get("content-type", "")
    )
    return answer_error(request.scope, 422, "request_invalid", message)


def _answer_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers) if error.headers else None
    code, message = "http_error", str(error.detail)
    if isinstance(error, Refused):
        code = error.code
    elif error.status_code == 404:
        code = "route_not_found"
        message = f"There is nothing at {request.url.path}; /docs lists every address."
    elif error.status_code == 405:
        code = "method_not_allowed"
        allowed = (headers or {}).get("Allow", "another method")
        message = f"{request.url.path} does not answer {request.method}; use {allowed}."
    elif error.status_code == 400:
        code = "form_unreadable"
        message = f"The request's form could not be read: {message}"
    return answer_error(request.scope, error.status_code, code, message, headers)
