"""Embed the photos of an evaluation, each for those attributes in which it takes part.

A attributes, N photos, D width of a fused embedding.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from model.attributes.asen.loader import PhotoStore
from model.attributes.asen.network import Asen
from model.attributes.records import AttributeSplit, Labelled
from model.devices import Amp, in_bfloat16

Progress = Callable[[str, int, int], None]
# Photos and attributes that the local branch sees at once.
MAX_REGIONS = 128


def embed_split(
    network: Asen,
    split: AttributeSplit,
    known: Mapping[int, int],
    *,
    batch: int = 32,
    amp: Amp = "auto",
    progress: Progress | None = None,
) -> dict[int, dict[int, NDArray[np.float32]]]:
    """Map each attribute to its photos (by index into `split.photos`) and their embeddings.

    Args:
        network: in eval mode, on its device.
        split: photos, queries and candidates.
        known: attributes of the split that the network knows, and their indices there.
        batch: photos that the global branch sees at once.
        amp: whether trunks compute in bfloat16; embeddings are float32, unit length.
        progress: called with (what, photos done, photos in all).
    """
    found: dict[int, dict[int, NDArray[np.float32]]] = {attribute: {} for attribute in known}
    store = PhotoStore(
        split.photos, network.config.framing, network.config.source_size, cache_bytes=0
    )
    groups, done = _group(split, known), 0
    total = sum(map(len, groups.values()))
    for attributes, photos in groups.items():
        at_once = max(1, min(batch, MAX_REGIONS // len(attributes)))
        for some in _chunks(photos, at_once):
            table = [known[attribute] for attribute in attributes]
            fused = embed_batch(network, store, some, table, amp=amp)  # (B, A, D)
            for row, photo in enumerate(some):
                for column, attribute in enumerate(attributes):
                    found[attribute][photo] = fused[row, column]
            done += len(some)
            if progress:
                progress("embed", done, total)
    return found


@torch.inference_mode()
def embed_batch(
    network: Asen, store: PhotoStore, photos: Sequence[int], attributes: Sequence[int], *, amp: Amp
) -> NDArray[np.float32]:
    """Fused unit vectors (B, A, D) of photos for attributes, both by index."""
    device = network.table.weight.device
    pixels = store.stack(photos).to(device)
    asked = torch.tensor(list(attributes), device=device)
    embedded = network(pixels, asked, half=in_bfloat16(amp, device.type))
    return np.asarray(network.fuse(embedded).cpu().numpy(), dtype=np.float32)


def embed_photos(
    network: Asen, photos: Sequence[Labelled], attributes: Sequence[int], *, amp: Amp = "auto"
) -> NDArray[np.float32]:
    """Fused unit vectors (N, A, D) of photos for attributes, by their index in the network."""
    store = PhotoStore(photos, network.config.framing, network.config.source_size, cache_bytes=0)
    at_once = max(1, MAX_REGIONS // max(1, len(attributes)))
    parts = [
        embed_batch(network, store, some, attributes, amp=amp)
        for some in _chunks(list(range(len(photos))), at_once)
    ]
    return np.concatenate(parts)


def _group(split: AttributeSplit, known: Mapping[int, int]) -> dict[tuple[int, ...], list[int]]:
    """Photos by the attributes in which they take part, so that none is embedded in vain."""
    asked: dict[int, list[int]] = {}
    for attribute in sorted(known):
        for each in (split.queries, split.candidates):
            for photo in each.get(attribute, ()):
                asked.setdefault(photo, []).append(attribute)
    groups: dict[tuple[int, ...], list[int]] = {}
    for photo, attributes in asked.items():
        groups.setdefault(tuple(attributes), []).append(photo)
    return groups


def _chunks(photos: Sequence[int], size: int) -> Iterator[list[int]]:
    rest = iter(photos)
    while some := list(islice(rest, size)):
        yield some
