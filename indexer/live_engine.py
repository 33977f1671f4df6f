"""The engine of a service whose gallery changes: each search gets the state it shall see.

`LiveEngine.engine()` is the newest state with the encoder that belongs to it, so a rebuild
with another checkpoint swaps both at once. Hold it for one request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from indexer.attribute_files import add_learned, remove_learned
from indexer.attribute_learning import learn_from_items
from indexer.checkpoint import EncoderSource, StoredCheckpoint
from indexer.engine import SearchEngine
from indexer.live import LiveGallery
from indexer.live_types import LiveOptions, LiveStats
from indexer.milvus.address import is_address
from indexer.requests import NewItem
from indexer.results import AttributeDescription, TaskStats, WriteReport
from indexer.snapshot import Snapshot
from model.encoder import Encoder
from model.errors import VersionGoneError

if TYPE_CHECKING:
    from indexer.milvus.live import MilvusEngine


class LiveEngine:
    """Searches and writes of one index folder. Safe to use from many threads."""

    def __init__(self, root: Path, plan: EncoderSource, options: LiveOptions | None = None) -> None:
        """Open the newest state; see `LiveGallery`."""
        self._options = options or LiveOptions()
        self._gallery = LiveGallery(root, plan, self._options)
        # Kept as long as it is the newest: it remembers the rows of filters.
        self._newest: tuple[Snapshot | None, SearchEngine | None] = (None, None)

    def engine(self, version: int | None = None) -> SearchEngine:
        """The engine of the newest state, or of an earlier one that is still held.

        Args:
            version: `gallery.version` of an earlier answer.

        Raises:
            VersionGoneError: that state is not held any more.
        """
        snapshot = self._gallery.current() if version is None else self._gallery.snapshot(version)
        known, engine = self._newest
        if snapshot is known and engine is not None:
            return engine
        if snapshot is None:
            raise VersionGoneError(
                f"version {version} of the gallery is not held any more: it is at "
                f"{self._gallery.current().stamp.version} now, and holds the newest "
                f"{self._options.keep_versions} for {self._options.keep_s:.0f} s at most; search "
                "again from the first page"
            )
        # The plan of a service loads model.encoder.Encoder; only tests have others.
        encoder = cast(Encoder, snapshot.encoder)
        engine = SearchEngine(snapshot, encoder, max_pixels=self._options.max_pixels)
        if version is None:
            self._newest = (snapshot, engine)
        return engine

    def add(self, items: Sequence[NewItem], *, atomic: bool | None = None) -> WriteReport:
        """Add items, or replace those of the same id; see `LiveGallery.add`."""
        return self._gallery.add(items, atomic=atomic)

    def replace(self, items: Sequence[NewItem], *, atomic: bool | None = None) -> WriteReport:
        """Change items that exist; see `LiveGallery.replace`."""
        return self._gallery.replace(items, atomic=atomic)

    def remove(self, item_ids: Sequence[str]) -> WriteReport:
        """Remove items that exist; see `LiveGallery.remove`."""
        return self._gallery.remove(item_ids)

    def add_attribute(self, name: str, examples: Mapping[str, str]) -> AttributeDescription:
        """Learn an attribute from items; the next search may use it, and so does a restart.

        Args:
            name: of the new attribute: lower-case letters, digits, _ and -.
            examples: value by item id; 4 to 2,000, about 20 to be useful.

        Raises:
            ParameterError: a name that is taken or unfit, too few or too many examples, or one
                value only.
            ItemNotFoundError: lists the ids that are not there.
            GalleryMismatchError: the gallery has no attributes of its checkpoint, or was rebuilt
                with another one meanwhile.
            GalleryBusyError: another process is writing.
            CheckpointError, StorageError: the disk is full or read-only; nothing has changed.
        """
        heads = learn_from_items(self._gallery.current(), name, examples)

        def write(current: Snapshot) -> None:
            files = current.manifest.files(current.root)
            add_learned(files.attributes, current.manifest.fingerprint, heads)

        self._gallery.change_attributes(write)
        known = self._gallery.current().attributes.describe()
        return next(each for each in known if each.name == name)

    def remove_attribute(self, name: str) -> None:
        """Remove an attribute that was learned from examples.

        Raises:
            ParameterError: unknown, or it belongs to the checkpoint.
            GalleryBusyError, StorageError: as for `add_attribute`.
        """

        def delete(current: Snapshot) -> None:
            files = current.manifest.files(current.root)
            remove_learned(files.attributes, current.manifest.fingerprint, name)

        self._gallery.change_attributes(delete)

    def reload(self) -> bool:
        """Take over what others committed or published; see `LiveGallery.reload`."""
        return self._gallery.reload()

    def maintain(self, *, force: bool = False) -> bool:
        """Build the recall index anew and merge files; see `LiveGallery.maintain`."""
        return self._gallery.maintain(force=force)

    def stats(self) -> LiveStats:
        """Count what is held in memory and on disk."""
        return self._gallery.stats()

    def tasks(self) -> dict[str, TaskStats]:
        """How work in the background fares; see `LiveGallery.tasks`."""
        return self._gallery.tasks()

    def close(self) -> None:
        """Stop the background threads."""
        self._gallery.close()

    def __enter__(self) -> "LiveEngine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_live(
    index_dir: Path,
    *,
    device: str = "auto",
    runtime: str = "eager",
    checkpoint: Path | None = None,
    options: LiveOptions | None = None,
) -> "LiveEngine | MilvusEngine":
    """Open an index folder, or a gallery on a Milvus server, to search in it and to change it.

    Args:
        index_dir: what `python -m indexer build` wrote, or an address (`indexer.milvus.address`).
        device: auto, cpu, cuda or cuda:N; takes the place of `options.device`.
        runtime: how the backbone is computed: auto, eager, half, openvino or compile.
        checkpoint: the index's own copy when not given; any other file must have the
            same fingerprint.
        options: memory, history and maintenance.

    Raises:
        GalleryError: not an index, damaged, or made with another checkpoint.
        CheckpointError, DeviceError: what they say.
    """
    if is_address(index_dir):
        from indexer.milvus.live import open_milvus_live  # needs the extra `milvus`

        return open_milvus_live(
            index_dir, device=device, runtime=runtime, checkpoint=checkpoint, options=options
        )
    chosen = replace(options or LiveOptions(), device=device)
    return LiveEngine(index_dir, StoredCheckpoint(checkpoint, device, runtime), chosen)
