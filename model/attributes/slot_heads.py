"""Attributes read from the token store: one embedding an attribute, computed when it is asked for.

B images, L levels, M tokens a level, d token width, F features a token, E width of an embedding.
A slot is a place (level, token): it belongs to the same centre in every image.
Equations: docs/math.md, "Attributes from tokens".
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from model.attributes.features import Floats, describe_tokens
from model.errors import CheckpointError, ParameterError

# Width of an embedding, so that all attributes of a gallery fit one table.
DIM = 64
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
class Scaling:
    """What all attributes of one file share: how features are centred and scaled.

    mean: (L, M, F), each slot's own. scale: (F,), above zero.
    """

    mean: Floats
    scale: Floats

    def __call__(self, features: Floats) -> Floats:
        """Centre and scale (B, L, M, F) features."""
        found: Floats = (features - self.mean) / self.scale
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
        scaling: Scaling,
        maps: Mapping[str, Floats],
        roots: Mapping[str, Floats] | None = None,
    ) -> None:
        """Keep the parts; `maps` holds (V, L, M, F), V <= E, for each attribute of `infos`.

        Where `roots` holds (V,) of an attribute, its map gives scores of its values, and an
        embedding is what they make of the chance of each (docs/math.md, Eq. 31b): the roots of
        the values' shares, in the unit of the map. Elsewhere the scores are the embedding.

        Raises:
            CheckpointError: the parts do not fit together.
        """
        self.fingerprint = fingerprint
        self.infos = tuple(infos)
        self.scaling = scaling
        self.maps = dict(maps)
        self.roots = dict(roots or {})
        _check_parts(self)

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes, in the order of `infos`."""
        return tuple(info.name for info in self.infos)

    @property
    def dim(self) -> int:
        """E, the width of an embedding; what an attribute does not need of it is zero."""
        return DIM

    def width(self, name: str) -> int:
        """How many numbers of an embedding this attribute uses; those behind are zero."""
        return len(self._map(name))

    def info(self, name: str) -> AttributeInfo:
        """What is known of one attribute."""
        return self.infos[self._find(name)]

    def embed(self, name: str, tokens: Floats, mass: Floats, geometry: Floats) -> Floats:
        """Embed B images for one attribute: (B, E), unit length.

        The cosine of two embeddings is the attribute's score, in [-1, 1]; in [0, 1] where
        there are roots. Without them, an image that is in every slot the mean image has no
        direction and gets zeros.
        """
        return self.embed_described(name, self.describe(tokens, mass, geometry))

    def attend(self, name: str, tokens: Floats, mass: Floats, geometry: Floats) -> Floats:
        """Say how much each token decides of the embedding: (B, L, M), >= 0, sum 1 an image.

        The scores are a sum over tokens; a token's share is the length it adds in their own
        direction (with roots: to the values that the embedding names), where that is positive.
        Unused tokens get nothing; where no token adds anything, the used ones share evenly.
        """
        described = self.describe(tokens, mass, geometry)
        parts = np.einsum("blmf,elmf->blme", described, self._map(name), optimize=True)
        whole = self._point(name, parts.sum(axis=(1, 2)))
        added = np.einsum("blme,be->blm", parts, whole, optimize=True)
        used = (mass > 0).astype(np.float32)
        shares = np.maximum(added, 0) * used
        empty = shares.sum(axis=(1, 2), keepdims=True) <= EPS
        shares = np.where(empty, np.where(used.any(axis=(1, 2), keepdims=True), used, 1), shares)
        normalised: Floats = (shares / shares.sum(axis=(1, 2), keepdims=True)).astype(np.float32)
        return normalised

    def describe(self, tokens: Floats, mass: Floats, geometry: Floats) -> Floats:
        """Compute what all attributes look at, (B, L, M, F), once for several of them."""
        return self.scaling(self.read(tokens, mass, geometry))

    def read(self, tokens: Floats, mass: Floats, geometry: Floats) -> Floats:
        """Check the tokens and join what is known of each: (B, L, M, F)."""
        features = describe_tokens(tokens, mass, geometry)
        if features.shape[1:] != self.scaling.mean.shape:
            level, token, width = self.scaling.mean.shape
            raise ParameterError(
                f"the tokens are {tokens.shape[1:]} an image, and these attributes read "
                f"({level}, {token}, {width - 6}); use the checkpoint they were made for"
            )
        return features

    def embed_described(self, name: str, described: Floats) -> Floats:
        """Embed what `describe` gave: (B, E), unit length."""
        matrix = self._map(name)
        raw = (
            described.reshape(len(described), math.prod(matrix.shape[1:]))
            @ matrix.reshape(len(matrix), -1).T
        )
        unit = np.zeros((len(raw), DIM), dtype=np.float32)
        unit[:, : len(matrix)] = self._shape(name, raw)
        return unit

    def only(self, names: Iterable[str]) -> "AttributeHeads":
        """Keep some attributes, in the order given."""
        kept = [self.info(name) for name in names]
        maps = {info.name: self.maps[info.name] for info in kept}
        roots = {info.name: self.roots[info.name] for info in kept if info.name in self.roots}
        return AttributeHeads(self.fingerprint, kept, self.scaling, maps, roots)

    def with_quality(self, quality: Mapping[str, float]) -> "AttributeHeads":
        """Note measured qualities; attributes that are not named keep theirs."""
        infos = [replace(i, quality=quality.get(i.name, i.quality)) for i in self.infos]
        return AttributeHeads(self.fingerprint, infos, self.scaling, self.maps, self.roots)

    def renamed(self, names: Mapping[str, str]) -> "AttributeHeads":
        """Call some attributes by another name; an unknown one raises ParameterError."""
        for name in names:
            self._find(name)
        infos = [replace(i, name=names.get(i.name, i.name)) for i in self.infos]
        maps = {names.get(name, name): x for name, x in self.maps.items()}
        roots = {names.get(name, name): x for name, x in self.roots.items()}
        return AttributeHeads(self.fingerprint, infos, self.scaling, maps, roots)

    def _shape(self, name: str, scores: Floats) -> Floats:
        """Make unit embeddings of (B, V) scores."""
        if name in self.roots:
            scores = sharpen(scores, self.roots[name])
        length = np.linalg.norm(scores, axis=-1, keepdims=True)
        found: Floats = (scores / np.where(length > EPS, length, 1)).astype(np.float32)
        return found

    def _point(self, name: str, scores: Floats) -> Floats:
        """The direction, over scores, in which an embedding (B, V) grows."""
        if name not in self.roots:
            return scores
        found: Floats = self._shape(name, scores) * self.roots[name]
        return found

    def _map(self, name: str) -> Floats:
        self._find(name)
        return self.maps[name]

    def _find(self, name: str) -> int:
        if name not in self.names:
            raise ParameterError(
                f"there is no attribute {name!r}; known are: {', '.join(self.names)}"
            )
        return self.names.index(name)


def sharpen(scores: Floats, roots: Floats) -> Floats:
    """Squared chances of (B, V) values, as far as scores tell them, up to a factor (Eq. 31b).

    >>> sharpen(np.array([[0.0, 0.0], [3.0, -5.0]]), np.array([3.0, 4.0])).tolist()
    [[81.0, 256.0], [324.0, 0.0]]
    """
    found: Floats = np.square(roots * np.maximum(scores + roots, 0))
    return found


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
    names, mean, scale = heads.names, heads.scaling.mean, heads.scaling.scale
    shapes = {x.shape for x in heads.maps.values()}
    fits = (
        len(names) > 0
        and set(names) == set(heads.maps)
        and len(set(names)) == len(names)
        and mean.ndim == 3
        and scale.shape == mean.shape[2:]
        and bool((scale > 0).all())
        and all(len(shape) == 4 and 0 < shape[0] <= DIM for shape in shapes)
        and all(shape[1:] == mean.shape for shape in shapes)
        and set(heads.roots) <= set(names)
        and all(x.shape == heads.maps[name].shape[:1] for name, x in heads.roots.items())
        and all(bool((x > 0).all()) for x in heads.roots.values())
    )
    if not fits:
        raise CheckpointError(
            f"the parts of these attributes do not fit together (attributes {', '.join(names)}; "
            f"mean {mean.shape}, scale {scale.shape}, maps "
            f"{', '.join(map(str, sorted(shapes)))}); make them again"
        )
