"""The comparison of token codecs and of recall codes, on tiny numbers."""

import numpy as np
import pytest

from benchmarks.codecs.features import Features
from benchmarks.codecs.forms import fit_codes, fit_fewer, fit_float16, fit_int4, fit_int8
from benchmarks.recall import QUERIES, WAYS, _build, draw, find_share


@pytest.fixture
def photos() -> Features:
    rng = np.random.default_rng(0)

    def unit(*shape: int) -> np.ndarray:
        vectors = rng.normal(size=shape).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)

    mass = rng.permuted(np.tile(np.float32([0.1, 0.2, 0.3, 0.4]), (40, 2, 1)), axis=-1)
    geometry = np.full((40, 2, 4, 5), 0.5, np.float32)
    return Features(unit(40, 64), unit(40, 2, 4, 128), mass, geometry, unit(40, 16))


@pytest.mark.parametrize(("form", "size", "least"), [
    (fit_int8, 8 * 130, 0.999),
    (fit_float16, 8 * 256, 0.999),
    (fit_int4, 8 * 66, 0.98),
    (lambda fit: fit_codes(fit, 16), 8 * 16, 0.3),
])  # fmt: skip
def test_forms_restore_unit_tokens_and_state_their_bytes(photos, form, size, least):
    found = form(photos)(photos)
    assert found.token_bytes == size
    assert (found.photos.tokens * photos.tokens).sum(-1).mean() > least
    lengths = np.linalg.norm(found.photos.tokens, axis=-1)
    np.testing.assert_allclose(lengths, 1, atol=1e-3)


def test_fewer_tokens_keeps_those_of_most_mass(photos):
    found = fit_fewer(photos, 1)(photos).photos
    assert (np.count_nonzero(found.mass, axis=-1) == 1).all()
    np.testing.assert_array_equal(found.mass.argmax(-1), photos.mass.argmax(-1))


def test_equal_seeds_draw_equal_unit_vectors():
    vectors, queries = draw(300, 32, seed=1)
    np.testing.assert_array_equal(vectors, draw(300, 32, seed=1)[0])
    assert (vectors.shape, queries.shape) == ((300, 32), (QUERIES, 32))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_flat_index_finds_the_exact_hundred():
    vectors, queries = draw(300, 32, seed=0)
    index, params = _build(WAYS[0], vectors)
    found = index.search(queries, 100, params=params)[1]
    exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :100]
    assert find_share(found, exact) > 0.999
