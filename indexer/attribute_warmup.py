"""Attributes embedded before anybody asks, so that no search waits for the first use of one."""

from collections.abc import Iterator
from functools import partial
from weakref import WeakKeyDictionary

from indexer.attribute_cache import EmbeddingCache, count_bytes
from indexer.background import run_politely
from indexer.gallery import EmbeddedGallery
from model.attributes.heads import AttributeHeads


class WarmUp:
    """Embeds all items of a gallery for each of its attributes, once each; for one thread.

    Only what fits the cache together: more would push out what was embedded first.
    """

    def __init__(self) -> None:
        self._begun: WeakKeyDictionary[EmbeddingCache, dict[str, AttributeHeads]]
        self._begun = WeakKeyDictionary()

    def run(self, gallery: EmbeddedGallery) -> None:
        """Embed what was not yet; others go first where processor time is short."""
        begun = self._begun.setdefault(gallery.embeddings, {})
        for name, heads in _choose(gallery):
            if begun.get(name) is not heads:
                # Before it is done: what fails is left to the search that asks for it.
                begun[name] = heads
                run_politely(partial(gallery.embed_items, name))


def _choose(gallery: EmbeddedGallery) -> Iterator[tuple[str, AttributeHeads]]:
    left = gallery.embeddings.budget_bytes
    for name in gallery.attributes.names:
        heads = gallery.attributes.find(name)
        left -= count_bytes(len(gallery), heads.width(name))
        if left >= 0:
            yield name, heads
