"""Tokens and geometry survive their few bytes within stated bounds."""

import numpy as np
import pytest

from indexer.codec import (
    pack_geometry,
    pack_tokens,
    unpack_geometry,
    unpack_mass,
    unpack_tokens,
)


@pytest.fixture
def tokens() -> np.ndarray:
    tokens = np.random.default_rng(0).normal(size=(5, 3, 4, 32)).astype(np.float32)
    return tokens / np.linalg.norm(tokens, axis=-1, keepdims=True)


def test_token_elements_are_off_by_at_most_half_a_scale(tokens):
    codes, scales = pack_tokens(tokens)
    restored = codes * scales.astype(np.float32)[..., None]
    # The clip at 127 adds what rounding the scale to float16 took away.
    bound = 0.5 * scales.astype(np.float32)[..., None] * (1 + 127 * 2**-10)
    assert (np.abs(restored - tokens) <= bound).all()


def test_restored_tokens_have_unit_length_and_keep_their_direction(tokens):
    restored = unpack_tokens(*pack_tokens(tokens))
    np.testing.assert_allclose(np.linalg.norm(restored, axis=-1), 1, atol=1e-6)
    assert (restored * tokens).sum(axis=-1).min() > 0.9995


def test_unused_tokens_stay_zero(tokens):
    tokens[:, 1] = 0
    codes, scales = pack_tokens(tokens)
    assert not codes[:, 1].any()
    assert not scales[:, 1].any()
    assert not unpack_tokens(codes, scales)[:, 1].any()


def test_geometry_is_off_by_at_most_half_a_step():
    generator = np.random.default_rng(0)
    low, high = np.array([0, 0, 0, 0, -1]), np.ones(5)
    geometry = generator.uniform(low, high, (200, 5)).astype(np.float32)
    restored = unpack_geometry(pack_geometry(geometry, np.ones(200, np.float32)))
    assert (np.abs(restored - geometry) <= 0.5001 * np.array([1, 1, 1, 1, 2]) / 254).all()


def test_no_correlation_stays_exactly_none():
    packed = pack_geometry(np.zeros((1, 5), np.float32), np.zeros(1, np.float32))
    assert unpack_geometry(packed)[0, 4] == 0


@pytest.mark.parametrize(("share", "tolerance"), [(0, 0), (1, 0), (1 / 16, 1e-3), (1e-3, 1.3e-4)])
def test_small_shares_keep_their_precision(share, tolerance):
    packed = pack_geometry(np.zeros((1, 5), np.float32), np.array([share], np.float32))
    assert unpack_mass(packed)[0] == pytest.approx(share, abs=tolerance + 1e-7)


def test_a_share_above_zero_never_becomes_zero():
    packed = pack_geometry(np.zeros((1, 5), np.float32), np.array([1e-9], np.float32))
    assert unpack_mass(packed)[0] > 0


def test_values_outside_their_range_are_clipped():
    wild = np.array([[-3, 7, 9, -1, 5]], np.float32)
    restored = unpack_geometry(pack_geometry(wild, np.array([2.0], np.float32)))
    np.testing.assert_array_equal(restored[0], [0, 1, 1, 0, 1])
