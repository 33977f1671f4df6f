"""What a search or a write is asked for: plain values, checked when they are put together.

Names of columns are checked by the engine, which knows the gallery.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from indexer.results import MAX_CANDIDATES, MAX_K
from model.errors import ParameterError
from model.images import Box

DEFAULT_CANDIDATES = 100
DEFAULT_ALIGNED = 100
MAX_PHOTOS = 8
MAX_EXPLAIN = 10
# Explaining compares each hit once more, with all its tokens.
MAX_EXPLAINED_HITS = 100
MAX_EXCLUDED = 1000
MAX_FACETS = 20
MAX_ATTRIBUTES = 16

GroupBy = Literal["item", "product"]


@dataclass(frozen=True)
class SearchRequest:
    """How to search, and what to return.

    k: hits wanted, 1 to 1000; fewer come back only where fewer exist.
    offset: hits of the same ordering to leave out before the first, from 0; offset + k may
        be at most 1000. Ranks count on.
    candidates: how many items stage one hands to stage two at a time, 1 to 1000, raised to
        k when smaller; 100 when not given. Hits beyond them are ordered among the next ones.
    aligned: how many of each block of candidates, the best by their bare tokens, are compared
        by the whole alignment, 1 to 1000, raised to k when smaller; 100 when not given. They
        are ordered by that score and come before the others of their block, which keep the
        order and the scores of their bare tokens, and have no confidence. Changes nothing
        where the checkpoint's alignment has no trained first stage, such as the shipped one.
    alpha: weight of the global score in the fused one, 0 to 1; the checkpoint's own when
        not given.
    group_by: "product" returns the best item of each product, and fetches further
        candidates until there are enough products.
    min_confidence: leave out hits less probably of the same product, 0 to 1; for a
        calibrated checkpoint at its own alpha.
    filter: SQL over the metadata columns, item_id and product_id (`indexer.filters`).
    exclude_products, exclude_items: never among the hits; unknown ids are ignored.
    sort: "score", or a metadata column ("-price": descending) to order the candidates by.
    facets: metadata columns whose values are counted over the candidates.
    explain: matched regions to return with each hit, 0 to 10.
    deadline: a value of `time.monotonic()`, in seconds; when it passes before the
        candidates are aligned, the order of stage one is returned.
    attributes: attributes to be alike in, by name, each with a weight above 0, to 1; at most
        16. Hits are ordered by score = (overall * fused + sum of weight * likeness) /
        (overall + sum of weights). They have no confidence then.
    overall: weight of the fused score beside the attributes, 0 to 1; 0 when not given.

    Raises ParameterError for what is out of its range.
    """

    k: int = 10
    offset: int = 0
    candidates: int | None = None
    aligned: int | None = None
    alpha: float | None = None
    group_by: GroupBy = "item"
    min_confidence: float | None = None
    filter: str | None = None
    exclude_products: tuple[str, ...] = ()
    exclude_items: tuple[str, ...] = ()
    sort: str | None = None
    facets: tuple[str, ...] = ()
    explain: int = 0
    deadline: float | None = None
    attributes: Mapping[str, float] = field(default_factory=dict)
    overall: float | None = None

    def __post_init__(self) -> None:
        _require_whole("k", self.k, 1, MAX_K)
        _require_whole("offset", self.offset, 0, MAX_CANDIDATES)
        if self.offset + self.k > MAX_CANDIDATES:
            raise ParameterError(
                f"offset {self.offset} and k {self.k} reach to hit {self.offset + self.k}; at "
                f"most {MAX_CANDIDATES} hits can be paged through, so narrow the search down"
            )
        for name in ("candidates", "aligned"):
            if getattr(self, name) is not None:
                _require_whole(name, getattr(self, name), 1, MAX_CANDIDATES)
        for name in ("alpha", "min_confidence"):
            _require_share(name, getattr(self, name))
        if self.group_by not in ("item", "product"):
            raise ParameterError(f"group_by is {self.group_by!r}; expected item or product")
        for name in ("exclude_products", "exclude_items", "facets"):
            most = MAX_FACETS if name == "facets" else MAX_EXCLUDED
            _require_names(name, getattr(self, name), most)
        _require_whole("explain", self.explain, 0, MAX_EXPLAIN)
        if self.explain and self.k > MAX_EXPLAINED_HITS:
            raise ParameterError(
                f"explain is asked for with k {self.k}; expected k up to {MAX_EXPLAINED_HITS}, "
                "since explaining takes time for every hit"
            )
        self._require_attributes()

    def _require_attributes(self) -> None:
        if len(self.attributes) > MAX_ATTRIBUTES:
            raise ParameterError(
                f"attributes has {len(self.attributes)} names; expected at most {MAX_ATTRIBUTES}"
            )
        for name, weight in self.attributes.items():
            if isinstance(weight, bool) or not isinstance(weight, (int, float)):
                raise ParameterError(f"the weight of attribute {name!r} is {weight!r}; {_WEIGHT}")
            if not 0.0 < weight <= 1.0:  # also refuses NaN
                raise ParameterError(f"the weight of attribute {name!r} is {weight}; {_WEIGHT}")
        _require_share("overall", self.overall)
        if self.overall is not None and not self.attributes:
            raise ParameterError(
                "overall is given without attributes; it weighs the whole likeness beside "
                "attributes, so name at least one, or leave overall out"
            )
        if self.attributes and self.min_confidence is not None:
            raise ParameterError(
                "min_confidence is given together with attributes; a confidence speaks of the "
                "whole likeness only, so leave one of the two out"
            )

    @property
    def block(self) -> int:
        """How many candidates are re-ranked together."""
        return max(self.k, self.candidates or DEFAULT_CANDIDATES)

    @property
    def num_aligned(self) -> int:
        """How many of them the whole alignment compares, where it says more."""
        return max(self.k, self.aligned or DEFAULT_ALIGNED)


@dataclass(frozen=True)
class QueryPhoto:
    """One photo to search with, and the part of it to look at.

    image: an encoded photo (JPEG, PNG, WebP ...).
    box: left, top, right, bottom as fractions, 0 to 1, of the upright photo (after its
        EXIF orientation); the whole photo when not given. ParameterError when it is empty
        or reaches outside.
    """

    image: bytes
    box: Box | None = None

    def __post_init__(self) -> None:
        if self.box is None:
            return
        if len(self.box) != 4 or not all(0.0 <= edge <= 1.0 for edge in self.box):
            raise ParameterError(
                f"box is {_list(self.box)}; expected left, top, right, bottom as fractions of "
                "the photo, from 0 to 1"
            )
        left, top, right, bottom = self.box
        if left >= right or top >= bottom:
            raise ParameterError(
                f"box is {_list(self.box)}, which holds nothing; expected left < right and "
                "top < bottom"
            )


@dataclass(frozen=True)
class NewItem:
    """An item to add or to replace.

    `image` is an encoded photo or the path of one; without it, `replace` keeps the stored
    photo. `product_id` and `metadata` columns that are left out keep the values of the
    stored item; a new item is a product of its own. `uri` says where the photo lies; an
    uploaded photo that does not say it gets `upload:` and its content hash.
    """

    item_id: str
    image: bytes | Path | None = None
    product_id: str | None = None
    uri: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


_WEIGHT = "expected a number above 0, up to 1"


def _require_whole(name: str, value: int, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ParameterError(f"{name} is {value}; expected a whole number from {least} to {most}")


def _require_share(name: str, value: float | None) -> None:
    if value is not None and not 0.0 <= value <= 1.0:  # also refuses NaN
        raise ParameterError(f"{name} is {value}; expected a number from 0 to 1")


def _require_names(name: str, values: tuple[str, ...], most: int) -> None:
    if isinstance(values, str) or not all(isinstance(value, str) for value in values):
        raise ParameterError(f"{name} is {values!r}; expected several names")
    if len(values) > most:
        raise ParameterError(f"{name} has {len(values)} names; expected at most {most}")


def _list(box: tuple[float, ...]) -> str:
    return ", ".join(f"{edge:g}" for edge in box)
