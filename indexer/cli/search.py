"""`indexer search`."""

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from indexer.cli import options
from indexer.cli.render import print_hits, print_json, remark, to_plain, warn_untrained
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
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            envvar="SELVEDGE_CHECKPOINT",
            help="Must be the one that built the index, whose own copy is used by default.",
            show_default=False,
        ),
    ] = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Search a gallery with a photo, or with one of its items.

    Example: `python -m indexer search photo.jpg --index out/shop -k 5`
    """
    from indexer.engine import open_engine  # torch is slow to load, and only this needs it

    if (image is None) == (item is None):
        raise ParameterError("give either a photo or --item ITEM_ID")
    data = _read(image) if image is not None else b""
    # One search does not pay for loading all tokens into memory.
    with closing(
        open_engine(index, device=device, checkpoint=checkpoint, token_budget_mb=0)
    ) as engine:
        how: dict[str, Any] = {
            "k": k,
            "candidates": candidates,
            "alpha": alpha,
            "group_by": group_by,
            "min_confidence": min_confidence,
        }
        result = engine.search(data, **how) if item is None else engine.search_item(item, **how)
        facts = engine.info()
    warn_untrained(facts.weights, facts.trained_for_retrieval)
    if as_json:
        print_json(to_plain(result))
    elif result.no_confident_match:
        remark(f"No confident match: no hit is at least {min_confidence:g} probable.")
    else:
        print_hits(result)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror}); check the path") from error
