"""How many examples a new attribute needs: each attribute in turn is taken for unknown.

Its own map is left out of the known ones, and it is learned again from a few labelled photos.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from model.attributes.examples import learn_attribute
from model.attributes.metrics import Bootstrap, evaluate_vectors
from model.attributes.records import AttributeData, AttributeSplit
from model.attributes.slot_heads import AttributeHeads
from model.attributes.token_cache import TokenStore
from model.attributes.training import restrict
from model.errors import ParameterError

COUNTS = (5, 20, 100)
# Of so many values, 20 examples can show each one several times.
FEW_VALUES = 5


class LearnedRow(NamedTuple):
    """mAP of one attribute on the test photos, 0..1: trained in full, random, and from examples.

    `learned` maps a number of examples to one mAP a draw. `num_values`: that training photos show.
    """

    name: str
    num_values: int
    full: float
    learned: dict[int, tuple[float, ...]]


def measure_examples(
    heads: AttributeHeads,
    data: AttributeData,
    train: TokenStore,
    test: TokenStore,
    *,
    counts: Sequence[int] = COUNTS,
    draws: int = 3,
    seed: int = 0,
) -> tuple[LearnedRow, ...]:
    """Learn every attribute of `heads` from random training photos and measure on `data.test`.

    `train` and `test` hold the photos of `data.train` and `data.test` in their order. The
    examples are of different items; a draw with one value only is drawn again.

    Raises:
        ParameterError: `heads` holds one attribute only.
    """
    if len(heads.names) < 2:
        raise ParameterError(
            "there is one attribute only; expected two or more, so that others are known"
        )
    rows = []
    for name in heads.names:
        k = data.index_of(name)
        if k not in data.test.queries:
            continue
        base = heads.only(other for other in heads.names if other != name)
        split = restrict(data.test, [k])
        learned = {}
        for count in counts:
            found = []
            for draw in range(draws):
                rng = np.random.default_rng([seed, k, count, draw])
                places = draw_examples(data, k, count, rng)
                values = [data.attributes[k].values[data.train[n].values[k]] for n in places]
                one = learn_attribute(name, *train.take(places).parts, values, base)
                found.append(_measure(one, name, data, split, test))
            learned[count] = tuple(found)
        shown = {photo.values[k] for photo in data.train if k in photo.values}
        full = _measure(heads, name, data, split, test)
        rows.append(LearnedRow(name, len(shown), full, learned))
    return tuple(rows)


def draw_examples(
    data: AttributeData, attribute: int, count: int, rng: np.random.Generator
) -> list[int]:
    """Draw training photos that carry the attribute, of different items where there are enough."""
    known = [n for n, photo in enumerate(data.train) if attribute in photo.values]
    while True:
        order = [known[int(n)] for n in rng.permutation(len(known))]
        first = list({data.train[n].photo.item: n for n in reversed(order)}.values())[::-1]
        places = (first + [n for n in order if n not in set(first)])[:count]
        values = [data.train[n].values[attribute] for n in places]
        if 1 < len(set(values)) < len(values):
            return places


def render_examples(rows: Sequence[LearnedRow]) -> str:
    """A Markdown table: mAP, per cent, mean over draws; then means over attributes."""
    counts = sorted(rows[0].learned)
    lines = [
        f"| attribute | values | {' | '.join(f'{count} examples' for count in counts)} | in full |",
        "|---" * (3 + len(counts)) + "|",
        *(_render_mean(f"{row.name} | {row.num_values}", [row], counts) for row in rows),
        _render_mean("mean |", rows, counts),
    ]
    few = [row for row in rows if row.num_values <= FEW_VALUES]
    if 0 < len(few) < len(rows):
        lines.append(_render_mean(f"mean of these | {FEW_VALUES} or fewer", few, counts))
    return "\n".join(lines)


def _render_mean(first: str, rows: Sequence[LearnedRow], counts: Sequence[int]) -> str:
    means = [np.mean([np.mean(row.learned[count]) for row in rows]) for count in counts]
    figures = [*means, np.mean([row.full for row in rows])]
    return f"| {first} | {' | '.join(f'{100 * x:.1f}' for x in figures)} |"


def _measure(
    heads: AttributeHeads, name: str, data: AttributeData, split: AttributeSplit, store: TokenStore
) -> float:
    results = evaluate_vectors(
        lambda k, places: heads.embed(name, *store.take(places).parts),
        split,
        data.attributes,
        bootstrap=Bootstrap(rounds=1),
    )
    return results.row(name).metrics["mAP"].value
