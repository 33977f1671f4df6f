"""Photos to features on the host, in batches, with decoding ahead of the network.

N photos, S scales, D global width, L levels, M tokens a level, d token width.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from model.alignment import TokenSet
from model.config import RecallName
from model.mga import MGA
from model.preprocessing import prepare_scales
from model.recall import NAMES
from model.runtime.trunks import Trunk

if TYPE_CHECKING:
    from model.data.records import Photo

Pixels = NDArray[np.uint8]
Progress = Callable[[str, int, int], None]
ReadPhoto = Callable[["Photo"], Image.Image]
_AHEAD = 2
# Photos whose recall vectors are computed together.
_RECALL_BLOCK = 1024


class Embedded(NamedTuple):
    """What the network says about N photos, float32.

    global_feature: (N, D), unit length. tokens: (N, L, M, d). mass: (N, L, M).
    Photos that are queries may be there at S scales: (N, S, ...), all three.
    """

    global_feature: NDArray[np.float32]
    tokens: NDArray[np.float32]
    mass: NDArray[np.float32]

    def take(self, index: NDArray[np.int64] | slice) -> "Embedded":
        """The photos of these places."""
        return Embedded(*(part[index] for part in self))

    @property
    def token_set(self) -> TokenSet:
        """What alignment needs."""
        return TokenSet(torch.from_numpy(self.tokens), torch.from_numpy(self.mass))

    @property
    def num_scales(self) -> int | None:
        """S, or None where photos are there once."""
        return self.mass.shape[1] if self.mass.ndim == 4 else None

    def each_scale(self) -> "Embedded":
        """Every scale as a photo of its own, a photo's scales together: (N S, ...)."""
        if self.num_scales is None:
            return self
        return Embedded(*(part.reshape(-1, *part.shape[2:]) for part in self))

    def average(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Means over the scales of what `each_scale` gave a row each: (N S, ...) to (N, ...)."""
        if self.num_scales is None:
            return rows
        means: NDArray[np.float32] = rows.reshape(-1, self.num_scales, *rows.shape[1:]).mean(1)
        return means


# From features to the vectors stage one compares: (N, D), of unit length or, where photos are
# there at several scales, the mean of such.
RecallVector = Callable[[Embedded], NDArray[np.float32]]


def use_global(embedded: Embedded) -> NDArray[np.float32]:
    """The paper's recall vector: the global feature."""
    return embedded.average(embedded.each_scale().global_feature)


DEFAULT_RECALL: Mapping[str, RecallVector] = {"global": use_global}


def recall_vectors(model: MGA) -> dict[str, RecallVector]:
    """All three vectors of a network, the one its searches use first.

    A network that recalls by the global feature has no projection: its granular vector is
    in full width.
    """
    own = model.config.recall.vector
    return {name: _recall_by(model, name) for name in sorted(NAMES, key=lambda name: name != own)}


@contextmanager
def full_precision() -> Iterator[None]:
    """No gradients, and float32 that is float32: no autocast, no TF32 on a GPU."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with (
            torch.inference_mode(),
            torch.autocast("cuda", enabled=False),
            torch.autocast("cpu", enabled=False),
            torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def evaluating(model: MGA) -> Iterator[None]:
    """Eval mode in full precision; the model's mode is restored."""
    was_training = {module: module.training for module in model.modules()}
    try:
        with full_precision():
            model.eval()
            yield
    finally:
        for module, training in was_training.items():
            # Not .train(): frozen batch norms inside a training network stay frozen.
            module.training = training


def embed_photos(
    model: MGA,
    photos: Sequence["Photo"],
    read: ReadPhoto,
    *,
    batch: int = 16,
    workers: int = 2,
    stage: str = "photos",
    progress: Progress | None = None,
    scales: Sequence[float] | None = None,
    trunk: Trunk | None = None,
) -> Embedded:
    """Encode photos in order; batches are decoded ahead by `workers` threads.

    With `scales`, fractions of the config's image size, each photo is there once for each
    of them: (N, S, ...). The backbone is computed by `trunk` where one is given.
    """
    parts: list[Embedded] = []
    with evaluating(model), ThreadPoolExecutor(workers) as pool:
        done = 0
        for pixels in _read_ahead(model, photos, read, batch, pool, scales or (1.0,)):
            each = [_embed(model, trunk or model.backbone, scale) for scale in pixels]
            parts.append(
                Embedded(*(np.stack(part, axis=1) for part in zip(*each, strict=True)))
                if scales
                else each[0]
            )
            done += len(pixels[0])
            if progress:
                progress(stage, done, len(photos))
    return Embedded(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def as_stored(tokens: NDArray[np.float32]) -> NDArray[np.float32]:
    """Tokens as they come back from a gallery: int8 with one float16 scale a token.

    >>> as_stored(np.array([[0.6, -0.8], [0.0, 0.0]], dtype=np.float32))
    array([[ 0.5989907, -0.800756 ],
           [ 0.       ,  0.       ]], dtype=float32)
    """
    scale = (np.abs(tokens).max(axis=-1, keepdims=True) / 127).astype(np.float16)
    divisor = np.where(scale > 0, scale, 1).astype(np.float32)
    coarse = np.clip(np.rint(tokens / divisor), -127, 127) * scale.astype(np.float32)
    length = np.linalg.norm(coarse, axis=-1, keepdims=True)
    unit: NDArray[np.float32] = (coarse / np.where(length > 0, length, 1)).astype(np.float32)
    return unit


def _read_ahead(
    model: MGA,
    photos: Sequence["Photo"],
    read: ReadPhoto,
    batch: int,
    pool: ThreadPoolExecutor,
    scales: Sequence[float],
) -> Iterator[list[Pixels]]:
    """Yield (B, H, W, 3) pixels for each scale; at most a few batches wait."""
    preprocessing = model.config.preprocessing

    def load(photo: "Photo") -> list[Pixels]:
        return [each.pixels for each in prepare_scales(read(photo), preprocessing, scales)]

    def join(futures: list[Future[list[Pixels]]]) -> list[Pixels]:
        return [np.stack(each) for each in zip(*(f.result() for f in futures), strict=True)]

    waiting: deque[list[Future[list[Pixels]]]] = deque()
    for start in range(0, len(photos), batch):
        waiting.append([pool.submit(load, photo) for photo in photos[start : start + batch]])
        if len(waiting) > _AHEAD:
            yield join(waiting.popleft())
    for futures in waiting:
        yield join(futures)


def _embed(model: MGA, trunk: Trunk, pixels: NDArray[np.uint8]) -> Embedded:
    moved = torch.from_numpy(pixels).to(model.mean.device)
    features = model.describe(trunk(model.normalise(moved)))
    return Embedded(*map(_host, (features.global_feature, features.tokens, features.mass)))


def _recall_by(model: MGA, name: RecallName) -> RecallVector:
    def compute(photos: Embedded) -> NDArray[np.float32]:
        parts, embedded = [], photos.each_scale()
        for start in range(0, len(embedded.mass), _RECALL_BLOCK):
            block = embedded.take(slice(start, start + _RECALL_BLOCK))
            tokens = TokenSet(*(x.to(model.mean.device) for x in block.token_set))
            whole = torch.from_numpy(block.global_feature).to(model.mean.device)
            with full_precision():
                parts.append(_host(model.recall.compute(name, whole, tokens)))
        return photos.average(np.concatenate(parts))

    return use_global if name == "global" else compute


def _host(x: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = x.float().cpu().numpy()
    return array
