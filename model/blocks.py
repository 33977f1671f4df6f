"""The transformer blocks of ATA's first stage (docs/math.md, Eq. 7-8).

P pairs, S = 2 sides, M tokens, d width, h heads, e = d / h. Each side's queries
see its own keys first and the other side's second: so both sides run the same
arithmetic, whichever image comes first, and symmetry holds to the bit.
Residual branches end in a layer that starts at zero.
"""

from typing import NamedTuple, Self

import torch.nn.functional as F
from torch import Tensor, cat, nn


class KeyValue(NamedTuple):
    """Keys and values (..., h, M, e), and which tokens are real (..., M)."""

    key: Tensor
    value: Tensor
    valid: Tensor

    def joined(self) -> Self:
        """Append the other side's (axis 1) keys and values to each side's own."""
        key, value = (cat((x, x.flip(1)), dim=-2) for x in (self.key, self.value))
        return type(self)(key, value, cat((self.valid, self.valid.flip(1)), dim=-1))


class Projected(NamedTuple):
    """Tokens (..., M, d) with their queries, keys and values (..., h, M, e)."""

    tokens: Tensor
    query: Tensor
    key: Tensor
    value: Tensor

    @classmethod
    def bare(cls, tokens: Tensor) -> Self:
        """Tokens that no joint block will read: nothing to project."""
        nothing = tokens.new_zeros((*tokens.shape[:-2], 0, 0, 0))
        return cls(tokens, nothing, nothing, nothing)


class Block(nn.Module):
    """Attention and a feed-forward part, both added to what came in."""

    out: nn.Linear
    ffn: "FeedForward"

    def is_idle(self) -> bool:
        """True while both residual branches end in zeros: tokens leave as they came."""
        ends = (*self.out.parameters(), *self.ffn.shrink.parameters())
        return not any(bool(end.any()) for end in ends)


class JointBlock(Block):
    """Pre-norm block over both images' coarse tokens: each side attends both."""

    def __init__(self, width: int, num_heads: int, ffn_ratio: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(width)
        self.to_qkv = nn.Linear(width, 3 * width)
        self.out = _zero(nn.Linear(width, width))
        self.ffn = FeedForward(width, ffn_ratio)

    def project(self, tokens: Tensor) -> Projected:
        """Queries, keys and values of (..., M, d) tokens: independent of the pair."""
        qkv = self.to_qkv(self.norm(tokens)).chunk(3, dim=-1)
        return Projected(tokens, *(_split_heads(x, self.num_heads) for x in qkv))

    def forward(self, x: Projected) -> Tensor:
        """Let (P, S, M, d) tokens attend their own image's and the other's."""
        both = KeyValue(x.key, x.value, is_real(x.tokens)).joined()
        tokens: Tensor = x.tokens + self.out(_attend(x.query, both))
        refined: Tensor = self.ffn(tokens)
        return refined * is_real(x.tokens).unsqueeze(-1)


class CrossBlock(Block):
    """Pre-norm block whose keys and values are a finer level's tokens."""

    def __init__(self, width: int, num_heads: int, ffn_ratio: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(width)
        self.to_query = nn.Linear(width, width)
        self.finer_norm = nn.LayerNorm(width)
        self.to_key_value = nn.Linear(width, 2 * width)
        self.out = _zero(nn.Linear(width, width))
        self.ffn = FeedForward(width, ffn_ratio)

    def key_value(self, finer: Tensor) -> KeyValue:
        """Keys and values of (..., M, d) finer tokens: independent of the pair."""
        pair = self.to_key_value(self.finer_norm(finer)).chunk(2, dim=-1)
        key, value = (_split_heads(x, self.num_heads) for x in pair)
        return KeyValue(key, value, is_real(finer))

    def forward(self, coarse: Tensor, finer: KeyValue) -> Tensor:
        """Let (P, S, M, d) coarse tokens attend the finer ones."""
        query = _split_heads(self.to_query(self.norm(coarse)), self.num_heads)
        tokens: Tensor = coarse + self.out(_attend(query, finer))
        refined: Tensor = self.ffn(tokens)
        return refined * is_real(coarse).unsqueeze(-1)


class FeedForward(nn.Module):
    """Pre-norm two-layer perceptron with a residual that starts at zero."""

    def __init__(self, width: int, ratio: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, ratio * width)
        self.shrink = _zero(nn.Linear(ratio * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., d) to (..., d)."""
        out: Tensor = x + self.shrink(F.gelu(self.expand(self.norm(x))))
        return out


def is_real(tokens: Tensor) -> Tensor:
    """Padding and unused tokens are all zero: (..., M, d) -> (..., M)."""
    return tokens.square().sum(-1) > 0


def _attend(query: Tensor, other: KeyValue) -> Tensor:
    """(P, S, h, M, e) queries over (P, S, h, T, e) keys to (P, S, M, d)."""
    mask = other.valid[..., None, None, :]  # (P, S, 1, 1, T)
    # Without any real key there is nothing to read; opened here, closed below.
    some = mask.any(-1, keepdim=True)
    read = F.scaled_dot_product_attention(query, other.key, other.value, attn_mask=mask | ~some)
    return (read * some).transpose(-3, -2).flatten(-2)


def _split_heads(x: Tensor, num_heads: int) -> Tensor:
    """(..., M, d) -> (..., h, M, e)."""
    heads = x.reshape(*x.shape[:-1], num_heads, -1)
    return heads.transpose(-3, -2)


def _zero(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
