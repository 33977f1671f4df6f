"""What a search may be told over HTTP: fields of forms and parameters of addresses."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import UploadFile
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from indexer.requests import (
    MAX_ATTRIBUTES,
    MAX_EXCLUDED,
    MAX_EXPLAIN,
    MAX_FACETS,
    MAX_PHOTOS,
    GroupBy,
    SearchRequest,
)
from indexer.results import MAX_CANDIDATES, MAX_K
from model.errors import ParameterError
from model.images import Box

EXPLAIN_DEFAULT = 5
MAX_BATCH = 32
MAX_DEADLINE_MS = 600_000
# Sixteen long names with their weights.
MAX_ATTRIBUTES_TEXT = 4096


def _read_explain(value: Any) -> Any:
    """Take `true` as five pairs."""
    return {"true": EXPLAIN_DEFAULT, "false": 0}.get(str(value).lower(), value)


def _drop_blank(value: Any) -> Any:
    """Fields that are sent empty are left out."""
    return [entry for entry in value if entry != ""] if isinstance(value, list) else value


Names = Annotated[list[str], BeforeValidator(_drop_blank)]


class PageOptions(BaseModel):
    """How to search, and which hits to return; the defaults are the service's or the network's."""

    model_config = ConfigDict(extra="forbid")

    k: Annotated[int, Field(ge=1, le=MAX_K)] | None = Field(
        default=None,
        description="How many hits; left out, the service's SELVEDGE_DEFAULT_K.",
        examples=[5],
    )
    candidates: Annotated[int, Field(ge=1, le=MAX_CANDIDATES)] | None = Field(
        default=None,
        description="How many of the globally nearest items are re-ranked; more finds more and "
        "takes longer. Never fewer than k.",
        examples=[100],
    )
    aligned: Annotated[int, Field(ge=1, le=MAX_CANDIDATES)] | None = Field(
        default=None,
        description="How many of the candidates, the best by a first look at their details, are "
        "compared in full; they come before the others, which keep the scores of that look and "
        "have no confidence. Left out, 100; never fewer than k. Changes nothing where the network "
        "compares in full at first look, as the shipped one does.",
        examples=[100],
    )
    alpha: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Share of the global score: 1 ranks by the whole look, 0 by the details. "
        "Left out, the checkpoint's own value.",
        examples=[0.5],
    )
    group_by: GroupBy = Field(
        default="item",
        description="`product` returns the best item of each product.",
        examples=["product"],
    )
    min_confidence: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Leave out hits less probably of the same product; `no_confident_match` says "
        "when none is left. Refused where /info says `calibrated: false`.",
        examples=[0.8],
    )
    filter: str | None = Field(
        default=None,
        description="Only items for which this holds: a condition as in SQL over the metadata "
        "columns, `item_id` and `product_id`, with = != < <= > >= IN BETWEEN LIKE, IS NULL, AND, "
        "OR, NOT and parentheses. k hits come back whenever that many items fit.",
        examples=["price < 60 AND category IN ('dress', 'skirt')"],
    )
    exclude_product: Names = Field(
        default=[],
        max_length=MAX_EXCLUDED,
        description="Products that shall not be among the hits, such as the query's own; repeat "
        "the field for several.",
        examples=[["MH01"]],
    )
    exclude_item: Names = Field(
        default=[],
        max_length=MAX_EXCLUDED,
        description="Items that shall not be among the hits; repeat the field for several.",
        examples=[["images/mh01-black_main.jpg"]],
    )
    sort: str | None = Field(
        default=None,
        description="`score`, or a metadata column to order the candidates by, with `-` in front "
        "from the largest down.",
        examples=["-price"],
    )
    facet: Names = Field(
        default=[],
        max_length=MAX_FACETS,
        description="Metadata columns whose values are counted over the candidates; repeat the "
        "field for several.",
        examples=[["price"]],
    )
    explain: Annotated[int, Field(ge=0, le=MAX_EXPLAIN), BeforeValidator(_read_explain)] = Field(
        default=0,
        description="How many matched regions to return with each hit; `true` is 5.",
        examples=[3],
    )
    attributes: str | None = Field(
        default=None,
        max_length=MAX_ATTRIBUTES_TEXT,
        description="What to be alike in: a JSON object of names from GET /attributes, each with a "
        f"weight above 0, up to 1; at most {MAX_ATTRIBUTES}. The hits are ordered by the likeness "
        "in these, and have no confidence.",
        examples=['{"collar": 1, "sleeve_length": 0.5}'],
    )
    overall: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Weight of the fused score beside `attributes`; left out, 0: by the attributes "
        "alone.",
        examples=[0.3],
    )
    offset: Annotated[int, Field(ge=0, le=MAX_CANDIDATES)] = Field(
        default=0,
        description="Hits of the same order to leave out before the first; offset + k reach to "
        "1000 at most. A `cursor` also stays on its version of the gallery.",
        examples=[0],
    )

    def to_request(self, default_k: int, deadline: float | None = None) -> SearchRequest:
        """Translate to what the engine takes; ParameterError for what does not fit together."""
        return SearchRequest(
            k=self.k or default_k,
            offset=self.offset,
            candidates=self.candidates,
            aligned=self.aligned,
            alpha=self.alpha,
            group_by=self.group_by,
            min_confidence=self.min_confidence,
            filter=self.filter,
            exclude_products=tuple(self.exclude_product),
            exclude_items=tuple(self.exclude_item),
            sort=self.sort,
            facets=tuple(self.facet),
            explain=self.explain,
            deadline=deadline,
            attributes=read_attributes(self.attributes),
            overall=self.overall,
        )


class TimedOptions(PageOptions):
    """Options, and how long the search may take."""

    deadline_ms: Annotated[int, Field(ge=1, le=MAX_DEADLINE_MS)] | None = Field(
        default=None,
        description="Milliseconds after which hits are returned in the order of stage one, with "
        "`reranked: false`; it only lowers the service's own deadline.",
        examples=[800],
    )


class SearchOptions(TimedOptions):
    """Options of a search that can be paged through."""

    cursor: str | None = Field(
        default=None,
        description="The next page: `cursor` of an answer, sent alone. It stays on the version of "
        "the gallery that gave the first page.",
        examples=["eJyrVipLLSrOzM9TsjLUUSrKz0tVsjIwqAUAVcIHIg"],
    )


class SearchForm(SearchOptions):
    """The multipart form of POST /search: one of image, query_id, item_id, image_url or cursor."""

    image: list[UploadFile] = Field(
        default=[],
        max_length=MAX_PHOTOS,
        description="The photo: JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF. Repeated up to eight "
        "times: several photos of one garment.",
        examples=[["photo.jpg"]],
    )
    query_id: str | None = Field(
        default=None,
        max_length=200,
        description="An earlier query, instead of its photos: nothing is uploaded again.",
        examples=["q9Zb3vY6J0mTq1c2xw4ZQA"],
    )
    item_id: str | None = Field(
        default=None,
        max_length=1024,
        description="An item of the gallery, instead of a photo; it is not among the hits.",
        examples=["images/mh01-black_main.jpg"],
    )
    image_url: str | None = Field(
        default=None,
        description="The https address of the photo, on a host that the operator allows.",
        examples=["https://shop.example/photo.jpg"],
    )
    box: str | None = Field(
        default=None,
        max_length=200,
        description="The part of the (first) photo to look at: [left, top, right, bottom] as "
        "fractions of the upright photo. Left out, the whole of it, with a query_id too.",
        examples=["[0.1, 0.2, 0.9, 0.8]"],
    )


class BatchForm(TimedOptions):
    """The multipart form of POST /search/batch."""

    image: list[UploadFile] = Field(
        default=[],
        max_length=MAX_BATCH,
        description="One photo a garment: each gets an answer, in order.",
        examples=[["photo.jpg"]],
    )


def read_attributes(text: str | None) -> Mapping[str, float]:
    """Read the field `attributes`; ParameterError when it is no JSON object.

    >>> read_attributes('{"collar": 1}'), read_attributes("")
    ({'collar': 1}, {})
    """
    if not text:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ParameterError(
            f"attributes is {text[:60]!r}; expected a JSON object of names and weights, such as "
            '{"collar": 1}; GET /attributes lists the names'
        )
    return found


def read_box(text: str | None) -> Box | None:
    """Read the field `box`; ParameterError says what is wrong with it."""
    if not text:
        return None
    try:
        left, top, right, bottom = map(float, json.loads(text))
    except (ValueError, TypeError, RecursionError, OverflowError):
        raise ParameterError(
            f"box is {text[:60]!r}; expected [left, top, right, bottom] as fractions of the photo"
        ) from None
    return left, top, right, bottom
