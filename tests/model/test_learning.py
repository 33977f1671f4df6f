"""That training teaches: from little more than chance to nine in ten, on garments never seen.

Minutes on two cores, so `make learn` and continuous integration run it, and `make test` does
not. The set is an easy one on purpose (docs/training.md says how easy); what it proves is
that photos, losses, schedule and scores work together.
"""

from pathlib import Path

import pytest
import torch

from model.checkpoint import load_checkpoint
from model.config import get_preset
from model.data import load_dataset
from model.data.records import RetrievalSet
from model.evaluation.evaluate import evaluate_model
from model.evaluation.settings import Settings
from model.initialise import initialise
from model.mga import MGA
from model.recipes import get_recipe
from model.train import train

# No near-identical designs; chance is one in 16.
DESIGNS = "designs=1000&val=16&test=16&photos=2&persons=3&families=0&size=96&seed=0"


@pytest.mark.slow
def test_minutes_of_training_find_nine_in_ten_of_garments_never_seen(tmp_path: Path) -> None:
    recipe = get_recipe("mini")
    data = load_dataset(f"stitch:{tmp_path / 'drawn'}?{DESIGNS}")
    assert data.test is not None
    before = find_first(initialise(get_preset(recipe.preset), seed=recipe.seed).model, data.test)
    torch.set_num_threads(2)
    try:
        path = train(recipe, data, tmp_path / "run")
    finally:
        torch.set_num_threads(1)
    after = find_first(load_checkpoint(path).model, data.test)
    assert before <= 0.35
    assert after >= 0.9


def find_first(model: MGA, retrieval: RetrievalSet) -> float:
    """R@1 of people's photos among all shop photos, in two stages, as a search does."""
    return evaluate_model(model, retrieval, Settings.quick()).main_row.metrics["R@1"].value
