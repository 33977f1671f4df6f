"""Attributes: what the gallery can be searched by, learned from items that a person marked."""

import logging
import time
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from anyio import to_thread
from fastapi import APIRouter, Path, Request, Security

from model.errors import GalleryMismatchError
from service.attributes import MAX_NAME, AttributeAnswer, AttributesAnswer, NewAttribute
from service.auth import GuardedRoute, require_read, require_write
from service.deps import EngineDep, GalleryDep, MetricsDep
from service.errors import Refused
from service.routes import UPLOAD_REFUSALS, describe_errors

router = APIRouter(prefix="/attributes", tags=["attributes"], route_class=GuardedRoute)
T = TypeVar("T")
logger = logging.getLogger(__name__)

NO_BASE = (
    "The gallery has no attributes of its checkpoint to learn a new one beside, or was built anew "
    "meanwhile; its operator brings them with `python -m indexer build --attributes`."
)

WRITE_REFUSALS: dict[str, Any] = {
    "_401": "a write key is needed, and missing or unknown",
    "_403": "the key may only read, or writing is off here",
    "_503": "loading, another process is writing, or the disk is full",
}


@router.get(
    "",
    summary="The attributes to search by",
    dependencies=[Security(require_read)],
    responses=describe_errors(
        _401="a read key is needed, and missing or unknown", _503="still loading"
    ),
)
def list_attributes(engine: EngineDep) -> AttributesAnswer:
    """List the names that the field `attributes` of a search takes, and how good each one is."""
    return AttributesAnswer.from_descriptions(engine.attributes())


@router.post(
    "",
    summary="Teach an attribute",
    status_code=201,
    dependencies=[Security(require_write)],
    responses=describe_errors(
        _404="no such item",
        _409="the gallery has no attributes of its checkpoint to learn beside",
        _422="a name that is taken, one value only, or too few examples",
        **UPLOAD_REFUSALS,
        **WRITE_REFUSALS,
    ),
)
async def add_attribute(
    new: NewAttribute, request: Request, gallery: GalleryDep, metrics: MetricsDep
) -> AttributeAnswer:
    """Learn an attribute from marked items; searches can use it at once, no photo is read again.

    It takes seconds, while searches go on; several are learned one after the other.
    """
    examples = new.list_examples()

    def learn() -> AttributeAnswer:
        start = time.perf_counter()
        try:
            learned = gallery.add_attribute(new.name, examples)
        except GalleryMismatchError as error:
            logger.error("%s", error)
            raise Refused(409, "attributes_missing", NO_BASE) from error
        metrics.observe_learning(time.perf_counter() - start)
        return AttributeAnswer.from_description(learned)

    return await _change(request, learn)


@router.delete(
    "/{name}",
    summary="Remove an attribute",
    dependencies=[Security(require_write)],
    responses=describe_errors(
        _404="no such attribute", _422="one that came with the checkpoint", **WRITE_REFUSALS
    ),
)
async def remove_attribute(
    name: Annotated[
        str, Path(description="Name of an attribute.", max_length=MAX_NAME, examples=["collar"])
    ],
    request: Request,
    gallery: GalleryDep,
) -> AttributesAnswer:
    """Remove an attribute that was taught to this gallery, and list those that are left."""

    def remove() -> AttributesAnswer:
        known = [attribute.name for attribute in gallery.engine().attributes()]
        if name not in known:
            message = f"The gallery has no attribute {name!r}; it has {', '.join(known) or 'none'}."
            raise Refused(404, "attribute_not_found", message)
        gallery.remove_attribute(name)
        return AttributesAnswer.from_descriptions(gallery.engine().attributes())

    return await _change(request, remove)


async def _change(request: Request, change: Callable[[], T]) -> T:
    """Change attributes in a thread, one change at a time."""
    return await to_thread.run_sync(change, limiter=request.app.state.learning)
