"""The network for ordinary photos: PIL in, numpy out.

B images, L levels, M tokens a level, d token width, D global width.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from model.alignment import TokenSet
from model.attended import CodedTokens, compare_coded
from model.checkpoint import Checkpoint, load_checkpoint
from model.config import ModelConfig, RecallName
from model.devices import one_at_a_time, resolve_device
from model.evaluation.calibration import Calibration
from model.explain import Decomposition, decompose
from model.preprocessing import Prepared, prepare, prepare_scales, to_photo
from model.runtime.names import RuntimeName
from model.runtime.opening import open_trunk
from model.runtime.trunks import Trunk


class Encoded(NamedTuple):
    """Host copies of what the network says about B photos, float32.

    global_feature: (B, D), unit length.
    tokens: (B, L, M, d), unit length, or all zero for an unused token.
    mass: (B, L, M) in [0, 1].
    geometry: (B, L, M, 5): centre x, y and standard deviations x, y as fractions
        of the photo's width and height, and their correlation in [-1, 1].
    recall: (B, R), unit length: what stage one compares. The global feature, unless the
        checkpoint says otherwise.
    """

    global_feature: NDArray[np.float32]
    tokens: NDArray[np.float32]
    mass: NDArray[np.float32]
    geometry: NDArray[np.float32]
    recall: NDArray[np.float32]

    @property
    def token_set(self) -> TokenSet:
        """What alignment needs, as tensors on the host."""
        return TokenSet(torch.from_numpy(self.tokens), torch.from_numpy(self.mass))


class Encoder:
    """A checkpoint on a device, ready to encode photos and to align tokens."""

    def __init__(
        self, checkpoint: Checkpoint, device: str = "auto", runtime: str = "eager"
    ) -> None:
        self._device = resolve_device(device)
        self._model = checkpoint.model.to(self._device)
        self._refines_pairs = self._model.alignment.has_stage_one()
        self._model.alignment.drop_idle_stage()
        self._record = checkpoint.record
        self.fingerprint = checkpoint.fingerprint
        self._trunk = open_trunk(self._model, self.fingerprint, runtime)

    @classmethod
    def from_checkpoint(cls, path: Path, device: str = "auto", runtime: str = "eager") -> "Encoder":
        """Load a checkpoint file, its backbone computed as `runtime` says (docs/performance.md).

        CheckpointError, DeviceError or ParameterError says what is wrong.
        """
        return cls(load_checkpoint(path), device, runtime)

    @property
    def config(self) -> ModelConfig:
        """The checkpoint's config."""
        return self._model.config

    @property
    def global_dim(self) -> int:
        """D."""
        return self._model.backbone.final_channels

    @property
    def recall_vector(self) -> RecallName:
        """Which vector stage one compares."""
        return self.config.recall.vector

    @property
    def device(self) -> str:
        """Where the network runs: "cpu", "cuda" or "cuda:N"."""
        return str(self._device)

    @property
    def runtime(self) -> RuntimeName:
        """How the backbone is computed: what `auto` came to, where that was asked for."""
        return self._trunk.name

    @property
    def input_side(self) -> int:
        """Pixels of the square that photos are letterboxed into."""
        return self.config.preprocessing.image_size

    @property
    def weights(self) -> str:
        """Where the weights come from, in words."""
        return self._record.weights

    @property
    def trained_for_retrieval(self) -> bool:
        """False for random and for ImageNet weights."""
        return self._record.trained_for_retrieval

    @property
    def calibration(self) -> Calibration | None:
        """A fused score, at the config's alpha, as a probability; None where nothing was fitted."""
        return self._record.calibration

    def prepare(self, image: Image.Image) -> Prepared:
        """Letterbox an RGB photo; thread-safe."""
        return prepare(image, self.config.preprocessing)

    def prepare_query(self, image: Image.Image) -> tuple[Prepared, ...]:
        """Letterbox an RGB photo once for each scale of the config; thread-safe."""
        return prepare_scales(image, self.config.preprocessing, self.config.query_scales)

    def encode_queries(self, photos: Sequence[Sequence[Prepared]]) -> list[Encoded]:
        """Encode query photos, one forward pass a scale: for each photo, a row a scale."""
        scales = [self.encode(each) for each in zip(*photos, strict=True)]
        return [
            Encoded(*(np.stack([row[i] for row in rows]) for rows in zip(*scales, strict=True)))
            for i in range(len(photos))
        ]

    def normalise(self, pixels: Tensor) -> Tensor:
        """(B, S, S, 3) uint8 pixels as the backbone's input, on the device."""
        return self._model.normalise(pixels.to(self._device))

    @property
    def trunk(self) -> Trunk:
        """The bare backbone, computed as `runtime` says."""
        return self._trunk.run

    @one_at_a_time
    @torch.inference_mode()
    def encode(self, prepared: Sequence[Prepared]) -> Encoded:
        """Encode photos of one size in one forward pass."""
        pixels = torch.from_numpy(np.stack([photo.pixels for photo in prepared]))
        features = self._model.describe(self.trunk(self.normalise(pixels)))
        found = (*features, self._model.recall_vector(features))
        arrays = Encoded(*(x.float().cpu().numpy() for x in found))
        frames = [photo.frame for photo in prepared]
        return arrays._replace(geometry=to_photo(arrays.geometry, frames))

    @property
    def refines_pairs(self) -> bool:
        """Whether `align` says more than `compare`: the alignment's first stage is trained."""
        return self._refines_pairs

    @one_at_a_time
    @torch.inference_mode()
    def compare(self, queries: TokenSet, items: CodedTokens) -> NDArray[np.float32]:
        """Attended similarity of (B, L, M, d) queries with all K stored items: (B, K).

        S_token itself, unless `refines_pairs`: then without the first stage, at a small part
        of the time.
        """
        asked = TokenSet(*(x.to(self._device) for x in queries))
        found = compare_coded(self._model.alignment, asked, items.to(self._device))
        scores: NDArray[np.float32] = found.float().cpu().numpy()
        return scores

    @one_at_a_time
    @torch.inference_mode()
    def align(self, queries: TokenSet, candidates: TokenSet) -> NDArray[np.float32]:
        """S_token of (B, L, M, d) queries, each with all of (1, K, L, M, d) candidates: (B, K)."""
        alignment = self._model.alignment
        with torch.autocast(self._device.type, enabled=False):
            asked, found = (
                alignment.prepare(TokenSet(*(x.to(self._device) for x in each)))
                for each in (queries, candidates)
            )
            # Prepared once, however many queries.
            shared = found.map(lambda x: x.expand(len(asked.tokens), *x.shape[1:]))
            scores: NDArray[np.float32] = alignment.score(asked, shared).float().cpu().numpy()
        return scores

    @one_at_a_time
    @torch.inference_mode()
    def explain(self, query: TokenSet, candidates: TokenSet) -> Decomposition[NDArray[np.float32]]:
        """Take S_token of one query (1, L, M, d) with (1, K, L, M, d) candidates apart."""
        moved = (TokenSet(*(x.to(self._device) for x in side)) for side in (query, candidates))
        found = decompose(self._model.alignment, *moved)
        return Decomposition(*(x.float().cpu().numpy() for x in found))
