"""Ranks to an Evaluation: means over queries, intervals over items.

Queries without a relevant item in the gallery have no average precision. As in CTL's
code they are counted, reported, and left out of every mean.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from model.errors import DataError, ParameterError
from model.evaluation.calibration import (
    cross_fit,
    expected_calibration_error,
    reliability_bins,
)
from model.evaluation.metrics import (
    Interval,
    Ranks,
    average_precision_of,
    bootstrap_interval,
    paired_interval,
    r_precision_ap_of,
    recall_of,
)
from model.evaluation.ranker import Ranker, RowKey
from model.evaluation.results import (
    Ceiling,
    Counts,
    Curve,
    Evaluation,
    Gain,
    Measured,
    PerQuery,
    Point,
    Reliability,
    Row,
)

Values = dict[str, NDArray[np.float64]]
_CEILING = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
SHORT = ("mAP", "R@1")


def measure(ranks: Ranks, ks: Sequence[int]) -> Values:
    """Every measure of each query, by its name in tables.

    >>> measure(np.array([[1, 4]]), (1,))
    {'mAP': array([0.75]), 'mAP@R': array([0.5]), 'R@1': array([1.])}
    """
    found = {"mAP": average_precision_of(ranks), "mAP@R": r_precision_ap_of(ranks)}
    return found | {f"R@{k}": recall_of(ranks, k).astype(np.float64) for k in ks}


def summarise(name: str, ranker: Ranker, timings_s: dict[str, float]) -> Evaluation:
    """Put together what `ranker` has ranked."""
    return _Summariser(name, ranker).evaluation(timings_s)


def compare(name: str, found: Evaluation, other: Evaluation) -> Gain:
    """The main ranking of one network minus another's, on the same queries, paired.

    Raises:
        ParameterError: the two did not answer the same queries.
    """
    one, two = found.per_query, other.per_query
    if one is None or two is None or not np.array_equal(one.items, two.items):
        raise ParameterError(
            f"{found.data_set} and {other.data_set} were not asked the same queries in this run; "
            "evaluate both networks on one set"
        )
    metrics = {}
    for metric in one.measures.keys() & two.measures.keys():
        low, high = paired_interval(one.measures[metric], two.measures[metric], one.items)
        change = float((one.measures[metric] - two.measures[metric]).mean())
        metrics[metric] = Measured(value=change, low=low, high=high)
    return Gain(name=name, metrics={m: metrics[m] for m in one.measures if m in metrics})


class _Summariser:
    def __init__(self, name: str, ranker: Ranker) -> None:
        self.name, self.ranker, self.settings = name, ranker, ranker.settings
        every = ranker.all_ranks()
        any_ranking = every[RowKey("global")]
        self.able: NDArray[np.bool_] = recall_of(any_ranking, ranker.size)
        if not self.able.any():
            raise DataError(
                f"none of the {len(self.able)} queries of {name or 'the set'} has a photo of its "
                "item in the gallery (another than itself); check the item column"
            )
        self.ranks = {key: found[self.able] for key, found in every.items()}
        self.values = {key: measure(found, self.settings.ks) for key, found in self.ranks.items()}
        self.items = ranker.pairing.query_items[self.able]

    def evaluation(self, timings_s: dict[str, float]) -> Evaluation:
        ranker = self.ranker
        main = self._row(ranker.main_key)
        return Evaluation(
            data_set=self.name,
            alpha=ranker.alpha,
            main=main.name,
            counts=self._counts(),
            rows=tuple(map(self._row, self._tabled())),
            gains=tuple(self._gains()),
            ceilings=tuple(map(self._ceiling, ranker.vectors)),
            curves=tuple(self._alpha_curves()),
            notes=tuple(self._notes()),
            timings_s=timings_s,
            settings=self._settings(),
            hits=ranker.all_hits(),
            per_query=PerQuery(self.items, self.values[ranker.main_key]),
            reliability=self._reliability(),
        )

    def _reliability(self) -> Reliability | None:
        """Of curves fitted on other items of this set; None for a single item."""
        if len(np.unique(self.items)) < 2:
            return None
        hits = self.ranker.all_hits()
        score, same = hits.fused[self.able, 0], hits.same[self.able, 0]
        said = cross_fit(score, same, self.items, seed=self.settings.seed)
        bins = reliability_bins(said, same)
        source = "curves fitted on other items of this set, five folds"
        error = expected_calibration_error(bins)
        return Reliability(bins=tuple(bins), error=error, source=source)

    def _tabled(self) -> list[RowKey]:
        """Rankings of the table, without those that only serve the sweep."""
        return [key for key in self.ranks if key.alpha in (None, self.ranker.alpha)]

    def _row(self, key: RowKey) -> Row:
        return Row(**key._asdict(), metrics=self._measured(self.values[key], self._interval))

    def _gains(self) -> list[Gain]:
        main, alpha = self.ranker.main_key, self.ranker.alpha
        pairs = [(f"fused (best {main.candidates}) − global", main, RowKey("global"))]
        if self.ranker.exhaustive:
            every = RowKey("fused", alpha=alpha)
            pairs += [
                ("fused (exhaustive) − global", every, RowKey("global")),
                ("token − global", RowKey("token"), RowKey("global")),
                ("fused − token", every, RowKey("token")),
                (f"fused, best {main.candidates} − exhaustive", main, every),
            ]
        for vector in list(self.ranker.vectors)[1:]:
            other = main._replace(recall=vector)
            pairs.append((f"fused, recall by {vector} − by {main.recall}", other, main))
        return [self._gain(*pair) for pair in pairs]

    def _gain(self, name: str, key: RowKey, than: RowKey) -> Gain:
        values, others = self.values[key], self.values[than]
        metrics = {}
        for metric in values:
            low, high = paired_interval(
                values[metric], others[metric], self.items, *self._bootstrap
            )
            change = float((values[metric] - others[metric]).mean())
            metrics[metric] = Measured(value=change, low=low, high=high)
        return Gain(name=name, metrics=metrics)

    def _ceiling(self, vector: str) -> Ceiling:
        ranks = self.ranks[RowKey(vector)]
        ks = sorted({min(k, self.ranker.size) for k in (*_CEILING, *self.ranker.counts)})
        hit = {str(k): recall_of(ranks, k).astype(np.float64) for k in ks}
        found = self._measured(hit, self._interval)
        return Ceiling(vector=vector, recall={int(k): value for k, value in found.items()})

    def _alpha_curves(self) -> list[Curve]:
        if not self.settings.alphas:
            return []
        main = self.ranker.main_key
        families = [(f"best {main.candidates} by {name}", main._replace(recall=name))
                    for name in self.ranker.vectors]  # fmt: skip
        if self.ranker.exhaustive:
            families.append(("exhaustive", RowKey("fused", alpha=main.alpha)))
        return [
            Curve(setting="alpha", ranking=name, points=self._sweep(key)) for name, key in families
        ]

    def _sweep(self, key: RowKey) -> tuple[Point, ...]:
        points = []
        for alpha in sorted({self.ranker.alpha, *self.settings.alphas}):
            values = self.values[key._replace(alpha=alpha)]
            found = self._measured({name: values[name] for name in self._short}, self._interval)
            chosen = alpha == self.ranker.alpha
            points.append(Point(value=f"{alpha:g}", chosen=chosen, metrics=found))
        return tuple(points)

    @property
    def _short(self) -> list[str]:
        return [name for name in SHORT if name in next(iter(self.values.values()))]

    def _measured(
        self, values: Values, interval: Callable[[NDArray[np.float64]], Interval]
    ) -> dict[str, Measured]:
        found = {}
        for name, value in values.items():
            low, high = interval(value)
            found[name] = Measured(value=float(value.mean()), low=low, high=high)
        return found

    def _interval(self, values: NDArray[np.float64]) -> Interval:
        return bootstrap_interval(values, self.items, *self._bootstrap)

    @property
    def _bootstrap(self) -> tuple[int, int, float]:
        return self.settings.seed, self.settings.rounds, self.settings.level

    def _counts(self) -> Counts:
        return Counts(
            queries=int(self.able.sum()),
            gallery=self.ranker.size,
            items=len(np.unique(self.items)),
            without_positive=int((~self.able).sum()),
            left_out_pairs=self.ranker.left_out_pairs,
        )

    def _settings(self) -> dict[str, str | int | float | bool | None]:
        chosen = self.settings
        return {
            "exhaustive": self.ranker.exhaustive,
            "int8": chosen.int8,
            "level": chosen.level,
            "main": self.ranker.main,
            "rounds": chosen.rounds,
            "seed": chosen.seed,
            "token_pairs": self.ranker.scorer.num_pairs,
        }

    def _notes(self) -> list[str]:
        counts, settings = self._counts(), self.settings
        notes = [
            "Ties count against the network; scores are compared to six decimals, in float32.",
            f"Brackets are {100 * settings.level:g} % bootstrap intervals: "
            f"{settings.rounds} draws of the {counts.items} items, not of single queries.",
            "Average precision runs over the whole gallery and is divided by the number of "
            "relevant items; mAP@R stops at that number.",
        ]
        if counts.without_positive:
            notes.append(
                f"{counts.without_positive} queries have no relevant item in the gallery; they "
                "are left out of every mean, as in CTL's code."
            )
        if counts.left_out_pairs:
            notes.append(
                f"{counts.left_out_pairs} pairs of a query with the very same photo in the "
                "gallery never match."
            )
        if not self.ranker.exhaustive:
            notes.append(
                "Tokens were not compared exhaustively: "
                f"{len(self.able) * counts.gallery:,} pairs; ask for it with --exhaustive."
            )
        if settings.int8:
            notes.append("Tokens were rounded to int8, as a gallery stores them.")
        return notes
