"""The fake encoder with an alignment that turns the order of stage one around."""

import numpy as np
import torch
from numpy.typing import NDArray

from model.alignment import TokenSet
from model.attended import CodedTokens
from model.config import get_preset
from model.evaluation.calibration import Calibration
from tests.indexer.fakes import FakeEncoder


class Aligner(FakeEncoder):
    """S_token = minus the global order: the last candidate of stage one is the best."""

    config = get_preset("tiny").model_copy(update={"alpha": 0.5})
    global_dim = 4
    calibration: Calibration | None = None
    refines_pairs = False

    def __init__(self) -> None:
        super().__init__()
        self.aligned = 0

    def compare(self, query: TokenSet, items: CodedTokens) -> NDArray[np.float32]:
        self.aligned += len(items.codes)
        candidates = items.decode()
        distance = (candidates.tokens - query.tokens.unsqueeze(1)).square().sum((-3, -2, -1))
        return torch.tanh(distance).numpy()
