"""Attention-based Token Alignment: two images' tokens to one score (docs/math.md, Eq. 4-8).

B queries, K candidates a query, L levels (coarse to fine), M tokens a level,
d token width, h heads. A pair has two sides; S = 2 is that axis.
"""

from collections.abc import Callable
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.aggregator import EPS
from model.blocks import CrossBlock, JointBlock, KeyValue, Projected, is_real
from model.config import AlignmentOptions

MAX_TEMPERATURE = 100.0


class TokenSet(NamedTuple):
    """Tokens (..., L, M, d) and their mass (..., L, M); all-zero tokens are padding."""

    tokens: Tensor
    mass: Tensor


class Prepared(NamedTuple):
    """What ATA needs of one image, whatever it is compared with: computed once an image."""

    coarse: Projected
    finer: tuple[KeyValue, ...]
    tokens: Tensor
    mass: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> "Prepared":
        """Apply a change of the leading dimensions to every part."""
        coarse = Projected(*map(change, self.coarse))
        finer = tuple(KeyValue(*map(change, level)) for level in self.finer)
        return Prepared(coarse, finer, change(self.tokens), change(self.mass))

    def take(self, index: Tensor) -> "Prepared":
        """The images of these places."""
        return self.map(lambda part: part[index])

    def one_each(self) -> "Prepared":
        """Each image as the only candidate of its query: (B, ...) to (B, 1, ...)."""
        return self.map(lambda part: part.unsqueeze(1))


class Attended(NamedTuple):
    """What the tokens of one image look up in the other; see `TokenAlignment.attend`."""

    similarity: Tensor  # (P, M, M)
    share: Tensor  # (P, M, M), sums to 1 over the last axis
    length: Tensor  # (P, M), of the attended mean


class TokenAlignment(nn.Module):
    """Stage one refines coarse tokens for the pair; stage two compares them.

    Residual branches start at zero, so that an untrained ATA is plain token
    attention. Without segments and with direction "symmetric", the score of (a, b)
    equals that of (b, a) to the bit.
    """

    def __init__(self, num_levels: int, width: int, options: AlignmentOptions) -> None:
        super().__init__()
        self.options = options
        sizes = (width, options.num_heads, options.ffn_ratio)
        self.joint = nn.ModuleList(JointBlock(*sizes) for _ in range(options.joint_blocks))
        self.refine = nn.ModuleList(CrossBlock(*sizes) for _ in range(num_levels - 1))
        if options.segments:
            self.segment = nn.Parameter(torch.zeros(2, 1, width))
        temperature = torch.tensor(options.temperature)
        self.temperature = nn.Parameter(temperature, requires_grad=options.learn_temperature)
        start = torch.zeros(num_levels)
        start[: num_levels if options.compare == "all" else 1] = 1.0
        self.register_buffer("level_weight", start / start.sum())
        self.level_weight: Tensor

    def forward(self, query: TokenSet, candidates: TokenSet) -> Tensor:
        """Score (B, L, M, d) queries against (B, K, L, M, d) candidates: (B, K) in [-1, 1]."""
        with torch.autocast(query.tokens.device.type, enabled=False):
            return self.score(self.prepare(query), self.prepare(candidates))

    def prepare(self, image: TokenSet) -> Prepared:
        """Compute what depends on one image alone; any leading dimensions."""
        dtype = self.level_weight.dtype
        tokens, mass = image.tokens.to(dtype), image.mass.to(dtype)
        coarse = _level(tokens, 0)
        finer = tuple(
            block.key_value(_level(tokens, level))
            for level, block in enumerate(self._refine_blocks, start=1)
        )
        return Prepared(self._project(coarse), finer, tokens, mass)

    def score(self, query: Prepared, candidates: Prepared) -> Tensor:
        """Score prepared queries (B, ...) against prepared candidates (B, K, ...): (B, K)."""
        scores = self.level_scores(query, candidates)
        return scores @ self.level_weight[: scores.shape[-1]]

    def level_scores(self, query: Prepared, candidates: Prepared) -> Tensor:
        """Compare level by level, before the levels are weighed: (B, K, L) in [-1, 1].

        With compare "coarse" there is one level, the refined coarse tokens.
        """
        num_pairs = candidates.tokens.shape[:2]
        pair = pair_up(query, candidates)
        scores = [self._compare(self.refine_tokens(pair), pair.mass[..., 0, :])]
        if self.options.compare == "all":
            for level in range(1, len(self.level_weight)):
                tokens, mass = _level(pair.tokens, level), pair.mass[..., level, :]
                scores.append(self._compare(tokens, mass))
        return torch.stack(scores, dim=-1).reshape(*num_pairs, -1)

    def drop_idle_stage(self) -> None:
        """Leave out a first stage that changes nothing, as before any training.

        For serving: scores stay the same to the bit, at a few per cent of the work.
        """
        if not self.has_stage_one():
            self.joint, self.refine = nn.ModuleList(), nn.ModuleList()

    def has_stage_one(self) -> bool:
        """False while the first stage changes nothing, as before any training."""
        blocks = [*self._joint_blocks, *self._refine_blocks]
        return self.options.segments or not all(block.is_idle() for block in blocks)

    def score_among(self, images: TokenSet) -> Tensor:
        """Score every image of a batch with every other: (B, L, M, d) to symmetric (B, B).

        Each unordered pair is scored once: B (B - 1) / 2 pairs, 1,128 at B = 48; with
        direction "query" the two orders differ, and each is scored. The diagonal is 1.
        """
        with torch.autocast(images.tokens.device.type, enabled=False):
            count, prepared = len(images.tokens), self.prepare(images)
            left, right = torch.triu_indices(count, count, 1, device=images.tokens.device)
            if self.options.direction == "query":
                left, right = torch.cat((left, right)), torch.cat((right, left))
            pairs = prepared.take(left), prepared.take(right).one_each()
            scores = self.score(*pairs).squeeze(1)  # (P,)
            matrix = torch.eye(count, device=scores.device, dtype=scores.dtype)
            matrix = matrix.index_put((left, right), scores)
            if self.options.direction == "query":
                return matrix
            return matrix.index_put((right, left), scores)

    def refine_tokens(self, pair: Prepared) -> Tensor:
        """Stage one: coarse tokens (P, S, M, d) attend the other image, then finer levels."""
        x = pair.coarse
        if self.options.segments:
            # Projections of the bare tokens do not hold any more.
            x = self._project(x.tokens + self.segment * is_real(x.tokens).unsqueeze(-1))
        refined = x.tokens
        for i, block in enumerate(self._joint_blocks):
            refined = block(x if i == 0 else block.project(refined))
        for cross, own in zip(self._refine_blocks, pair.finer, strict=True):
            refined = cross(refined, own.joined() if self.options.refine_from == "both" else own)
        return refined

    @property
    def _joint_blocks(self) -> list[JointBlock]:
        return cast("list[JointBlock]", list(self.joint))

    @property
    def _refine_blocks(self) -> list[CrossBlock]:
        return cast("list[CrossBlock]", list(self.refine))

    def _project(self, coarse: Tensor) -> Projected:
        """Queries, keys and values for the first joint block, where there is one."""
        blocks = self._joint_blocks
        return blocks[0].project(coarse) if blocks else Projected.bare(coarse)

    def _compare(self, tokens: Tensor, mass: Tensor) -> Tensor:
        """Stage two, eq. 4-6: (P, S, M, d) tokens and (P, S, M) mass to (P,) in [-1, 1]."""
        unit = F.normalize(tokens, dim=-1, eps=EPS)
        valid = is_real(tokens)  # (P, S, M)
        forward = self._relevance(unit[:, 0], unit[:, 1], valid[:, 1])  # (P, M)
        backward = None
        if self.options.direction != "query":
            backward = self._relevance(unit[:, 1], unit[:, 0], valid[:, 0])
        weight = self.token_weight(mass, valid)  # (P, S, M)
        sides = (weight[:, 0], weight[:, 1]), (valid[:, 0], valid[:, 1])
        return self.combine(forward, backward, *sides)

    def combine(
        self,
        forward: Tensor,
        backward: Tensor | None,
        weight: tuple[Tensor, Tensor],
        valid: tuple[Tensor, Tensor],
    ) -> Tensor:
        """Both sides' relevances (..., M), weights and masks to one number: (...).  Eq. 6

        `backward` is None with direction "query".
        """
        if backward is None:
            return self._reduce(forward, weight[0], valid[0])
        if self.options.pairing == "same_index" and self.options.reduction != "mean":
            both, middle = (forward + backward) / 2, (weight[0] + weight[1]) / 2
            return self._reduce(both, middle, valid[0] & valid[1])
        one = self._reduce(forward, weight[0], valid[0])
        other = self._reduce(backward, weight[1], valid[1])
        return (one + other) / 2

    def attend(self, tokens: Tensor, others: Tensor, valid: Tensor) -> Attended:
        """Look each unit token up in the other image, `valid` (P, M) saying where.  Eq. 4-5"""
        similarity = tokens @ others.mT  # (P, M, M)  Eq. 4
        temperature = self.temperature.clamp(max=MAX_TEMPERATURE)
        share = masked_softmax(temperature * similarity, valid.unsqueeze(-2))
        attended = share @ others  # (P, M, d)
        return Attended(similarity, share, attended.norm(dim=-1).clamp(min=EPS))

    def _relevance(self, tokens: Tensor, others: Tensor, valid: Tensor) -> Tensor:
        """Cosine of each token with what it attends in the other image: (P, M).  Eq. 5"""
        similarity, share, length = self.attend(tokens, others, valid)
        return (share * similarity).sum(-1) / length

    def token_weight(self, mass: Tensor, valid: Tensor) -> Tensor:
        """How much each token counts: sums to 1 over the valid tokens of an image."""
        weight = valid.to(mass.dtype)
        if self.options.token_weight == "mass":
            weight = mass * valid
        elif self.options.token_weight == "root_mass":
            weight = (mass + EPS).sqrt() * valid  # the gradient of a bare root explodes at 0
        return weight / weight.sum(-1, keepdim=True).clamp(min=EPS)

    def _reduce(self, relevance: Tensor, weight: Tensor, valid: Tensor) -> Tensor:
        """Relevances (P, M) to one number a pair; 0 for an image without tokens.  Eq. 6"""
        if self.options.reduction == "mean":
            return (weight * relevance).sum(-1)
        nothing = ~valid.any(-1)
        shown = relevance.masked_fill(~valid, -torch.inf)
        if self.options.reduction == "max":
            return shown.masked_fill(nothing.unsqueeze(-1), 0.0).amax(-1)
        scale = self.options.lse_scale
        terms = (scale * shown + weight.clamp(min=EPS).log()).masked_fill(~valid, -torch.inf)
        terms = terms.masked_fill(nothing.unsqueeze(-1), 0.0)
        return (terms.logsumexp(-1) / scale).masked_fill(nothing, 0.0)


def masked_softmax(logits: Tensor, valid: Tensor) -> Tensor:
    """Softmax over the last axis among `valid` entries; all zero where none is valid."""
    hidden = logits.masked_fill(~valid, -torch.inf)
    # A row without any valid entry would be NaN, forward and backward.
    share = hidden.masked_fill(~valid.any(-1, keepdim=True), 0.0).softmax(dim=-1)
    return share * valid


def _level(tokens: Tensor, level: int) -> Tensor:
    """(..., L, M, d) to (..., M, d)."""
    return tokens.select(-3, level)


def pair_up(query: Prepared, candidates: Prepared) -> Prepared:
    """Repeat each query for its candidates and stack the sides: (P, S, ...), P = B * K."""
    num_pairs = candidates.tokens.shape[:2]

    def sides(one: Tensor, many: Tensor) -> Tensor:
        repeated = one.unsqueeze(1).expand(num_pairs + one.shape[1:])
        return torch.stack((repeated, many), dim=2).flatten(0, 1)

    return Prepared(
        Projected(*map(sides, query.coarse, candidates.coarse)),
        tuple(
            KeyValue(*map(sides, q, c)) for q, c in zip(query.finer, candidates.finer, strict=True)
        ),
        sides(query.tokens, candidates.tokens),
        sides(query.mass, candidates.mass),
    )
