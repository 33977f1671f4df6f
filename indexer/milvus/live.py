"""The engine of a service over a Milvus server: it follows what others write and publish.

The server keeps no past states. A cursor goes on in the newest state of the same collection,
and the answer's gallery version says so; after a new copy was published it is refused.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, cast

import pyarrow as pa

from indexer.background import Repeating, TaskLog
from indexer.checkpoint import EncoderSource, StoredCheckpoint
from indexer.engine import SearchEngine
from indexer.incoming import (
    Incoming,
    check_items,
    encode_items,
    explain_failures,
    load_items,
    require_photos,
)
from indexer.live_types import LiveOptions
from indexer.milvus.address import parse_address
from indexer.milvus.client import VERIFY
from indexer.milvus.facts import Facts, State
from indexer.milvus.opening import Opened, open_with_encoder
from indexer.milvus.server import Server
from indexer.milvus.writing import (
    Stored,
    columns_of,
    find_stored,
    plan_items,
    remove_items,
    write_items,
)
from indexer.requests import NewItem
from indexer.results import AttributeDescription, Outcome, TaskStats, WriteReport
from indexer.token_codec import Int8Codec
from indexer.writing import require_stored
from model.encoder import Encoder
from model.errors import ParameterError, VersionGoneError


class MilvusEngine:
    """Searches and writes of one gallery on a server. Safe to use from many threads."""

    def __init__(
        self, server: Server, plan: EncoderSource, options: LiveOptions | None = None
    ) -> None:
        """Open the newest state; raises as `indexer.milvus.opening.open_with_encoder`."""
        self._server, self._plan = server, plan
        self._options = options or LiveOptions()
        # One writer of this process at a time; never held while a photo is encoded.
        self._mutex = threading.RLock()
        self._opened = open_with_encoder(server, plan)
        self._engine = self._make_engine()
        self._tasks = TaskLog("reload")
        self._watch: Repeating | None = None
        if self._options.background:
            self._watch = Repeating("gallery watch", self._options.watch_s, self._follow)

    def engine(self, version: int | None = None) -> SearchEngine:
        """The engine of the newest state.

        Args:
            version: `gallery.version` of an earlier answer.

        Raises:
            VersionGoneError: the gallery was copied anew since then.
        """
        state = self._opened.gallery.state
        if version is not None and version < state.since:
            raise VersionGoneError(
                f"version {version} of the gallery is not held any more: it was copied anew, and "
                f"is at {state.version} now; search again from the first page"
            )
        return self._engine

    def add(self, items: Sequence[NewItem], *, atomic: bool | None = None) -> WriteReport:
        """Add items, or replace those of the same id; see `indexer.live.LiveGallery.add`."""
        require_photos(items)
        return self._put(items, atomic, must_exist=False)

    def replace(self, items: Sequence[NewItem], *, atomic: bool | None = None) -> WriteReport:
        """Change items that exist; see `indexer.live.LiveGallery.replace`."""
        return self._put(items, atomic, must_exist=True)

    def remove(self, item_ids: Sequence[str]) -> WriteReport:
        """Remove items that exist; see `indexer.live.LiveGallery.remove`."""
        wanted = list(dict.fromkeys(item_ids))
        if not wanted:
            return self._report([])
        with self._mutex:
            self._accept(remove_items(self._opened.gallery, wanted))
            return self._report([Outcome(item_id, "removed") for item_id in wanted])

    def add_attribute(self, name: str, examples: Mapping[str, str]) -> AttributeDescription:
        """Refuse: attributes are learned in an index folder."""
        self._refuse_attribute(name)

    def remove_attribute(self, name: str) -> None:
        """Refuse: attributes are learned in an index folder."""
        self._refuse_attribute(name)

    def reload(self) -> bool:
        """Take over what others wrote or published; True when there was something.

        Raises:
            GalleryError, CheckpointError: the new state cannot be opened; the old one stays.
        """
        with self._mutex:
            gallery = self._opened.gallery
            if self._server.find_published() != gallery.collection:
                self._opened = open_with_encoder(self._server, self._plan, self._opened)
                self._engine = self._make_engine()
                return True
            state = Facts(self._server, gallery.collection).read_state()
            if state.version <= gallery.state.version:
                return False
            self._accept(state)
            return True

    def tasks(self) -> dict[str, TaskStats]:
        """How following others fares."""
        return self._tasks.stats()

    def close(self) -> None:
        """Stop following and close the connection."""
        if self._watch is not None:
            self._watch.stop()
        self._server.close()

    def _put(
        self, items: Sequence[NewItem], atomic: bool | None, *, must_exist: bool
    ) -> WriteReport:
        if not items:
            return self._report([])
        while True:
            opened = self._opened
            ids = [item.item_id for item in items]
            check_items(items, opened.gallery.manifest)
            stored = find_stored(opened.gallery, ids)
            if must_exist:
                require_stored(ids, stored)
            usable, failed, encoded = self._encode(items, stored, opened)
            if failed and (len(items) == 1 if atomic is None else atomic):
                raise explain_failures(failed, len(items))
            with self._mutex:
                self.reload()
                if self._opened.gallery.collection != opened.gallery.collection:
                    continue  # copied anew: the photos belong to another collection
                plan = plan_items(opened.gallery, usable, encoded, stored)
                if plan.entities:
                    self._accept(write_items(opened.gallery, plan.entities, stored))
                break
        done = {outcome.item_id: outcome for outcome in plan.outcomes}
        for entry in failed:
            item_id = entry.item.item_id
            done[item_id] = Outcome(item_id, "failed", str(entry.error))
        return self._report([done[item_id] for item_id in ids])

    def _encode(
        self, items: Sequence[NewItem], stored: Stored, opened: Opened
    ) -> tuple[list[Incoming], list[Incoming], pa.Table]:
        """Decode and encode: the usable items, those that failed, and rows of the first."""
        gallery, encoder = opened
        metadata = check_items(items, gallery.manifest)
        known = {item_id: item["content_hash"] for item_id, item in stored.items()}
        incoming = load_items(items, metadata, known, encoder, self._options.max_pixels)
        usable = [entry for entry in incoming if entry.error is None]
        encoded = encode_items(usable, encoder, Int8Codec(), gallery.manifest, columns_of(gallery))
        return usable, [entry for entry in incoming if entry.error is not None], encoded

    def _accept(self, state: State) -> None:
        gallery, encoder = self._opened
        count = self._server.count(gallery.collection, VERIFY)
        self._opened = self._opened._replace(gallery=gallery.at(state, count), encoder=encoder)
        self._engine = self._make_engine()

    def _make_engine(self) -> SearchEngine:
        gallery, encoder = self._opened
        # The plan of a service loads model.encoder.Encoder; only tests have others.
        pixels = self._options.max_pixels
        return SearchEngine(gallery, cast(Encoder, encoder), max_pixels=pixels)

    def _report(self, outcomes: list[Outcome]) -> WriteReport:
        stamp = self._opened.gallery.stamp
        return WriteReport(stamp.version, stamp.items, outcomes)

    def _refuse_attribute(self, name: str) -> NoReturn:
        raise ParameterError(
            f"the attribute {name!r} cannot be changed in a gallery on a Milvus server; learn or "
            "remove it in the index folder, and copy that again with --overwrite"
        )

    def _follow(self) -> None:
        self._tasks.run("reload", self.reload)


def open_milvus_live(
    index: Path | str,
    *,
    device: str = "auto",
    runtime: str = "eager",
    checkpoint: Path | None = None,
    options: LiveOptions | None = None,
) -> MilvusEngine:
    """Open a gallery on a Milvus server to search and to change it; see `open_live`."""
    chosen = replace(options or LiveOptions(), device=device)
    server = Server(parse_address(index))
    return MilvusEngine(server, StoredCheckpoint(checkpoint, device, runtime), chosen)
