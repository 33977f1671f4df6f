"""Forms of a search, read without FastAPI's own reading: for twenty fields that takes longer than
all else that the service does for a search.

The route still declares its form and its header, from which the OpenAPI description is made.
"""

from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, TypeVar, get_origin, get_type_hints

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, TypeAdapter, ValidationError
from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import ClientDisconnect

from service.auth import GuardedRoute, check_key
from service.deps import DEADLINE_HEADER, DeadlineHeader, get_search_runner
from service.errors import Refused
from service.searches import Searches

Model = TypeVar("Model", bound=BaseModel)
_DEADLINE: TypeAdapter[int | None] = TypeAdapter(DeadlineHeader)


class SearchRoute(GuardedRoute):
    """Calls `endpoint(request, form, run)`, with the form's class from the annotation of `form`.

    A search for which there is no room is refused before its form is parsed: parsing costs more
    than half of what a refusal costs, and a crowd is refused often.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """In place of FastAPI's own handler."""
        endpoint, kind = self.endpoint, get_type_hints(self.endpoint)["form"]

        async def answer(request: Request) -> Response:
            check_key(request, "read")
            await _refuse_early(request)
            async with _open_form(request) as sent:
                within = _read_deadline(request)
                form = validate_form(kind, sent)
                response: Response = await endpoint(
                    request, form, await get_search_runner(request, within)
                )
                return response

        return answer


def validate_form(kind: type[Model], form: FormData) -> Model:
    """Make a model of what was sent, as FastAPI does: what is sent empty counts as not sent, and
    of a field that is no list the last one counts.

    Raises:
        RequestValidationError: says of every unfit field what is wrong with it.
    """
    try:
        return kind.model_validate(_collect(form, _find_lists(kind), kind.model_fields))
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False), body=form) from None


def _collect(form: FormData, lists: Collection[str], known: Collection[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in form.multi_items():
        if name in lists:
            if not _is_empty_file(value):
                values.setdefault(name, []).append(value)
        else:
            values[name] = value
    return {
        name: value
        for name, value in values.items()
        if name not in known or not (value == "" or _is_empty_file(value))
    }


def _is_empty_file(value: object) -> bool:
    """Browsers send one where no file was chosen."""
    return isinstance(value, UploadFile) and value.filename == "" and value.size == 0


@cache
def _find_lists(kind: type[BaseModel]) -> frozenset[str]:
    fields = kind.model_fields.items()
    return frozenset(name for name, field in fields if get_origin(field.annotation) is list)


def _read_deadline(request: Request) -> int | None:
    sent = request.headers.get(DEADLINE_HEADER)
    if sent is None:
        return None
    try:
        return _DEADLINE.validate_python(sent)
    except ValidationError as error:
        findings = [
            {**found, "loc": (DEADLINE_HEADER,)} for found in error.errors(include_url=False)
        ]
        raise RequestValidationError(findings) from None


@asynccontextmanager
async def _open_form(request: Request) -> AsyncIterator[FormData]:
    try:
        form = await request.form()
    except (FormParserError, ClientDisconnect) as error:
        raise HTTPException(400, str(error) or "the client left while sending it") from error
    try:
        yield form
    finally:
        await form.close()


async def _refuse_early(request: Request) -> None:
    """Raise Refused with 429 when the queue is full."""
    searches: Searches = request.app.state.searches
    try:
        searches.refuse_if_full()
    except Refused:
        # A client that is cut off while it sends never sees its answer.
        async for _ in request.stream():
            pass
        raise
