"""`indexer attribute add`, `list` and `remove`."""

import time
from pathlib import Path
from typing import Annotated

import typer

from indexer.attribute_examples import read_examples
from indexer.attribute_files import add_learned, remove_learned
from indexer.checkpoint import StoredCheckpoint
from indexer.cli import options
from indexer.cli.render import print_attributes, print_json
from indexer.files import lock_for_writing
from indexer.gallery import EmbeddedGallery
from indexer.manifest import Manifest

attribute = typer.Typer(
    name="attribute",
    no_args_is_help=True,
    help="Attributes to search by: list them, learn one from examples, remove it again.",
)

Name = Annotated[str, typer.Argument(help="Name of the attribute.", show_default=False)]


@attribute.command()
def add(
    name: Name,
    index: options.Index,
    examples: Annotated[
        Path,
        typer.Option(
            help="CSV with a column item_id, or image (relative to the CSV), and a column value.",
            show_default=False,
        ),
    ],
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Learn an attribute from about 20 examples; no item is encoded again.

    Example: `python -m indexer attribute add pocket_shape --examples pockets.csv --index out/shop`
    """
    from indexer.attribute_learning import learn_from_items, learn_from_photos

    started = time.perf_counter()
    given = read_examples(examples)
    with EmbeddedGallery.open(index, token_budget_mb=0) as gallery:
        if given.photos:
            encoder = StoredCheckpoint(None, device).load(gallery.checkpoint)
            heads = learn_from_photos(gallery, encoder, name, given.photos)
        else:
            heads = learn_from_items(gallery, name, given.items)
        with lock_for_writing(index):
            manifest = Manifest.load(index)  # a rebuild may have been published meanwhile
            folder = manifest.files(index).attributes
            known = add_learned(folder, manifest.fingerprint, heads)
    described = next(each for each in known.describe() if each.name == name)
    if as_json:
        print_json(described)
        return
    typer.echo(
        f"Learned {name} ({', '.join(described.values)}) from {described.num_examples} examples in "
        f"{time.perf_counter() - started:.1f} s; all items of {index} can be searched by it."
    )


@attribute.command(name="list")
def list_attributes(index: options.Index, as_json: options.Json = False) -> None:
    """List the attributes of an index, with their values and quality.

    Example: `python -m indexer attribute list --index out/shop`
    """
    with EmbeddedGallery.open(index, token_budget_mb=0) as gallery:
        known = gallery.attributes.describe()
    if as_json:
        print_json({"attributes": [vars(each) for each in known]})
    elif known:
        print_attributes(known)
    else:
        typer.echo(f"{index} has no attributes: none came with its checkpoint.")


@attribute.command()
def remove(name: Name, index: options.Index, as_json: options.Json = False) -> None:
    """Remove an attribute that was learned from examples.

    Example: `python -m indexer attribute remove pocket_shape --index out/shop`
    """
    with lock_for_writing(index), EmbeddedGallery.open(index, token_budget_mb=0) as gallery:
        folder = gallery.manifest.files(index).attributes
        remove_learned(folder, gallery.manifest.fingerprint, name)
    if as_json:
        print_json({"removed": name})
    else:
        typer.echo(f"Removed {name}.")
