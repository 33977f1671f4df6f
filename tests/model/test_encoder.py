"""Ordinary photos in, numpy out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.alignment import TokenSet
from model.devices import resolve_device
from model.encoder import Encoder
from model.errors import DeviceError, ParameterError
from model.images import read_image


@pytest.fixture(scope="module")
def encoder(tiny: Path) -> Encoder:
    return Encoder.from_checkpoint(tiny, "cpu")


def test_features_have_their_shapes_and_unit_length(encoder: Encoder, photos: list[Path]) -> None:
    encoded = encoder.encode([encoder.prepare(read_image(photo)) for photo in photos[:3]])
    assert encoded.global_feature.shape == (3, encoder.global_dim)
    assert encoded.tokens.shape == (3, 3, 4, 16)
    assert encoded.mass.shape == (3, 3, 4)
    assert encoded.geometry.shape == (3, 3, 4, 5)
    np.testing.assert_allclose(np.linalg.norm(encoded.global_feature, axis=-1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(encoded.tokens, axis=-1), 1, atol=1e-5)


def test_a_photo_does_not_depend_on_its_batch(encoder: Encoder, photos: list[Path]) -> None:
    prepared = [encoder.prepare(read_image(photo)) for photo in photos[:4]]
    together = encoder.encode(prepared)
    alone = [encoder.encode([photo]) for photo in prepared]
    for whole, parts in zip(together, zip(*alone, strict=True), strict=True):
        np.testing.assert_allclose(whole, np.concatenate(parts), atol=2e-4)


def test_encoding_leaves_no_trace(encoder: Encoder, photos: list[Path]) -> None:
    prepared = [encoder.prepare(read_image(photos[0]))]
    first = encoder.encode(prepared)
    encoder.encode([encoder.prepare(read_image(photos[1]))])
    assert np.array_equal(first.tokens, encoder.encode(prepared).tokens)


def test_geometry_lies_inside_the_photo(encoder: Encoder) -> None:
    place = encoder.encode([encoder.prepare(Image.new("RGB", (300, 40), "navy"))]).geometry
    assert place[..., :4].min() >= 0.0
    assert place[..., :4].max() <= 1.0


def test_align_scores_an_image_highest_with_itself(encoder: Encoder, photos: list[Path]) -> None:
    encoded = encoder.encode([encoder.prepare(read_image(photo)) for photo in photos])
    tokens = encoded.token_set
    everything = TokenSet(*(x.unsqueeze(0) for x in tokens))
    query = TokenSet(*(x[5:6] for x in tokens))
    assert encoder.align(query, everything)[0].argmax() == 5


def test_a_device_that_is_not_there_is_a_sentence(tiny: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(DeviceError, match="PyTorch sees no GPU; use auto or cpu"):
        Encoder.from_checkpoint(tiny, "cuda")
    assert resolve_device("auto").type == "cpu"


@pytest.mark.parametrize("name", ["gpu", "", "meta"])
def test_a_word_that_is_no_device_is_a_sentence(name: str) -> None:
    with pytest.raises(ParameterError, match="use auto, cpu, cuda or cuda:N"):
        resolve_device(name)
