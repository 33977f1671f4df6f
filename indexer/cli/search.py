"""`indexer search`."""

from contextlib import closing
from pathlib import Path
from typing import Annotated, Literal

import typer

from indexer.cli import options
from indexer.cli.render import print_hits, print_json, remark, to_plain, warn_untrained
from indexer.requests import QueryPhoto, SearchRequest
from model.errors import ImageError, ParameterError


def search(
    index: options.Index,
    image: Annotated[
        Path | None, typer.Argument(help="The photo to look for.", show_default=False)
    ] = None,
    item: Annotated[
        str | None,
        typer.Option(help="Look for what is like this item instead.", show_default=False),
    ] = None,
    k: Annotated[
        int, typer.Option("-k", "--k", envvar="SELVEDGE_DEFAULT_K", help="Hits to return.")
    ] = 10,
    candidates: Annotated[
        int | None,
        typer.Option(
            envvar="SELVEDGE_CANDIDATES",
            help="Items that recall hands to the re-ranking. Default: 100; more find more and "
            "cost re-ranking time in proportion.",
            show_default=False,
        ),
    ] = None,
    aligned: Annotated[
        int | None,
        typer.Option(
            envvar="SELVEDGE_ALIGNED",
            help="The best of them that the whole alignment compares, where its first stage is "
            "trained. Default: 100; each costs as much as dozens of others.",
            show_default=False,
        ),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(
            envvar="SELVEDGE_ALPHA",
            help="Weight of the global score against the token score, 0 to 1. Default: the "
            "checkpoint's.",
            show_default=False,
        ),
    ] = None,
    group_by: Annotated[
        Literal["item", "product"],
        typer.Option(
            envvar="SELVEDGE_GROUP_BY", help="item: every photo; product: the best of each product."
        ),
    ] = "item",
    min_confidence: Annotated[
        float | None,
        typer.Option(
            help="Leave out hits less probably of the same product, 0 to 1; needs a calibrated "
            "checkpoint.",
            show_default=False,
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            "--filter",
            help="Only items for which this holds: SQL over the gallery's columns, "
            "item_id and product_id, such as \"price < 60 AND category = 'dress'\".",
            show_default=False,
        ),
    ] = None,
    exclude_product: Annotated[
        list[str] | None,
        typer.Option(help="Leave out this product; may be repeated.", show_default=False),
    ] = None,
    exclude_item: Annotated[
        list[str] | None,
        typer.Option(help="Leave out this item; may be repeated.", show_default=False),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            help="Order the candidates by this column, or by -COLUMN descending, not by score.",
            show_default=False,
        ),
    ] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=WEIGHT",
            help="Order by likeness in this attribute, with a weight above 0, to 1 (1 when left "
            "out); may be repeated.",
            show_default=False,
        ),
    ] = None,
    overall: Annotated[
        float | None,
        typer.Option(
            help="Weight of the whole likeness beside the attributes, 0 to 1. Default: 0.",
            show_default=False,
        ),
    ] = None,
    offset: Annotated[int, typer.Option(help="Leave out so many hits before the first.")] = 0,
    box: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option(
            help="Look at this part of the photo: left, top, right and bottom as fractions of its "
            "width and height.",
            show_default=False,
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            envvar="SELVEDGE_CHECKPOINT",
            help="Must be the one that built the index, whose own copy is used by default.",
            show_default=False,
        ),
    ] = None,
    device: options.Device = "auto",
    runtime: options.Runtime = "eager",
    as_json: options.Json = False,
) -> None:
    """Search a gallery with a photo, or with one of its items.

    Example: `python -m indexer search photo.jpg --index out/shop -k 5`
    """
    from indexer.engine import open_engine  # torch is slow to load, and only this needs it

    if (image is None) == (item is None):
        raise ParameterError("give either a photo or --item ITEM_ID")
    if box is not None and image is None:
        raise ParameterError("--box is a part of a photo; it has no meaning with --item")
    request = SearchRequest(
        k=k,
        offset=offset,
        candidates=candidates,
        aligned=aligned,
        alpha=alpha,
        group_by=group_by,
        min_confidence=min_confidence,
        filter=where,
        exclude_products=tuple(exclude_product or ()),
        exclude_items=tuple(exclude_item or ()),
        sort=sort,
        attributes=_read_weights(attribute or []),
        overall=overall,
    )
    data = _read(image) if image is not None else b""
    # One search does not pay for loading all tokens into memory, nor for a runtime of its own.
    with closing(
        open_engine(index, device=device, runtime=runtime, checkpoint=checkpoint, token_budget_mb=0)
    ) as engine:
        photo = [QueryPhoto(data, box)]
        result = (
            engine.search(photo, request) if item is None else engine.search_item(item, request)
        )
        facts = engine.info()
    warn_untrained(facts.weights, facts.trained_for_retrieval)
    if as_json:
        print_json(to_plain(result))
    elif result.no_confident_match:
        remark(f"No confident match: no hit is at least {min_confidence:g} probable.")
    else:
        print_hits(result)


def _read_weights(given: list[str]) -> dict[str, float]:
    """Read NAME or NAME=WEIGHT."""
    weights: dict[str, float] = {}
    for text in given:
        name, _, weight = text.partition("=")
        try:
            weights[name] = float(weight or 1)
        except ValueError:
            raise ParameterError(
                f"--attribute {text} has a weight that is no number; expected NAME=WEIGHT, such "
                "as collar=0.5"
            ) from None
    return weights


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror}); check the path") from error
