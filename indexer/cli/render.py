"""What commands print: results to stdout, progress and remarks to stderr."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from indexer.results import AttributeDescription, SearchResult


class ProgressBar:
    """One line on stderr for each stage."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task: TaskID | None = None

    def begin(self, stage: str, total: int | None) -> None:
        self._close()
        self._task = self._bar.add_task(stage, total=total)

    def advance(self, count: int = 1) -> None:
        if self._task is not None:
            self._bar.advance(self._task, count)

    def _close(self) -> None:
        """Let a stage without a known end stand as done."""
        if self._task is not None:
            task = self._bar.tasks[self._bar.task_ids.index(self._task)]
            self._bar.update(self._task, total=task.total or task.completed or 1)
            self._bar.update(self._task, completed=task.total or task.completed or 1)


@contextmanager
def show_progress() -> Iterator[ProgressBar]:
    """Draw progress on stderr while work runs."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield ProgressBar(bar)


def print_json(value: Any) -> None:
    """Print a dataclass or plain values as one JSON document."""
    plain = dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value  # type: ignore[arg-type]
    typer.echo(json.dumps(plain, indent=2, ensure_ascii=False, default=_to_text))


def print_facts(facts: dict[str, Any]) -> None:
    """Print names and values as two columns."""
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        typer.echo(f"{name:<{width}}  {value}")


def remark(sentence: str) -> None:
    """Say something on stderr."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(sentence, markup=False)


def warn_untrained(weights: str, trained_for_retrieval: bool) -> None:
    """Say honestly when the weights were not trained for what they are used for."""
    if not trained_for_retrieval:
        remark(f"Note: these weights were not trained for retrieval ({weights}).")


def print_hits(result: SearchResult) -> None:
    """Print hits as a table, best first; with what else orders them or is known of them."""
    table = Table(box=None, pad_edge=False)
    calibrated = any(hit.confidence is not None for hit in result.hits)
    asked = list(result.hits[0].scores.attributes) if result.hits else []
    more = ["combined", *asked] if asked else ["confidence"] if calibrated else []
    for name in ("rank", "fused", "global", "token", *more):
        table.add_column(name, justify="right")
    table.add_column("item", overflow="fold")
    table.add_column("product", overflow="fold")
    for hit in result.hits:
        scores = [hit.scores.fused, hit.scores.global_score, hit.scores.token_score]
        if asked:
            scores += [hit.scores.combined, *hit.scores.attributes.values()]
        numbers = ["" if score is None else f"{score:.4f}" for score in scores]
        if hit.confidence is not None:
            numbers.append(f"{hit.confidence:.2f}")
        table.add_row(str(hit.rank), *numbers, hit.item.item_id, hit.item.product_id)
    Console(highlight=False, markup=False).print(table)


def print_attributes(known: Sequence[AttributeDescription]) -> None:
    """Print attributes as a table."""
    table = Table(box=None, pad_edge=False)
    table.add_column("attribute")
    table.add_column("quality", justify="right")
    table.add_column("examples", justify="right")
    table.add_column("values", overflow="fold")
    table.add_column("source", overflow="fold")
    for each in known:
        quality = "" if each.quality is None else f"{each.quality:.2f}"
        count, values = f"{each.num_examples:,}", ", ".join(each.values)
        table.add_row(each.name, quality, count, values, each.source)
    Console(highlight=False, markup=False).print(table)


def to_plain(result: SearchResult) -> dict[str, Any]:
    """Lay a result out as the service does."""
    return {
        "hits": [
            {
                "rank": hit.rank,
                "item_id": hit.item.item_id,
                "product_id": hit.item.product_id,
                "uri": hit.item.uri,
                "metadata": hit.item.metadata,
                "scores": {
                    "global": hit.scores.global_score,
                    "token": hit.scores.token_score,
                    "fused": hit.scores.fused,
                    "attributes": dict(hit.scores.attributes),
                    "combined": hit.scores.combined,
                },
                "confidence": hit.confidence,
            }
            for hit in result.hits
        ],
        "no_confident_match": result.no_confident_match,
        "timings_ms": result.timings_ms,
        "gallery": dataclasses.asdict(result.gallery),
    }


def _to_text(value: Any) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
