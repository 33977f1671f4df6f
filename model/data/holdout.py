"""Held-out validation: a share of the training items, never the test set."""

from collections.abc import Sequence

import numpy as np

from model.data.records import CONSUMER, SHOP, Photo, RetrievalSet, group_by_item
from model.errors import DataError, ParameterError


def hold_out(
    photos: Sequence[Photo], share: float, seed: int
) -> tuple[tuple[Photo, ...], RetrievalSet]:
    """Move `share` of the items, all their photos with them, from training to validation.

    Only items that can be both asked for and found are taken: with a consumer and a
    shop photo where the data has both domains, with two photos otherwise.
    """
    check_share(share)
    items = group_by_item(photos)
    cross = _is_cross(photos)
    able = [item for item, group in items.items() if _can_be_found(group, cross)]
    # Two items have to stay: with one item nothing can be told apart.
    count = min(max(1, round(share * len(items))), len(able), len(items) - 2)
    if count < 1:
        kind = "a consumer and a shop photo" if cross else "two photos or more"
        raise DataError(
            f"{len(able)} of {len(items)} training items have {kind}; three items, one of them "
            "so, are the least to hold out for validation: add photos"
        )
    rng = np.random.default_rng([seed, 104_729])
    chosen = {able[k] for k in rng.permutation(len(able))[:count]}
    kept = tuple(photo for photo in photos if photo.item not in chosen)
    held = [photo for photo in photos if photo.item in chosen]
    return kept, divide_items(held, "validation", rng)


def divide_items(photos: Sequence[Photo], name: str, rng: np.random.Generator) -> RetrievalSet:
    """Divide the photos of each item into queries and gallery.

    By domain where the photos have both, consumer asking and shop answering; half and
    half at random otherwise, and an item with one photo is a distractor in the gallery.
    """
    cross = _is_cross(photos)
    queries: list[Photo] = []
    gallery: list[Photo] = []
    for group in group_by_item(photos).values():
        if cross:
            queries += [photo for photo in group if photo.domain == CONSUMER]
            gallery += [photo for photo in group if photo.domain != CONSUMER]
            continue
        shuffled = [group[k] for k in rng.permutation(len(group))]
        queries += shuffled[: len(group) // 2]
        gallery += shuffled[len(group) // 2 :]
    return RetrievalSet(name, tuple(queries), tuple(gallery))


def check_share(share: float) -> None:
    """Refuse a share that is none."""
    if not 0 < share < 1:
        raise ParameterError(
            f"holdout is {share}; expected a share between 0 and 1, such as 0.1 for a tenth of "
            "the training items"
        )


def check_training(photos: Sequence[Photo], where: object) -> None:
    """Refuse training photos of fewer than two items."""
    if len({photo.item for photo in photos}) < 2:
        raise DataError(
            f"{where} has {len(photos)} training photos of fewer than 2 items; "
            "give it photos of several items"
        )


def check_retrieval(found: RetrievalSet, where: object) -> list[str]:
    """Refuse a set that cannot be scored; note the queries that nothing can answer."""
    if not found.queries or not found.gallery:
        raise DataError(
            f"the {found.name} set of {where} has {len(found.queries)} queries and "
            f"{len(found.gallery)} gallery photos; it needs both"
        )
    missing = found.num_without_positive
    if missing == len(found.queries):
        raise DataError(
            f"none of the {missing:,} queries in the {found.name} set of {where} has a photo of "
            "the same item in the gallery; check the item ids"
        )
    if not missing:
        return []
    return [
        f"{missing:,} of {len(found.queries):,} {found.name} queries have no photo of their item "
        "in the gallery."
    ]


def note_singles(photos: Sequence[Photo]) -> list[str]:
    """Say how many items cannot form a positive pair."""
    groups = group_by_item(photos)
    singles = sum(len(group) == 1 for group in groups.values())
    if not singles:
        return []
    return [
        f"{singles:,} of {len(groups):,} training items have a single photo: they teach the "
        "identity loss and serve as negatives, but form no positive pair."
    ]


def _is_cross(photos: Sequence[Photo]) -> bool:
    return {photo.domain for photo in photos} >= {SHOP, CONSUMER}


def _can_be_found(group: Sequence[Photo], cross: bool) -> bool:
    return _is_cross(group) if cross else len(group) > 1
