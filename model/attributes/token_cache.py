"""Photos to tokens, once: what was encoded is kept in a file and not encoded again.

N photos, L levels, M tokens a level, d token width.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from model.attributes.features import Floats
from model.data.reading import read_photo
from model.data.records import Photo
from model.encoder import Encoder
from model.errors import DataError
from model.evaluation.embedding import as_stored

Progress = Callable[[int, int], None]
BATCH = 16
# Photos between two savings, so that a stopped run loses little.
SAVE_EVERY = 512
FIELDS = ("tokens", "mass", "geometry", "global_feature")


class TokenStore(NamedTuple):
    """What the network says about N photos, float32.

    tokens: (N, L, M, d), rounded to int8 as a gallery stores them. mass: (N, L, M).
    geometry: (N, L, M, 5). global_feature: (N, D).
    """

    tokens: Floats
    mass: Floats
    geometry: Floats
    global_feature: Floats

    def take(self, places: Sequence[int] | NDArray[np.int64]) -> "TokenStore":
        """The photos of these places."""
        index = np.asarray(places, dtype=np.int64)
        return TokenStore(*(part[index] for part in self))

    @property
    def parts(self) -> tuple[Floats, Floats, Floats]:
        """What attributes read: tokens, mass and geometry."""
        return self.tokens, self.mass, self.geometry


def encode_photos(
    encoder: Encoder,
    photos: Sequence[Photo],
    cache: Path | None = None,
    progress: Progress | None = None,
) -> TokenStore:
    """Encode photos in their order; with `cache`, only those that the file does not hold.

    The file (.npz, float16) belongs to one checkpoint and knows a photo by its path and box.

    Raises:
        DataError: the cache is of another checkpoint, damaged, or cannot be written.
        ImageError: a photo that cannot be read.
    """
    held = _load(cache, encoder.fingerprint) if cache is not None and cache.exists() else {}
    missing = list(dict.fromkeys(key for key in map(_key, photos) if key not in held))
    by_key = {_key(photo): photo for photo in photos}
    for start in range(0, len(missing), BATCH):
        keys = missing[start : start + BATCH]
        images = [read_photo(by_key[key]) for key in keys]
        found = encoder.encode([encoder.prepare(image) for image in images])
        found = found._replace(tokens=as_stored(found.tokens))
        arrays = [getattr(found, name).astype(np.float16) for name in FIELDS]
        held |= {key: tuple(x[k] for x in arrays) for k, key in enumerate(keys)}
        done = start + len(keys)
        if progress is not None:
            progress(done, len(missing))
        if cache is not None and (done == len(missing) or done % SAVE_EVERY < BATCH):
            _save(cache, encoder.fingerprint, held)
    rows = [held[_key(photo)] for photo in photos]
    if not rows:
        raise DataError("there are no photos to encode; name a data set that has some")
    return TokenStore(*(np.stack(part).astype(np.float32) for part in zip(*rows, strict=True)))


def _key(photo: Photo) -> str:
    return f"{photo.path}|{tuple(photo.box) if photo.box else ''}|{photo.view_seed}"


Row = tuple[NDArray[np.float16], ...]


def _load(path: Path, fingerprint: str) -> dict[str, Row]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("fingerprint", "keys", *FIELDS)}
    except (OSError, ValueError, KeyError, BadZipFile, EOFError) as error:
        raise DataError(
            f"{path} does not hold encoded photos ({error}); delete it, or name another file"
        ) from error
    if str(arrays["fingerprint"]) != fingerprint:
        raise DataError(
            f"{path} holds tokens of the checkpoint {str(arrays['fingerprint'])[:12]}, and this "
            f"one is {fingerprint[:12]}; name another file, or delete it"
        )
    parts = [arrays[name] for name in FIELDS]
    return {str(key): tuple(x[k] for x in parts) for k, key in enumerate(arrays["keys"])}


def _save(path: Path, fingerprint: str, held: dict[str, Row]) -> None:
    parts = [np.stack(part) for part in zip(*held.values(), strict=True)]
    partial = path.with_name(f".{path.stem}.partial.npz")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tokens, mass, geometry, global_feature = parts
        np.savez(
            partial,
            fingerprint=np.array(fingerprint),
            keys=np.array(list(held)),
            tokens=tokens,
            mass=mass,
            geometry=geometry,
            global_feature=global_feature,
        )
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise DataError(
            f"cannot write encoded photos to {path}: {error}; free some space or name another file"
        ) from error
