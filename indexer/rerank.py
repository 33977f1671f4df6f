"""Stage two: stored tokens to token scores (docs/math.md, Eq. 4-8)."""

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from indexer.protocols import Gallery, TokenBlock
from model.aggregator import EPS
from model.alignment import TokenSet

if TYPE_CHECKING:
    from model.encoder import Encoder

# Bounds the memory of one alignment call; larger chunks were not faster on a CPU.
CHUNK = 256


def score_tokens(
    encoder: "Encoder", gallery: Gallery, query: TokenSet, rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """S_token of one query (1, L, M, d) with the gallery items in `rows`, in their order."""
    parts = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    scores = [encoder.align(query, to_token_set(gallery.read_tokens(part)))[0] for part in parts]
    return np.concatenate(scores) if scores else np.empty(0, np.float32)


def to_token_set(block: TokenBlock) -> TokenSet:
    """Bring n stored items back to unit tokens (1, n, L, M, d); unused tokens stay zero."""
    # Copied: what comes straight from disk is read-only, and torch cannot know that.
    codes, scales, mass = (torch.tensor(x) for x in block)
    tokens = F.normalize(codes.float() * scales.unsqueeze(-1), dim=-1, eps=EPS)
    return TokenSet(tokens.unsqueeze(0), mass.unsqueeze(0))
