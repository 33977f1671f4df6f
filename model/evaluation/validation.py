"""What training measures after an epoch: a few figures of the held-out items."""

from model.data.records import RetrievalSet
from model.evaluation.evaluate import evaluate_model
from model.evaluation.settings import Settings
from model.mga import MGA


def validate(model: MGA, held_out: RetrievalSet) -> dict[str, float]:
    """R@1 and mAP of held-out items: by the global score, and fused over 50 candidates."""
    found = evaluate_model(model, held_out, Settings.quick())
    figures: dict[str, float] = {}
    for row in found.rows:
        for metric in ("R@1", "mAP"):
            figures[f"{row.scores} {metric}"] = round(row.metrics[metric].value, 5)
    return figures
