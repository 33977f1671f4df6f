"""Attributes over HTTP: what a gallery can be searched by, and what one is learned from."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from indexer.results import AttributeDescription
from model.errors import ParameterError

MAX_NAME = 64
MAX_VALUE = 200
MAX_EXAMPLES = 2000
NONE_YET = (
    "The gallery has no attributes: its index was built without those of its checkpoint. "
    "`python -m indexer build` with `--attributes` brings them, and encodes nothing again."
)

ATTRIBUTE_EXAMPLE: JsonDict = {
    "name": "collar",
    "values": ["crew", "shirt", "v-neck"],
    "quality": 0.78,
    "num_examples": 4200,
    "source": "drawn garments",
    "learned": False,
}
LEARNED_EXAMPLE: JsonDict = {
    "name": "pocket_shape",
    "values": ["flap", "patch"],
    "quality": None,
    "num_examples": 20,
    "source": "items marked over HTTP",
    "learned": True,
}


class AttributeAnswer(BaseModel):
    """An attribute that can be searched by."""

    model_config = ConfigDict(json_schema_extra={"example": LEARNED_EXAMPLE})

    name: str = Field(description="As in the field `attributes` of a search.")
    values: list[str] = Field(description="Those it learned to tell apart.")
    quality: float | None = Field(
        description="Mean average precision on validation photos of the checkpoint, 0 to 1; null "
        "where it was not measured."
    )
    num_examples: int = Field(description="Photos it was learned from.")
    source: str = Field(description="Whose examples, in words.")
    learned: bool = Field(description="Whether it was taught to this gallery and can be removed.")

    @classmethod
    def from_description(cls, attribute: AttributeDescription) -> "AttributeAnswer":
        """Translate the engine's description."""
        return cls(**{**vars(attribute), "values": list(attribute.values)})


class AttributesAnswer(BaseModel):
    """The attributes of a gallery."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"attributes": [ATTRIBUTE_EXAMPLE, LEARNED_EXAMPLE], "note": None}
        }
    )

    attributes: list[AttributeAnswer]
    note: str | None = Field(description="Why there are none, where there are none.")

    @classmethod
    def from_descriptions(cls, found: Sequence[AttributeDescription]) -> "AttributesAnswer":
        """Translate the engine's descriptions."""
        attributes = [AttributeAnswer.from_description(attribute) for attribute in found]
        return cls(attributes=attributes, note=None if attributes else NONE_YET)


class MarkedItem(BaseModel):
    """An item, and the value a person saw on it."""

    model_config = ConfigDict(extra="forbid")

    item_id: str = Field(min_length=1, max_length=1024, description="An item of the gallery.")
    value: str = Field(min_length=1, max_length=MAX_VALUE, description="Its value.")


class NewAttribute(BaseModel):
    """The JSON body of POST /attributes."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "name": "pocket_shape",
                "examples": [
                    {"item_id": "images/mh01-black_main.jpg", "value": "patch"},
                    {"item_id": "images/mj03-red_main.jpg", "value": "flap"},
                ],
            }
        },
    )

    name: str = Field(
        min_length=1,
        max_length=MAX_NAME,
        description="What to call it.",
        examples=["pocket_shape"],
    )
    examples: list[MarkedItem] = Field(
        min_length=1,
        max_length=MAX_EXAMPLES,
        description="Items with their values: two values at least, about 20 items to be useful.",
        examples=[[{"item_id": "images/mh01-black_main.jpg", "value": "patch"}]],
    )

    def list_examples(self) -> dict[str, str]:
        """Return the value of each item; ParameterError where one has two."""
        values: dict[str, str] = {}
        for example in self.examples:
            known = values.setdefault(example.item_id, example.value)
            if known != example.value:
                raise ParameterError(
                    f"item {example.item_id!r} is marked {known!r} and {example.value!r}; give it "
                    "one value"
                )
        return values
