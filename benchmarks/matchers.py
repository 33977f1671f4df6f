"""What others re-rank with: MaxSim, and the shapes of the matchers of AMES and RRT.

K items of one query, N tokens an image, d token width. The two transformers have random weights
and the sizes of the published code; they stand for its cost, not for its results:

    AMES (ECCV 2024)   5 layers of self- then cross-attention, d 128, 2 heads, FFN 1024,
                       48 + 48 tokens
    RRT  (ICCV 2021)   6 layers of self-attention, d 128, 4 heads, FFN 1024, 102 tokens a pair
"""

import torch
from torch import Tensor, nn

RRT_TOKENS = 102


def max_similarity(query: Tensor, items: Tensor) -> Tensor:
    """ColBERT's MaxSim of (N, d) unit tokens with (K, N, d): the mean of each one's best, (K,)."""
    return (items.flatten(0, 1) @ query.T).view(*items.shape[:2], -1).amax(1).mean(-1)


def max_similarity_int8(query: Tensor, codes: Tensor, lengths: Tensor) -> Tensor:
    """The same of (N, d) and (K, N, d) int8 codes; lengths (K, N) are the items' alone."""
    product = torch._int_mm(codes.flatten(0, 1), query.T).view(*codes.shape[:2], -1)
    return (product / lengths.unsqueeze(-1)).amax(1).mean(-1)


class AmesShape(nn.Module):
    """Both images' tokens attend themselves, then each other; a matching token gives the score."""

    def __init__(self, width: int = 128, num_layers: int = 5) -> None:
        super().__init__()

        def layers() -> nn.ModuleList:
            return nn.ModuleList(_layer(width, 2) for _ in range(num_layers))

        self.own, self.cross = layers(), layers()
        self.score = nn.Linear(width, 1)

    def forward(self, query: Tensor, items: Tensor) -> Tensor:
        """(N, d) and (K, N, d) to (K,)."""
        one, other = query.expand(len(items), *query.shape), items
        for own, cross in zip(self.own, self.cross, strict=True):
            one, other = own(one), own(other)
            both = cross(torch.cat((one, other), dim=1))
            one, other = both[:, : one.shape[1]], both[:, one.shape[1] :]
        scores: Tensor = self.score(one[:, 0])
        return scores.squeeze(-1)


class RrtShape(nn.Module):
    """One transformer over both images' tokens, a class token and a separator."""

    def __init__(self, width: int = 128, num_layers: int = 6) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_layer(width, 4) for _ in range(num_layers))
        self.score = nn.Linear(width, 1)

    def forward(self, query: Tensor, items: Tensor) -> Tensor:
        """(N, d) and (K, N, d) to (K,)."""
        pair = torch.cat((query.expand(len(items), *query.shape), items), dim=1)
        x = nn.functional.pad(pair, (0, 0, 0, RRT_TOKENS - pair.shape[1]))
        for layer in self.layers:
            x = layer(x)
        scores: Tensor = self.score(x[:, 0])
        return scores.squeeze(-1)


def _layer(width: int, heads: int) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(width, heads, 1024, 0.0, batch_first=True)
