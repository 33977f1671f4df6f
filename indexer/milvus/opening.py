"""Opening a gallery on a Milvus server: the collection, its encoder and its attributes."""

import tempfile
from pathlib import Path
from typing import NamedTuple, cast

from indexer.attributes import AttributeSet, read_attributes
from indexer.checkpoint import EncoderSource, StoredCheckpoint
from indexer.engine import SearchEngine
from indexer.files import storage_errors
from indexer.gallery import require_fingerprint
from indexer.milvus.address import Address, parse_address
from indexer.milvus.client import VERIFY
from indexer.milvus.facts import ATTRIBUTES, CHECKPOINT, Facts
from indexer.milvus.fields import require_schema
from indexer.milvus.gallery import MilvusGallery
from indexer.milvus.server import Server
from indexer.protocols import EncoderLike
from model.encoder import Encoder
from model.errors import GalleryMismatchError
from model.images import MAX_PIXELS


class Opened(NamedTuple):
    """A gallery and the encoder that belongs to it."""

    gallery: MilvusGallery
    encoder: EncoderLike


def open_gallery(server: Server) -> MilvusGallery:
    """Open the published collection.

    Raises:
        GalleryNotFoundError: there is none, or its copy is not finished.
        GalleryMismatchError: no gallery, or its fields are not those of its manifest.
        StorageError: the server does not answer, or what it holds is damaged.
    """
    collection = server.find_published()
    facts = Facts(server, collection)
    if not facts.exists():
        raise GalleryMismatchError(
            f"{server.address} has lost what lies beside its items (manifest, checkpoint); copy "
            "the gallery again with --overwrite"
        )
    manifest, state = facts.read_manifest(), facts.read_state(VERIFY)
    require_schema(server.address, server.describe(collection), manifest)
    server.load(collection)
    attributes = _read_attributes(facts, manifest.fingerprint)
    return MilvusGallery(server, collection, manifest, state, server.count(collection), attributes)


def open_with_encoder(server: Server, plan: EncoderSource, before: Opened | None = None) -> Opened:
    """Open the published collection and its encoder; that of `before` is used where it fits.

    Raises as `open_gallery`, and GalleryMismatchError for an encoder that did not make it.
    """
    gallery = open_gallery(server)
    if before is not None and before.encoder.fingerprint == gallery.manifest.fingerprint:
        return Opened(gallery, before.encoder)
    data = Facts(server, gallery.collection).read(CHECKPOINT)
    with tempfile.TemporaryDirectory(prefix="selvedge-") as folder:
        path = Path(folder) / CHECKPOINT
        if data is not None:
            with storage_errors(path, "writing"):
                path.write_bytes(data)
        encoder = plan.load(path)
    require_fingerprint(Path(str(server.address)), gallery.manifest, encoder.fingerprint)
    return Opened(gallery, encoder)


def open_milvus_engine(
    index: Path | str | Address,
    *,
    device: str = "auto",
    runtime: str = "eager",
    checkpoint: Path | None = None,
    max_pixels: int = MAX_PIXELS,
) -> SearchEngine:
    """Open a gallery on a Milvus server to search in it; the arguments are `open_engine`'s."""
    address = index if isinstance(index, Address) else parse_address(index)
    server = Server(address)
    opened = open_with_encoder(server, StoredCheckpoint(checkpoint, device, runtime))
    return SearchEngine(opened.gallery, cast(Encoder, opened.encoder), max_pixels=max_pixels)


def _read_attributes(facts: Facts, fingerprint: str) -> AttributeSet:
    with tempfile.TemporaryDirectory(prefix="selvedge-") as folder:
        for name in facts.list_files():
            if name.startswith(ATTRIBUTES):
                path = Path(folder) / name.removeprefix(ATTRIBUTES)
                with storage_errors(path, "writing"):
                    path.write_bytes(facts.read(name) or b"")
        return read_attributes(Path(folder), fingerprint)
