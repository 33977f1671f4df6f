"""One state of a living gallery, and how the next one is made from it.

States share what did not change: the FAISS index, the vectors and the tokens.
"""

import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.attribute_cache import EmbeddingCache
from indexer.attributes import AttributeSet
from indexer.delta import DeltaRecall
from indexer.derive import Changes
from indexer.files import ReaderLease
from indexer.gallery import EmbeddedGallery
from indexer.manifest import Manifest
from indexer.protocols import EncoderLike
from indexer.store import Store
from indexer.token_codec import open_codec
from indexer.tokens import ResidentTokens, bytes_per_item, read_arrays, to_matrix


class Generation:
    """One built index: its facts, its encoder and codec, and the lease that keeps its files."""

    def __init__(
        self, root: Path, manifest: Manifest, encoder: EncoderLike, lease: ReaderLease
    ) -> None:
        self.root, self.manifest, self.encoder, self.lease = root, manifest, encoder, lease
        self.codec = open_codec(root, manifest)
        # The files may be cleared when the last state of this generation is forgotten.
        weakref.finalize(self, lease.close)


class Snapshot(EmbeddedGallery):
    """An immutable gallery at one version. Closing it does nothing: others may read it."""

    def __init__(
        self,
        generation: Generation,
        store: Store,
        recall: DeltaRecall,
        resident: ResidentTokens | None,
        attributes: AttributeSet,
        embeddings: EmbeddingCache,
    ) -> None:
        super().__init__(
            generation.root,
            generation.manifest,
            store,
            recall,
            generation.lease,
            generation.codec,
            resident,
            attributes,
            embeddings,
        )
        self.generation = generation
        self.store = store
        self.recall_index = recall
        self.resident = resident

    @property
    def encoder(self) -> EncoderLike:
        """The encoder of this state's generation."""
        return self.generation.encoder

    def close(self) -> None:
        """Do nothing; the living gallery lets go of states that nobody reads."""

    def advance(
        self, store: Store, changes: Changes, products: int, token_budget_mb: int
    ) -> "Snapshot":
        """Make the next state; `changes.items` has the recall vectors and what stage two needs.

        Only the newest state may be advanced, and by one thread at a time.
        """
        dims = self.manifest.dims
        recall = self.recall_index.with_changes(
            replaced=changes.replaced,
            rows=changes.rows,
            vectors=to_matrix(changes.items[dims.recall_column], dims.recall_width),
            products=products,
        )
        resident = self.resident
        if resident is not None and len(changes.rows):
            resident = resident.with_items(changes.rows, read_arrays(changes.items, dims))
        if len(recall) * bytes_per_item(dims) > token_budget_mb * 1_000_000:
            resident = None
        # Before anybody can ask for the attributes of the next state.
        self.embeddings.note_change(store.version, np.union1d(changes.replaced, changes.rows))
        return self._become(store, recall, resident)

    def with_recall(self, recall: DeltaRecall) -> "Snapshot":
        """The same state with a recall index that was built anew; tokens are tidied too."""
        rows: NDArray[np.int64] = recall.rows()
        resident = self.resident.merged(rows) if self.resident is not None else None
        return self._become(self.store, recall, resident)

    def with_store(self, store: Store) -> "Snapshot":
        """The same items at a later version, after files were merged."""
        return self._become(store, self.recall_index, self.resident)

    def with_tokens(self, resident: ResidentTokens) -> "Snapshot":
        """The same items with their tokens in memory."""
        return self._become(self.store, self.recall_index, resident)

    def with_attributes(self, attributes: AttributeSet) -> "Snapshot":
        """The same items with other attributes."""
        parts = (self.generation, self.store, self.recall_index, self.resident)
        return Snapshot(*parts, attributes, self.embeddings)

    def _become(
        self, store: Store, recall: DeltaRecall, resident: ResidentTokens | None
    ) -> "Snapshot":
        """A state of the same attributes."""
        parts = (self.attributes, self.embeddings)
        return Snapshot(self.generation, store, recall, resident, *parts)
