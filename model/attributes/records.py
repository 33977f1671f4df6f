"""What every data set with attributes is turned into: labelled photos, queries, candidates."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from model.data.records import Photo
from model.errors import DataError


@dataclass(frozen=True)
class Attribute:
    """One attribute and the names of its values, in the order of their indices.

    Attributes keep their names from one reading to the next; the index of a value is only
    comparable within one `AttributeData`, unless the data set itself fixes it.
    """

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Labelled:
    """One photo and what is known of it.

    `values` maps an attribute's index to a value's; what is not known or not visible is
    absent. `others` holds the further values of an attribute that has several at once.
    """

    photo: Photo
    values: Mapping[int, int] = field(hash=False)
    others: Mapping[int, tuple[int, ...]] = field(default_factory=dict, hash=False)

    def all_values(self, attribute: int) -> frozenset[int]:
        """Every value of that attribute; empty where nothing is known."""
        if attribute not in self.values:
            return frozenset()
        return frozenset((self.values[attribute], *self.others.get(attribute, ())))


@dataclass(frozen=True)
class AttributeSplit:
    """Queries and candidates of an evaluation.

    Both map an attribute's index to indices into `photos`, ascending; an attribute that
    nobody asks for is absent. No photo is a query and a candidate of the same attribute,
    except with `leave_own_item`: then every photo is both, and each query's own item is
    left out of its ranking. A candidate is relevant when it shares a value of the attribute
    with the query (`Labelled.all_values`). Where the files of a benchmark list a photo with
    two values, it stands in `photos` twice, once with each.
    """

    photos: tuple[Labelled, ...]
    queries: Mapping[int, tuple[int, ...]] = field(hash=False)
    candidates: Mapping[int, tuple[int, ...]] = field(hash=False)
    leave_own_item: bool = False

    @property
    def num_queries(self) -> int:
        """Queries of all attributes together."""
        return sum(len(found) for found in self.queries.values())


@dataclass(frozen=True)
class AttributeData:
    """Photos to train on, and two evaluations on photos of other products.

    `notes` are sentences about what was found. With `evaluation_only`, `train` and `valid`
    are empty and `check_trainable` refuses.
    """

    name: str
    attributes: tuple[Attribute, ...]
    train: tuple[Labelled, ...]
    valid: AttributeSplit
    test: AttributeSplit
    notes: tuple[str, ...] = ()
    evaluation_only: bool = False

    def check_trainable(self) -> None:
        """Refuse to train on data that was read for evaluation only.

        Raises:
            DataError: `evaluation_only` is set, or there are no training photos.
        """
        if self.evaluation_only:
            raise DataError(
                f"{self.name} is for evaluation only (use=evaluation); train on another data set"
            )
        if not self.train:
            raise DataError(f"{self.name} has no training photos; give it some")

    def index_of(self, name: str) -> int:
        """The index of the attribute of that name.

        Raises:
            DataError: there is none; the sentence lists those there are.
        """
        names = [attribute.name for attribute in self.attributes]
        if name not in names:
            raise DataError(
                f"{self.name} has no attribute {name!r}; expected one of: {', '.join(names)}"
            )
        return names.index(name)
