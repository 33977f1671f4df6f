"""`indexer info` and `indexer verify`."""

from contextlib import closing
from pathlib import Path
from typing import Any

import typer

from indexer.checkpoint import StoredCheckpoint
from indexer.cli import options
from indexer.cli.render import print_facts, print_json, show_progress
from indexer.gallery import EmbeddedGallery
from indexer.milvus.address import is_address, parse_address
from indexer.protocols import Gallery
from indexer.verify import verify as verify_index


def info(index: options.Index, as_json: options.Json = False) -> None:
    """Show what an index holds and which checkpoint made it.

    Example: `python -m indexer info --index out/shop`
    """
    facts = describe_index(index)
    if as_json:
        print_json(facts)
        return
    names = [each["name"] for each in facts["attributes"]]
    columns = ", ".join(f"{name} ({kind})" for name, kind in facts["metadata"].items())
    attributes = ", ".join(names) or "none"
    print_facts({**facts, "metadata": columns or "none", "attributes": attributes})


def describe_index(index: Path) -> dict[str, Any]:
    """Collect the facts of an index, or of a gallery on a Milvus server."""
    if is_address(index):
        return _describe_address(index)
    with EmbeddedGallery.open(index, token_budget_mb=0) as gallery:
        facts = describe_state(gallery)
        return {"index": str(index), **facts, "megabytes": round(_count_bytes(index) / 1e6, 1)}


def describe_state(gallery: Gallery) -> dict[str, Any]:
    """Collect what every gallery knows of itself."""
    manifest, stamp = gallery.manifest, gallery.stamp
    return {
        "version": stamp.version,
        "items": stamp.items,
        "products": gallery.num_products(),
        "fingerprint": stamp.fingerprint,
        "weights": manifest.weights,
        "trained_for_retrieval": manifest.trained_for_retrieval,
        "levels": manifest.dims.levels,
        "tokens_per_level": manifest.dims.num_tokens,
        "token_dim": manifest.dims.token_dim,
        "tokens": manifest.dims.tokens,
        "global_dim": manifest.dims.global_dim,
        "recall": manifest.recall,
        "recall_dim": manifest.dims.recall_width,
        "metadata": gallery.metadata_columns(),
        "attributes": [vars(each) for each in gallery.attributes.describe()],
        "source": manifest.source.path,
        "created": manifest.created.isoformat(),
        "tool_version": manifest.tool_version,
    }


def verify(
    index: options.Index, device: options.Device = "auto", as_json: options.Json = False
) -> None:
    """Check every item, its photo, the checkpoint and the recall index; exit 1 on problems.

    Example: `python -m indexer verify --index out/shop`
    """
    with show_progress() as progress:
        found = verify_index(index, plan=StoredCheckpoint(device=device), progress=progress)
    if as_json:
        print_json(found)
    else:
        for sentence in [*found.problems, *(f"Note: {note}" for note in found.notes)]:
            typer.echo(sentence)
        typer.echo(
            f"{found.items:,} items, {found.photos_checked:,} photos compared, "
            f"{found.photos_missing:,} not on this machine: {len(found.problems)} problems."
        )
    if found.problems:
        raise typer.Exit(1)


def _describe_address(index: Path) -> dict[str, Any]:
    from indexer.milvus.opening import open_gallery  # needs the extra `milvus`
    from indexer.milvus.server import Server

    address = parse_address(index)
    with closing(Server(address)) as server:
        gallery = open_gallery(server)
        place = {"collection": gallery.collection, "vector_index": gallery.state.index_kind}
        return {"index": str(address), **describe_state(gallery), **place}


def _count_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
