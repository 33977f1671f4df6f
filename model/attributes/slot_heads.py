"""Attributes read from the token store: one embedding an attribute, computed when it is asked for.

B images, L levels, M tokens a level, d token width, F features a token, r width of a slot,
E width of an embedding. A slot is a place (level, token): it belongs to the same centre in every
image. Equations: docs/math.md, "Attributes from tokens".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from model.attributes.features import Floats, describe_tokens
from model.errors import CheckpointError, ParameterError

EPS = 1e-12


@dataclass(frozen=True)
class AttributeInfo:
    """What a person is told of an attribute.

    `quality`: mAP in [0, 1] on the checkpoint's validation photos, None where not measured.
    `num_examples`: labelled photos it was learned from. `source`: trained on what, in words.
    """

    name: str
    values: tuple[str, ...]
    quality: float | None
    num_examples: int
    source: str


@dataclass(frozen=True)
class SlotBasis:
    """What all attributes of one file share: each slot's features, centred and projected.

    mean: (L, M, F). projection: (L, M, F, r).
    """

    mean: Floats
    projection: Floats

    def __call__(self, features: Floats) -> Floats:
        """Project (B, L, M, F) features: (B, L, M, r)."""
        found: Floats = np.einsum(
            "blmf,lmfr->blmr", features - self.mean, self.projection, optimize=True
        )
        return found


class AttributeHeads:
    """What one file holds: attributes over the tokens of one checkpoint.

    Immutable; safe to share between threads. Every method raises ParameterError for an
    attribute that is not there and for tokens of another shape.
    """

    def __init__(
        self,
        fingerprint: str,
        infos: Iterable[AttributeInfo],
        basis: SlotBasis,
        maps: Mapping[str, Floats],
    ) -> None:
        """Keep the parts; `maps` holds (E, L, M, r) for each attribute of `infos`.

        Raises:
            CheckpointError: the parts do not fit together.
        """
        self.fingerprint = fingerprint
        self.infos = tuple(infos)
        self.basis = basis
        self.maps = dict(maps)
        _check_parts(self)

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes, in the order of `infos`."""
        return tuple(info.name for info in self.infos)

    @property
    def dim(self) -> int:
        """E, the width of an embedding."""
        return int(next(iter(self.maps.values())).shape[0])

    def info(self, name: str) -> AttributeInfo:
        """What is known of one attribute."""
        return self.infos[self._find(name)]

    def embed(self, name: str, tokens: Floats, mass: Floats, geometry: Floats) -> Floats:
        """Embed B images for one attribute: (B, E), unit length.

        The cosine of two embeddings is the attribute's score, in [-1, 1]. An image that is
        in every slot the mean image has no direction and gets zeros.
        """
        return self.embed_described(name, self.describe(tokens, mass, geometry))

    def attend(self, name: str, tokens: Floats, mass: Floats, geometry: Floats) -> Floats:
        """Say how much each token decides of the embedding: (B, L, M), >= 0, sum 1 an image.

        The embedding is a sum over tokens; a token's share is the length it adds in the
        embedding's own direction, where that is positive. Unused tokens get nothing; where no
        token adds anything, the used ones share evenly.
        """
        parts = np.einsum(
            "blmr,elmr->blme", self.describe(tokens, mass, geometry), self._map(name), optimize=True
        )
        whole = parts.sum(axis=(1, 2))
        added = np.einsum("blme,be->blm", parts, whole, optimize=True)
        used = (mass > 0).astype(np.float32)
        shares = np.maximum(added, 0) * used
        empty = shares.sum(axis=(1, 2), keepdims=True) <= EPS
        shares = np.where(empty, np.where(used.any(axis=(1, 2), keepdims=True), used, 1), shares)
        normalised: Floats = (shares / shares.sum(axis=(1, 2), keepdims=True)).astype(np.float32)
        return normalised

    def describe(self, tokens: Floats, mass: Floats, geometry: Floats) -> Floats:
        """Compute what all attributes look at, (B, L, M, r), once for several of them."""
        return self.basis(self.read(tokens, mass, geometry))

    def read(self, tokens: Floats, mass: Floats, geometry: Floats) -> Floats:
        """Check the tokens and join what is known of each: (B, L, M, F)."""
        features = describe_tokens(tokens, mass, geometry)
        if features.shape[1:] != self.basis.mean.shape:
            level, token, width = self.basis.mean.shape
            raise ParameterError(
                f"the tokens are {tokens.shape[1:]} an image, and these attributes read "
                f"({level}, {token}, {width - 6}); use the checkpoint they were made for"
            )
        return features

    def embed_described(self, name: str, described: Floats) -> Floats:
        """Embed what `describe` gave: (B, E), unit length."""
        raw = np.einsum("blmr,elmr->be", described, self._map(name), optimize=True)
        length = np.linalg.norm(raw, axis=-1, keepdims=True)
        unit: Floats = (raw / np.where(length > EPS, length, 1)).astype(np.float32)
        return unit

    def only(self, names: Iterable[str]) -> "AttributeHeads":
        """Keep some attributes, in the order given."""
        kept = [self.info(name) for name in names]
        maps = {info.name: self.maps[info.name] for info in kept}
        return AttributeHeads(self.fingerprint, kept, self.basis, maps)

    def with_quality(self, quality: Mapping[str, float]) -> "AttributeHeads":
        """Note measured qualities; attributes that are not named keep theirs."""
        infos = [replace(i, quality=quality.get(i.name, i.quality)) for i in self.infos]
        return AttributeHeads(self.fingerprint, infos, self.basis, self.maps)

    def _map(self, name: str) -> Floats:
        self._find(name)
        return self.maps[name]

    def _find(self, name: str) -> int:
        if name not in self.names:
            raise ParameterError(
                f"there is no attribute {name!r}; known are: {', '.join(self.names)}"
            )
        return self.names.index(name)


def check_checkpoint(heads: AttributeHeads, fingerprint: str, what: str) -> None:
    """Refuse attributes made for another checkpoint; `what` names them in the sentence.

    Raises:
        CheckpointError: the fingerprints differ.
    """
    if heads.fingerprint != fingerprint:
        raise CheckpointError(
            f"{what} reads tokens of the checkpoint {heads.fingerprint[:12]}, and this one is "
            f"{fingerprint[:12]}; train or learn the attributes again with this checkpoint"
        )


def _check_parts(heads: AttributeHeads) -> None:
    names, (mean, projection) = heads.names, (heads.basis.mean, heads.basis.projection)
    shapes: set[tuple[int, ...]] = {x.shape for x in heads.maps.values()}
    fits = (
        len(names) > 0
        and set(names) == set(heads.maps)
        and len(set(names)) == len(names)
        and mean.ndim == 3
        and projection.ndim == 4
        and projection.shape[:3] == mean.shape
        and len(shapes) == 1
        and next(iter(shapes))[1:] == (*mean.shape[:2], projection.shape[3])
    )
    if not fits:
        raise CheckpointError(
            f"the parts of these attributes do not fit together (attributes {', '.join(names)}; "
            f"mean {mean.shape}, projection {projection.shape}, maps "
            f"{', '.join(map(str, sorted(shapes)))}); make them again"
        )
