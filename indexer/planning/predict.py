"""From what one item and one query cost to what a gallery of any size will cost.

Nothing is measured here: the same `Measured` and the same size give the same plan.
"""

from typing import NamedTuple

from indexer.cells import count_cells, count_comparisons, count_probed
from indexer.gallery import DEFAULT_TOKEN_BUDGET_MB
from indexer.planning.measure import SMALL, Measured
from indexer.planning.sizes import format_bytes, format_count, format_seconds
from indexer.recall import EXACT_LIMIT
from indexer.requests import DEFAULT_CANDIDATES

# Of the memory, for what grows with use: uploads, kept queries, the system's own caches.
_SPARED = 0.15
_ROW_ID = 8
# A counter of products, the list of rows, and where each lies.
_MAPS = 44


class Prediction(NamedTuple):
    """One figure: bytes or seconds, by its unit, and the measurement it comes from."""

    name: str
    value: float
    unit: str
    source: str

    def __str__(self) -> str:
        return format_bytes(self.value) if self.unit == "bytes" else format_seconds(self.value)


class Plan(NamedTuple):
    """What to expect of a gallery, how to set it up, and what to know about it."""

    items: int
    memory_bytes: int
    configuration: dict[str, str]
    predictions: list[Prediction]
    notes: list[str]

    def find(self, name: str) -> float:
        """The value of one prediction."""
        return next(each.value for each in self.predictions if each.name == name)


def predict(measured: Measured, items: int, memory_bytes: int | None = None) -> Plan:
    """Predict disk, memory, build time and latency; `memory_bytes` is the machine's by default."""
    memory = memory_bytes or measured.memory_bytes
    exact = items <= EXACT_LIMIT
    recall_bytes = _count_recall_bytes(measured, items, exact)
    fixed = measured.process_bytes + recall_bytes + items * _MAPS
    tokens = items * measured.token_bytes
    resident = fixed + tokens <= (1 - _SPARED) * memory
    parts = [
        *_predict_disk(measured, items, recall_bytes),
        *_predict_memory(measured, items, recall_bytes, tokens if resident else 0),
        *_predict_build(measured, items, exact),
        *_predict_search(measured, items, exact, resident),
    ]
    plan = Plan(items, memory, _configure(measured, items, exact, resident), parts, [])
    return plan._replace(notes=_remark(plan, measured, resident))


def _count_recall_bytes(measured: Measured, items: int, exact: bool) -> int:
    vector = 4 * measured.dims.recall_width
    return items * (vector + _ROW_ID) + (0 if exact else count_cells(items) * vector)


def _configure(measured: Measured, items: int, exact: bool, resident: bool) -> dict[str, str]:
    cells = count_cells(items)
    budget = DEFAULT_TOKEN_BUDGET_MB
    if resident:
        budget = max(budget, -(-items * measured.token_bytes // 1_000_000))
    return {
        "recall": "exact: every item is compared" if exact else
        f"cells (IVF): {count_probed(cells):,} of {cells:,} are looked into",
        "tokens": "in memory" if resident else "on disk, read by row",
        "SELVEDGE_TOKEN_BUDGET_MB": str(budget if resident else 0),
        "candidates": str(DEFAULT_CANDIDATES),
        "SELVEDGE_RUNTIME": measured.runtime,
        "device": measured.device,
    }  # fmt: skip


def _predict_disk(measured: Measured, items: int, recall_bytes: int) -> list[Prediction]:
    rows = items * measured.row_bytes
    kept_bytes = rows + recall_bytes + measured.fixed_bytes
    kept = f"{format_bytes(measured.row_bytes)} an item in a gallery of {SMALL:,} random items"
    return [
        Prediction("disk", kept_bytes, "bytes", f"{kept}, its recall index, the checkpoint"),
        Prediction(
            "disk while building",
            kept_bytes + rows,
            "bytes",
            "files are merged at the end, and the old ones deleted after",
        ),
    ]


def _predict_memory(
    measured: Measured, items: int, recall_bytes: int, tokens: int
) -> list[Prediction]:
    process = measured.process_bytes + items * _MAPS
    whole = process + recall_bytes + tokens
    says = "tokens in memory" if tokens else "no tokens"
    source = (
        f"process {format_bytes(process)} (measured), recall index {format_bytes(recall_bytes)}, "
        f"{says} {format_bytes(tokens) if tokens else ''}".rstrip()
    )
    found = [Prediction("memory", whole, "bytes", source)]
    if measured.device_bytes:
        used = measured.device_bytes + recall_bytes
        found.append(
            Prediction("GPU memory", used, "bytes", "measured while encoding, and the recall index")
        )
    return found


def _predict_build(measured: Measured, items: int, exact: bool) -> list[Prediction]:
    encoding = items * (measured.photo_s + measured.write_s)
    indexing = 0.0 if exact else measured.training_s * count_comparisons(items)
    # Merging reads and writes everything once more.
    merging = items * measured.write_s
    total = measured.start_s + encoding + merging + indexing
    rate = f"{1 / measured.photo_s:.3g} photos a second with {measured.runtime}"
    return [
        Prediction("build", total, "seconds", f"{rate}, and what comes before and after"),
        Prediction("of that, the recall index", indexing, "seconds", "an index of 12,000 items"),
    ]


def _predict_search(
    measured: Measured, items: int, exact: bool, resident: bool
) -> list[Prediction]:
    stages = measured.stages_s
    recall = measured.flat_s * items
    source = f"{format_seconds(measured.flat_s * 1_000_000)} to compare a million vectors"
    if not exact:
        cells = count_cells(items)
        recall = measured.cells_s * (items * count_probed(cells) / cells + cells)
        source = f"{format_seconds(measured.cells_s * 1e6)} to compare a million in their cells"
    fetch = stages["fetch"] if resident else measured.fetch_from_disk_s
    small = f"searches in {SMALL:,} random items"
    parts = [
        Prediction("decode", stages["decode"], "seconds", "a JPEG of 750 x 1101"),
        Prediction("encode", stages["encode"], "seconds", f"{measured.runtime}, one photo"),
        Prediction("recall", recall, "seconds", source),
        Prediction("fetch", fetch, "seconds", f"{small}{'' if resident else ', from disk'}"),
        Prediction("re-rank", stages["align"], "seconds", f"{DEFAULT_CANDIDATES} candidates"),
    ]
    total = sum(each.value for each in parts)
    return [*parts, Prediction("search", total, "seconds", "the sum of its stages; no HTTP")]


def _remark(plan: Plan, measured: Measured, resident: bool) -> list[str]:
    notes = []
    needed, disk = plan.find("memory"), plan.find("disk while building")
    if needed > plan.memory_bytes:
        notes.append(
            f"{format_count(plan.items)} items need {format_bytes(needed)} of memory and there are "
            f"{format_bytes(plan.memory_bytes)}: searches would read the recall index from disk. "
            "Take a larger machine, or split the gallery"
        )
    if disk > measured.free_disk_bytes:
        free = format_bytes(measured.free_disk_bytes)
        notes.append(
            f"building takes {format_bytes(disk)} on disk and {free} are free here: choose "
            "another disk for --index"
        )
    if not resident and plan.find("disk") > plan.memory_bytes:
        notes.append(
            "the gallery is larger than the memory, so that fetching waits for the disk: its time "
            "was measured on files that the system still had in memory"
        )
    return notes
