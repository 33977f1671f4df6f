"""Product codes: bytes go to the axes that vary, and what comes back lies near what went in."""

import numpy as np
import pytest
import torch

from indexer.codebook_file import read_codebooks, write_codebooks
from indexer.codebooks import fit_codebooks, give_bits, group_axes
from indexer.codec import unpack_tokens
from indexer.token_codec import ProductCodec, parse_tokens
from model.errors import CheckpointError, GalleryMismatchError, ParameterError
from model.tensor_file import write_tensors
from tests.indexer.fakes import Encoded, unit

LEVELS, TOKENS, WIDTH, GLOBAL = 2, 4, 16, 32


def draw(count: int, seed: int) -> Encoded:
    """Images whose tokens share their slot's direction and vary in few others."""
    rng = np.random.default_rng(seed)
    slots = np.random.default_rng(99).normal(size=(LEVELS, TOKENS, WIDTH))
    spread = np.geomspace(1, 0.01, WIDTH)
    tokens = slots + spread * rng.normal(size=(count, LEVELS, TOKENS, WIDTH))
    return Encoded(
        unit(rng.normal(size=(count, GLOBAL))),
        unit(tokens),
        np.full((count, LEVELS, TOKENS), 0.25, np.float32),
        np.full((count, LEVELS, TOKENS, 5), 0.5, np.float32),
        unit(rng.normal(size=(count, 8))),
    )


@pytest.fixture(scope="module")
def books():
    photos = draw(400, 0)
    return fit_codebooks(photos.tokens, photos.global_feature, 4, 8)


def restore(books, photos: Encoded):
    packed = ProductCodec(books).pack(photos)
    return ProductCodec(books).to_block(
        tuple(packed[name] for name in ("tokens", "geometry", "global_code"))
    )


def test_tokens_come_back_near_to_what_they_were(books):
    photos = draw(50, 1)
    block = restore(books, photos)
    tokens = unpack_tokens(block.tokens, block.scales)
    assert (tokens * photos.tokens).sum(-1).mean() > 0.97
    np.testing.assert_allclose(np.linalg.norm(block.global_feature, axis=-1), 1, atol=1e-5)


def test_scales_bring_elements_to_unit_length(books):
    block = restore(books, draw(50, 1))
    length = np.linalg.norm(block.tokens * block.scales[..., None], axis=-1)
    np.testing.assert_allclose(length, 1, atol=0.05)


def test_more_bytes_restore_more():
    fit, photos = draw(400, 0), draw(50, 1)
    error = []
    for size in (1, 2, 4, 8):
        block = restore(fit_codebooks(fit.tokens, fit.global_feature, size, 8), photos)
        tokens = unpack_tokens(block.tokens, block.scales)
        error.append(1 - (tokens * photos.tokens).sum(-1).mean())
    assert error == sorted(error, reverse=True)


def test_an_unused_token_comes_back_as_zeros(books):
    photos = draw(3, 2)
    photos.tokens[1, 0, 2], photos.mass[1, 0, 2] = 0, 0
    block = restore(books, photos)
    assert not block.tokens[1, 0, 2].any()
    assert block.scales[1, 0, 2] == 0
    assert block.mass[1, 0, 2] == 0
    assert np.count_nonzero(block.scales) == block.scales.size - 1


def test_codes_are_as_long_as_was_asked_for(books):
    packed = ProductCodec(books).pack(draw(3, 0))
    assert packed["tokens"].shape == (3, TOKENS, LEVELS * 4)
    assert packed["tokens"].dtype == np.uint8
    assert packed["global_code"].shape == (3, 8)


def test_one_by_one_is_as_all_at_once(books):
    photos = draw(5, 3)
    whole = ProductCodec(books).pack(photos)
    for i in range(5):
        one = ProductCodec(books).pack(Encoded(*(part[i : i + 1] for part in photos)))
        for name, values in one.items():
            np.testing.assert_array_equal(values[0], whole[name][i])


def test_equal_photos_give_equal_codebooks(books):
    photos = draw(400, 0)
    again = fit_codebooks(photos.tokens, photos.global_feature, 4, 8)
    for one, other in zip(books, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_handful_of_photos_is_enough():
    photos = draw(5, 0)
    block = restore(fit_codebooks(photos.tokens, photos.global_feature, 8, 8), photos)
    tokens = unpack_tokens(block.tokens, block.scales)
    assert (tokens * photos.tokens).sum(-1).min() > 0.99


@pytest.mark.parametrize("variance", [[1, 0, 0, 0], [1e9, 1e-9, 1e-9, 1e-9], [1, 1, 1, 1]])
@pytest.mark.parametrize("token_bytes", [1, 2, 3, 4])
def test_no_byte_stays_without_an_axis(variance, token_bytes):
    groups = group_axes(np.array([variance, variance], float), token_bytes)
    for level in groups:
        assert set(level[level >= 0]) == set(range(level.max() + 1))
    assert (groups.max(1) + 1).sum() == 2 * token_bytes


@pytest.mark.parametrize("bits", [1, 7.5, 64])
def test_all_bits_are_given(bits):
    variance = np.geomspace(1, 1e-4, 20)
    found = give_bits(variance, bits)
    assert found.sum() == pytest.approx(bits, abs=1e-6)
    assert (np.diff(found) <= 0).all()


@pytest.mark.parametrize("token_bytes", [1, 3, 8])
def test_levels_share_the_bytes_by_what_varies(token_bytes):
    variance = np.stack([np.geomspace(1, 1e-2, 16), np.geomspace(1e-1, 1e-4, 16)])
    groups = group_axes(variance, token_bytes)
    counts = groups.max(1) + 1
    assert counts.sum() == 2 * token_bytes
    assert counts[0] >= counts[1]
    coded = groups[0][groups[0] >= 0]
    assert (np.diff(coded) >= 0).all()
    assert set(coded) == set(range(counts[0]))


def test_a_file_gives_the_same_codes(books, tmp_path):
    write_codebooks(tmp_path / "books.safetensors", books, "aa")
    first = read_codebooks(tmp_path / "books.safetensors", "aa")
    write_codebooks(tmp_path / "again.safetensors", first, "aa")
    second = read_codebooks(tmp_path / "again.safetensors", "aa")
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(first.groups, books.groups)
    np.testing.assert_allclose(first.words, books.words, atol=2e-3)


def test_unusable_files_are_named(books, tmp_path):
    path = tmp_path / "books.safetensors"
    with pytest.raises(CheckpointError, match="codes are missing at"):
        read_codebooks(path, "aa")
    write_codebooks(path, books, "aa")
    with pytest.raises(GalleryMismatchError, match="belongs to checkpoint aa, the gallery to bb"):
        read_codebooks(path, "bb")
    write_codebooks(path, books._replace(means=np.full_like(books.means, np.nan)), "aa")
    with pytest.raises(GalleryMismatchError, match="not finite"):
        read_codebooks(path, "aa")
    write_tensors(path, {"x": torch.zeros(1)}, {})
    with pytest.raises(GalleryMismatchError, match="no codebooks"):
        read_codebooks(path, "aa")


@pytest.mark.parametrize("name", ["pq", "pq0", "fp16", "PQ8", "pq-1", ""])
def test_unknown_forms_are_refused(name):
    with pytest.raises(ParameterError, match="expected int8, or pq"):
        parse_tokens(name)
