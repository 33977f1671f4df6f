"""Which training items look alike: the hard negatives that random batches seldom hold.

I items, R width of the recall vector.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from model.data.reading import read_photo
from model.data.records import Photo
from model.devices import Amp
from model.fit import look
from model.mga import MGA
from model.preprocessing import Preprocessing, prepare

# Alike is a rough notion: a small input finds it, several times faster.
IMAGE_SIZE = 160
BATCH = 32


@torch.inference_mode()
def find_alike(
    model: MGA,
    photos: Sequence[Photo],
    count: int = 16,
    *,
    amp: Amp = "off",
    workers: int = 2,
) -> NDArray[np.int64]:
    """Name each photo's most similar others by the recall vector, nearest first: (I, count).

    Args:
        model: in eval mode; its recall vector is fitted.
        photos: one of each item.
        count: how many; fewer when there are fewer photos.
        amp: whether the backbone runs in bfloat16, as in training.
        workers: threads that load photos.
    """
    vectors = _encode(model, photos, amp, workers)  # (I, R)
    count = min(count, len(vectors) - 1)
    found = []
    for start in range(0, len(vectors), BATCH):
        scores = vectors[start : start + BATCH] @ vectors.mT
        scores[torch.arange(len(scores)), torch.arange(start, start + len(scores))] = -torch.inf
        found.append(scores.topk(count).indices.cpu())
    alike: NDArray[np.int64] = torch.cat(found).numpy()
    return alike


def _encode(model: MGA, photos: Sequence[Photo], amp: Amp, workers: int) -> torch.Tensor:
    side = model.config.preprocessing.model_copy(update={"image_size": IMAGE_SIZE})
    encoded, rest = [], iter(photos)
    with ThreadPoolExecutor(workers, thread_name_prefix="mining") as pool:
        while batch := list(islice(rest, BATCH)):
            pixels = np.stack(list(pool.map(lambda photo: _load(photo, side), batch)))
            normalised = model.normalise(torch.from_numpy(pixels).to(model.mean.device))
            encoded.append(model.recall_vector(model.describe(look(model, normalised, amp))))
    return torch.cat(encoded)


def _load(photo: Photo, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    image = read_photo(photo, at_least=2 * preprocessing.image_size)
    return prepare(image, preprocessing).pixels
