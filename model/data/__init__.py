"""Data sets for training and evaluation: official benchmarks, a shop's own, and drawn ones."""

from collections.abc import Sequence
from dataclasses import replace

from model.data.consumer_to_shop import load_consumer_to_shop
from model.data.crew import Loaded
from model.data.inshop import load_inshop
from model.data.loader import Loader
from model.data.reading import read_photo
from model.data.records import Box, BoxFrame, DataSet, Photo, RetrievalSet
from model.data.sampler import Batch, ItemSampler
from model.data.spec import parse_spec
from model.data.stitched import load_stitch
from model.data.tables import load_csv, load_folder, load_photos

__all__ = [
    "Batch",
    "Box",
    "BoxFrame",
    "DataSet",
    "ItemSampler",
    "Loaded",
    "Loader",
    "Photo",
    "RetrievalSet",
    "load_dataset",
    "load_datasets",
    "read_photo",
]


def load_dataset(
    spec: str, *, seed: int = 0, holdout: float = 0.1, **options: str | int
) -> DataSet:
    """Read the data set that `spec` names; `seed` chooses the held-out items.

    - `inshop:DIR` DeepFashion In-Shop, `c2s:DIR` DeepFashion Consumer-to-Shop
    - `csv:FILE_OR_DIR` with an image and a product column, `folder:DIR` with a folder an item
    - `photos:DIR` unlabelled, each photo its own item
    - `stitch` or `stitch:DIR?designs=400&seed=0`, drawn at first use

    Options follow the path as in `inshop:DIR?crops=box&counts=any`, or are keywords; each
    reader lists its own.

    Raises:
        ParameterError: an unknown kind of data set, an unknown option or value.
        DataError: the data itself; the sentence says what was found and expected.
    """
    kind, path, chosen = parse_spec(spec, options)
    if kind == "stitch":
        return load_stitch(path, chosen, seed, holdout)
    assert path is not None, spec
    return _READERS[kind](path, chosen, seed, holdout)


def load_datasets(specs: Sequence[str], *, seed: int = 0) -> DataSet:
    """Read several data sets to train on together; a single one comes back as it is.

    Every photo of one is its own item as soon as that holds for any of them; validation
    is that of the first, the others' go to `extra`. There is no common test set.
    """
    found = [load_dataset(spec, seed=seed) for spec in specs]
    if len(found) == 1:
        return found[0]
    return DataSet(
        name=" + ".join(each.name for each in found),
        train=tuple(
            replace(photo, item=f"{number}/{photo.item}")
            for number, each in enumerate(found)
            for photo in each.train
        ),
        validation=found[0].validation,
        notes=tuple(note for each in found for note in each.notes),
        extra={each.name: each.validation for each in found[1:]},
        views=any(each.views for each in found),
    )


_READERS = {
    "inshop": load_inshop,
    "c2s": load_consumer_to_shop,
    "csv": load_csv,
    "folder": load_folder,
    "photos": load_photos,
}
