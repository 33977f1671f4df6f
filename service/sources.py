"""What a search is made with: a photo, a query of before, an item, an address, or a cursor."""

from fastapi import Request, Response, UploadFile

from indexer.requests import QueryPhoto
from model.errors import ParameterError
from service.cursors import read_cursor
from service.deps import SearchRunner
from service.errors import Refused
from service.options import SearchForm, SearchOptions, TimedOptions, read_box
from service.searches import SearchJob
from service.validation import explain_missing_image

SOURCES = ("image", "query_id", "item_id", "image_url")
# The clock of `time.monotonic` never reads this early: the deadline has passed.
LONG_AGO = 0.0


async def read_job(request: Request, form: SearchForm, run: SearchRunner) -> SearchJob:
    """Translate a form to a search.

    Raises:
        Refused: no photo, more than one kind of source, a query that is gone, an address that
            cannot be fetched.
        ParameterError: a value out of its range, or a box where there is no photo.
    """
    given = [name for name in SOURCES if getattr(form, name)]
    if not given:
        raise await refuse_form(request)
    if len(given) > 1:
        raise ParameterError(f"the form has {' and '.join(given)}; send one of them")
    asked, box = run.to_request(form), read_box(form.box)
    if form.item_id:
        if box is not None:
            raise ParameterError("box is given with item_id; send it with a photo or a query_id")
        return SearchJob(asked, item_id=form.item_id)
    if box is not None:
        QueryPhoto(b"", box)  # Refuses an unusable box before anything is read.
    if form.query_id:
        return SearchJob(asked, query=run.searches.queries.get(form.query_id), box=box)
    if form.image_url:
        return SearchJob(asked, photos=(await run.fetcher.fetch(form.image_url),), box=box)
    return SearchJob(asked, photos=await read_files(form.image), box=box)


async def read_files(files: list[UploadFile]) -> tuple[bytes, ...]:
    """Read uploaded files."""
    return tuple([await file.read() for file in files])


async def refuse_form(request: Request) -> Refused:
    """Say which photo is missing from which kind of body."""
    kind = request.headers.get("content-type", "")
    form = await request.form() if kind else None
    return Refused(422, "request_invalid", explain_missing_image(form, kind))


async def continue_search(
    run: SearchRunner, options: TimedOptions, item_id: str | None = None
) -> Response:
    """Answer the page that `options.cursor` stands for; `item_id` is the one it must be of."""
    cursor = read_cursor(getattr(options, "cursor", None) or "")
    if (item_id is not None and cursor.item_id != item_id) or not (
        cursor.item_id or cursor.query_id
    ):
        raise ParameterError("cursor belongs to another search; send it where it came from")
    page = TimedOptions(**cursor.options.model_dump(), deadline_ms=options.deadline_ms)
    request = run.to_request(page)
    if cursor.is_stage_one:
        request = page.to_request(request.k, LONG_AGO)
    query = run.searches.queries.get(cursor.query_id) if cursor.query_id else None
    job = SearchJob(
        request,
        query=query,
        box=cursor.box,
        item_id="" if query else cursor.item_id or "",
        version=cursor.version,
    )
    return await run.answer(job, cursor.options)


def require_alone(options: SearchOptions) -> None:
    """Refuse other fields beside a cursor: it holds the whole search."""
    known = type(options).model_fields
    others = sorted(
        name
        for name in options.model_fields_set - {"cursor", "deadline_ms"}
        if getattr(options, name) != known[name].default
    )
    if others:
        raise ParameterError(f"cursor is given with {', '.join(others)}; send it alone")
