"""Photos encoded once and kept in a file, so that every codec is measured on the same numbers.

N photos, S scales, D global width, L levels, M tokens a level, d token width.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.data.reading import read_photo
from model.data.records import Photo
from model.encoder import Encoded, Encoder
from model.errors import DataError
from model.evaluation.embedding import Embedded

BATCH = 8
Say = Callable[[str], None]


class Features(NamedTuple):
    """What is known of N photos; queries are there at S scales: (N, S, ...) throughout.

    global_feature (N, D), tokens (N, L, M, d), mass (N, L, M), geometry (N, L, M, 5),
    recall (N, R).
    """

    global_feature: NDArray[np.float32]
    tokens: NDArray[np.float32]
    mass: NDArray[np.float32]
    geometry: NDArray[np.float32]
    recall: NDArray[np.float32]

    def take(self, index: NDArray[np.int64] | slice) -> "Features":
        """The photos of these places."""
        return Features(*(part[index] for part in self))

    @property
    def embedded(self) -> Embedded:
        """What scores are computed from."""
        return Embedded(self.global_feature, self.tokens, self.mass)


def load_or_encode(
    path: Path, encoder: Encoder, photos: Sequence[Photo], *, queries: bool, say: Say
) -> Features:
    """Read the features of these photos from `path`, or encode them and write it.

    Raises:
        DataError: the file was made by another checkpoint, or of another number of photos.
    """
    if not path.exists():
        found = _encode(encoder, photos, queries, say)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, fingerprint=np.array(encoder.fingerprint), **found._asdict())
        partial.replace(path)
        return found
    with np.load(path) as stored:
        same = str(stored["fingerprint"]) == encoder.fingerprint
        if not same or len(stored["mass"]) != len(photos):
            raise DataError(
                f"{path} holds {len(stored['mass'])} photos of checkpoint "
                f"{str(stored['fingerprint'])[:8]}; expected {len(photos)} of "
                f"{encoder.fingerprint[:8]}: delete it to encode again"
            )
        return Features(*(stored[name] for name in Features._fields))


def _encode(encoder: Encoder, photos: Sequence[Photo], queries: bool, say: Say) -> Features:
    parts: list[Encoded] = []
    for start in range(0, len(photos), BATCH):
        images = [read_photo(photo) for photo in photos[start : start + BATCH]]
        if queries:
            scales = encoder.encode_queries([encoder.prepare_query(x) for x in images])
            parts.append(_stack(scales))
        else:
            parts.append(encoder.encode([encoder.prepare(x) for x in images]))
        if start // BATCH % 16 == 15:
            say(f"{start + len(images)} of {len(photos)} photos encoded")
    return Features(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _stack(photos: list[Encoded]) -> Encoded:
    return Encoded(*(np.stack(each) for each in zip(*photos, strict=True)))
