"""The attributes of a fake engine, with likenesses that a person can work out.

Against a photo of mean blue b: likeness in "collar" = 1 - |b - item's b| / 255; in any other
attribute it is the token score.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from indexer.requests import SearchRequest
from indexer.results import (
    AttributeDescription,
    AttributeRegions,
    Ellipse,
    Explanation,
    Item,
    Region,
    Scores,
)
from model.errors import ParameterError

Colour = tuple[int, int, int]

# The neckband and a smaller place below it.
REGIONS = AttributeRegions(
    query=(
        Region(Ellipse(0.5, 0.1, 0.2, 0.1, 0.0), 0.75),
        Region(Ellipse(0.5, 0.5, 0.1, 0.1, 0.0), 0.2),
    ),
    item=(Region(Ellipse(0.5, 0.2, 0.2, 0.1, 15.0), 0.5),),
)
DRAWN = "drawn garments"
ATTRIBUTES = (
    AttributeDescription("collar", ("crew", "shirt", "v-neck"), 0.82, 1200, DRAWN, False),
    AttributeDescription("sleeve_length", ("long", "short"), 0.55, 1200, DRAWN, False),
)


class FakeAttributes:
    """Knows attributes, learns names of new ones, and orders by likeness.

    `before_learning` is called before an attribute is added.
    """

    colours: dict[str, Colour]
    item: Callable[[str], Item]

    def __init__(self) -> None:
        self.known = ATTRIBUTES
        self.before_learning: Callable[[], object] = lambda: None

    def attributes(self) -> tuple[AttributeDescription, ...]:
        """The shipped ones, and those that were added."""
        return self.known

    def add_attribute(self, name: str, examples: Mapping[str, str]) -> AttributeDescription:
        """Know a name more."""
        values = tuple(sorted(set(examples.values())))
        if len(values) < 2:
            raise ParameterError(f"all examples have the value {values[0]!r}; mark a second one")
        if name in self._names:
            raise ParameterError(f"the attribute {name!r} exists; choose another name")
        for item_id in examples:
            self.item(item_id)
        self.before_learning()
        added = AttributeDescription(name, values, None, len(examples), "marked items", True)
        self.known = (*self.known, added)
        return added

    def remove_attribute(self, name: str) -> None:
        """Forget one that was added."""
        if name in [attribute.name for attribute in ATTRIBUTES]:
            raise ParameterError(f"the attribute {name!r} came with the checkpoint and stays")
        self.known = tuple(attribute for attribute in self.known if attribute.name != name)

    @property
    def _names(self) -> list[str]:
        return [attribute.name for attribute in self.known]

    def check_attributes(self, request: SearchRequest) -> None:
        """Refuse names that are not known."""
        for name in request.attributes:
            if name not in self._names:
                raise ParameterError(
                    f"the gallery has no attribute {name!r}; it has {', '.join(self._names)}"
                )

    def combine(
        self, scores: Scores, colour: Sequence[float], item_id: str, request: SearchRequest
    ) -> Scores:
        """Add the likenesses asked for, and the score that orders by them."""
        weights, overall = request.attributes, request.overall or 0.0
        if not weights:
            return scores
        alike = {name: self.compare(name, colour, item_id, scores) for name in weights}
        top = overall * (scores.fused or 0) + sum(weights[name] * alike[name] for name in alike)
        combined = top / (overall + sum(weights.values()))
        return dataclasses.replace(scores, attributes=alike, combined=combined)

    def compare(self, name: str, colour: Sequence[float], item_id: str, scores: Scores) -> float:
        """See the head of this file."""
        if name == "collar":
            return float(1 - abs(colour[2] - self.colours[item_id][2]) / 255)
        return scores.token_score or 0.0


def explain(found: Explanation, request: SearchRequest) -> Explanation | None:
    """Add where the attributes look; None where no explanation was asked for."""
    regions = dict.fromkeys(request.attributes, REGIONS)
    return dataclasses.replace(found, attributes=regions) if request.explain else None


def main_score(scores: Scores) -> float:
    """What hits are ordered by."""
    return (scores.fused or 0.0) if scores.combined is None else scores.combined
