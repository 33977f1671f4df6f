"""What the gallery asks of an encoder, and what the engine asks of a gallery.

B images, L levels, M tokens a level, d token width, D width of the global feature,
R width of the recall vector.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from indexer.attributes import AttributeSet
from indexer.manifest import Manifest
from indexer.results import GalleryStamp, Item

if TYPE_CHECKING:
    from PIL.Image import Image

    from indexer.attribute_cache import Embeddings
    from model.encoder import Encoded


class EncoderLike(Protocol):
    """`model.encoder.Encoder`, or a fake of it that can be predicted by hand."""

    @property
    def fingerprint(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def input_side(self) -> int:
        """Pixels of the square that photos are brought to."""

    @property
    def trained_for_retrieval(self) -> bool: ...
    @property
    def weights(self) -> str: ...
    @property
    def recall_vector(self) -> str:
        """Which vector stage one compares: global, granular or joint."""

    def prepare(self, image: "Image") -> Any:
        """Bring one photo into the form `encode` takes; safe to call from many threads."""

    def encode(self, prepared: Sequence[Any]) -> "Encoded":
        """Encode prepared photos in one pass, in their order."""


class Recalled(NamedTuple):
    """Candidates of one query, best first: rows of the gallery and their cosine in [-1, 1]."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


class Selection(NamedTuple):
    """The rows that recall may return, or with `inside` false those that it may not.

    Rows are distinct and ascending. With a `condition`, in the words of the gallery that made
    it (`Narrowing`), that alone counts, and no rows are listed.
    """

    rows: NDArray[np.int64]
    inside: bool
    condition: str | None = None


class TokenBlock(NamedTuple):
    """What stage two needs of n items, in the order asked for: token = tokens * scales.

    `global_feature` is None where stage one compared it: its scores are known then.
    `geometry` is as stored (`indexer.codec`); only attributes and explanations unpack it.
    """

    tokens: NDArray[np.int8]  # (n, L, M, d)
    scales: NDArray[np.float32]  # (n, L, M)
    mass: NDArray[np.float32]  # (n, L, M) share of the image in [0, 1]
    geometry: NDArray[np.uint8]  # (n, L, M, 6)
    global_feature: NDArray[np.float32] | None = None  # (n, D) unit length


class Gallery(Protocol):
    """One state of the indexed images; what is written later does not show in it.

    A *row* is the stable id of an item: it survives updates of other items, and it
    is valid for as long as this gallery is open.
    """

    @property
    def manifest(self) -> Manifest: ...

    @property
    def stamp(self) -> GalleryStamp: ...

    @property
    def attributes(self) -> AttributeSet:
        """The attributes that items can be searched by."""

    def __len__(self) -> int:
        """Count the items."""

    def embed_items(self, name: str, until: float | None = None) -> "Embeddings":
        """What all items look like to an attribute; ParameterError when it is unknown.

        AttributePendingError when it is not there by `until`, on the clock of `time.monotonic`.
        """

    def recall(
        self, vectors: NDArray[np.float32], count: int, selection: Selection | None = None
    ) -> list[Recalled]:
        """Find the `count` nearest items of each of the (B, R) unit recall vectors.

        Only items of the selection are found, and fewer than `count` only where it holds fewer.
        """

    def find_rows(self, sql: str) -> NDArray[np.int64]:
        """Find the rows for which an SQL condition holds, ascending."""

    def read_tokens(self, rows: NDArray[np.int64]) -> TokenBlock:
        """Read what stage two needs of these rows, in their order."""

    def read_items(self, rows: NDArray[np.int64]) -> list[Item]:
        """Read ids and metadata of these rows, in their order."""

    def find_row(self, item_id: str) -> int:
        """Find the row of one item; ItemNotFoundError when there is none."""

    def read_encoded(self, row: int) -> "Encoded":
        """Read one stored item back as an encoding of one image (B = 1)."""

    def read_thumbnail(self, item_id: str) -> bytes:
        """Read the small JPEG of one item; ItemNotFoundError when there is none."""

    def num_products(self) -> int:
        """Count the distinct products."""

    def metadata_columns(self) -> dict[str, str]:
        """Name the metadata columns and their kinds."""

    def close(self) -> None:
        """Let go of the files."""


@runtime_checkable
class Narrowing(Protocol):
    """A gallery that finds the items of a condition itself, while it recalls.

    For one on a server the rows of a filter would be a message of many megabytes.
    """

    def narrow(self, sql: str) -> Selection:
        """The items for which an SQL condition holds, without listing them."""
