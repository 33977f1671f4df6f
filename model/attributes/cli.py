"""`python -m model attributes train` and `evaluate`: attributes over a checkpoint's tokens."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from model.attributes.data import load_attribute_data
from model.attributes.heads import check_checkpoint, load_heads, save_heads
from model.attributes.learning_curve import COUNTS, measure_examples, render_examples
from model.attributes.records import AttributeData
from model.attributes.report import render_attributes
from model.attributes.stored import measure_stored
from model.attributes.token_cache import TokenStore, encode_photos
from model.attributes.training import (
    measure_chance,
    measure_heads,
    measure_vectors,
    restrict,
    train_heads,
)
from model.data.records import Photo
from model.encoder import Encoder
from model.errors import DataError, ParameterError
from model.runtime.names import HELP
from model.shipped import shipped_attributes, shipped_checkpoint

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

Data = Annotated[
    str, typer.Option(help="Data set with attributes, such as stitch or attributes-csv:FILE.")
]
CheckpointFile = Annotated[
    Path | None, typer.Option(help="Whose tokens are read; the one that comes with the program.")
]
Cache = Annotated[
    Path | None, typer.Option(help="A .npz that keeps encoded photos from one run to the next.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Runtime = Annotated[str, typer.Option(help=HELP, envvar="SELVEDGE_RUNTIME")]


@app.callback()
def verbs() -> None:
    """Attributes computed from the tokens a gallery stores: no bytes an image."""


@app.command()
def train(
    data: Data,
    out: Annotated[Path, typer.Option(help="The .safetensors file to write.")],
    checkpoint: CheckpointFile = None,
    tokens: Cache = None,
    device: Device = "auto",
    runtime: Runtime = "auto",
) -> None:
    """Fit attributes to a checkpoint's tokens; the network stays as it is.

    Encoding takes most of the time (a second for some tens of photos); fitting takes seconds.

    Example: python -m model attributes train --data stitch --out out/attributes.safetensors
    """
    found = load_attribute_data(data)
    found.check_trainable()
    encoder = Encoder.from_checkpoint(checkpoint or shipped_checkpoint(), device, runtime)
    photos = [each.photo for each in (*found.train, *found.valid.photos)]
    store = _encode(encoder, photos, tokens)
    count = len(found.train)
    heads = train_heads(
        found,
        store.take(range(count)),
        store.take(range(count, len(photos))),
        encoder.fingerprint,
        say=_say,
    )
    save_heads(heads, out)
    for info in heads.infos:
        _say(f"{info.name}: mAP {info.quality:.3f} on validation, {info.num_examples:,} photos")
    typer.echo(out)


@app.command()
def evaluate(
    data: Data,
    heads: Annotated[
        Path | None, typer.Option(help="Attributes to measure; those of the program.")
    ] = None,
    checkpoint: CheckpointFile = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(help="HEAD=ATTRIBUTE: measure a head on another attribute; repeatable."),
    ] = None,
    tokens: Cache = None,
    device: Device = "auto",
    runtime: Runtime = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder for one JSON a method.")] = None,
) -> None:
    """Measure attributes on test photos beside the global feature, and print the table.

    Rows: random vectors, the global feature, the vector of recall, attributes from tokens, and
    the same embeddings stored as int8.

    Example: python -m model attributes evaluate --data stitch
    """
    found = load_attribute_data(data)
    encoder = Encoder.from_checkpoint(checkpoint or shipped_checkpoint(), device, runtime)
    path = heads or shipped_attributes()
    loaded = load_heads(path)
    check_checkpoint(loaded, encoder.fingerprint, str(path))
    loaded = loaded.renamed(_parse_names(rename or []))
    known = [k for k, each in enumerate(found.attributes) if each.name in loaded.names]
    split = restrict(found.test, known)
    if not split.queries:
        raise DataError(
            f"{path} knows {', '.join(loaded.names)}, and {found.name} is asked for "
            f"{_list_names(found)}; say which is which with --rename HEAD=ATTRIBUTE"
        )
    store = _encode(encoder, [each.photo for each in found.test.photos], tokens)
    results = [
        measure_chance(found, split),
        measure_vectors(store.global_feature, "global feature", found, split),
        measure_heads(loaded, found, split, store),
        measure_stored(loaded, found, split, store),
    ]
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for result in results:
            name = result.method.replace(" ", "-")
            (out / f"{name}.json").write_text(result.model_dump_json(indent=1) + "\n")
    typer.echo(render_attributes(results))


@app.command()
def examples(
    data: Data,
    heads: Annotated[
        Path | None, typer.Option(help="The known attributes; those of the program.")
    ] = None,
    checkpoint: CheckpointFile = None,
    counts: Annotated[list[int] | None, typer.Option(help="Examples; 5, 20 and 100.")] = None,
    draws: Annotated[int, typer.Option(min=1, help="Random choices of each number.")] = 3,
    tokens: Cache = None,
    device: Device = "auto",
    runtime: Runtime = "auto",
) -> None:
    """Take each attribute in turn for unknown, learn it from few examples, and measure.

    Example: python -m model attributes examples --data stitch
    """
    found = load_attribute_data(data)
    found.check_trainable()
    encoder = Encoder.from_checkpoint(checkpoint or shipped_checkpoint(), device, runtime)
    path = heads or shipped_attributes()
    loaded = load_heads(path)
    check_checkpoint(loaded, encoder.fingerprint, str(path))
    photos = [each.photo for each in (*found.train, *found.test.photos)]
    store = _encode(encoder, photos, tokens)
    first, rest = range(len(found.train)), range(len(found.train), len(photos))
    rows = measure_examples(
        loaded, found, store.take(first), store.take(rest), counts=counts or COUNTS, draws=draws
    )
    typer.echo(render_examples(rows))


def _encode(encoder: Encoder, photos: Sequence[Photo], cache: Path | None) -> TokenStore:
    def progress(done: int, total: int) -> None:
        if done % 320 == 0 or done == total:
            _say(f"{done:,} of {total:,} photos encoded")

    return encode_photos(encoder, photos, cache, progress)


def _list_names(data: AttributeData) -> str:
    return ", ".join(each.name for each in data.attributes)


def _parse_names(pairs: Sequence[str]) -> dict[str, str]:
    for pair in pairs:
        if pair.count("=") != 1 or not all(pair.split("=")):
            raise ParameterError(f"--rename {pair!r} is not HEAD=ATTRIBUTE, such as print=pattern")
    return dict(tuple(pair.split("=")) for pair in pairs)  # type: ignore[misc]


def _say(sentence: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(sentence, markup=False)
