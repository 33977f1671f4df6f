"""A new attribute from a few photos: it generalises, and refuses what cannot be learned."""

import numpy as np
import pytest

from model.attributes.heads import AttributeHeads, learn_attribute
from model.errors import ParameterError
from tests.model.attributes.token_store import Store, draw_store, make_heads


@pytest.fixture
def heads() -> AttributeHeads:
    return make_heads()


VALUES = ("cargo", "none", "patch")


def draw_pockets(count: int, seed: int, strength: float = 1.5) -> tuple[Store, list[str]]:
    """Photos whose token (1, 2) leans to a direction of their value; all else is noise."""
    directions = np.random.default_rng(99).standard_normal((len(VALUES), 8))
    tokens, mass, geometry = draw_store(count, seed)
    kinds = np.arange(count) % len(VALUES)
    tokens[:, 1, 2] += strength * directions[kinds]
    tokens[:, 1, 2] /= np.linalg.norm(tokens[:, 1, 2], axis=1, keepdims=True)
    mass[:, 1, 2] = 0.5
    return (tokens, mass, geometry), [VALUES[k] for k in kinds]


def measure_accuracy(learned: AttributeHeads, seed: int) -> float:
    """Nearest other photo has the same value."""
    store, values = draw_pockets(90, seed, strength=4)
    found = learned.embed("pocket", *store)
    scores = found @ found.T
    np.fill_diagonal(scores, -2)
    return float(np.mean([values[k] == values[i] for i, k in enumerate(scores.argmax(1))]))


def test_twenty_examples_are_enough_for_a_clear_attribute(heads: AttributeHeads) -> None:
    store, values = draw_pockets(21, 1, strength=4)
    learned = learn_attribute("pocket", *store, values, heads, source="a person")
    assert measure_accuracy(learned, 2) > 0.8
    info = learned.info("pocket")
    assert (info.values, info.num_examples, info.quality) == (VALUES, 21, None)
    assert info.source == "a person"
    assert (learned.fingerprint, learned.dim) == (heads.fingerprint, heads.dim)


def test_it_attends_where_the_value_is_seen(heads: AttributeHeads) -> None:
    store, values = draw_pockets(60, 1, strength=4)
    learned = learn_attribute("pocket", *store, values, heads)
    shares = learned.attend("pocket", *draw_pockets(30, 3)[0]).mean(0)
    assert shares[1, 2] == shares.max() > 0.4


def test_five_examples_with_a_value_seen_once(heads: AttributeHeads) -> None:
    store, values = draw_pockets(5, 1, strength=4)
    values = ["patch", "none", "none", "patch", "cargo"]
    learned = learn_attribute("pocket", *store, values, heads)
    found = learned.embed("pocket", *store)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_the_order_of_the_examples_does_not_matter(heads: AttributeHeads) -> None:
    store, values = draw_pockets(12, 1)
    turned = tuple(x[::-1] for x in store)
    one = learn_attribute("pocket", *store, values, heads)
    two = learn_attribute("pocket", *turned, values[::-1], heads)
    probe = draw_store(4, 8)
    np.testing.assert_allclose(one.embed("pocket", *probe), two.embed("pocket", *probe), atol=1e-4)


def test_more_values_than_the_embedding_is_wide(heads: AttributeHeads) -> None:
    store = draw_store(140)
    learned = learn_attribute("pocket", *store, [f"v{k % 70}" for k in range(140)], heads)
    assert learned.embed("pocket", *store).shape == (140, heads.dim)
    assert len(learned.maps["pocket"]) == heads.dim


def test_equal_photos_are_no_reason_to_fail(heads: AttributeHeads) -> None:
    store = tuple(np.repeat(x, 6, axis=0) for x in draw_store(1))
    learned = learn_attribute("pocket", *store, ["a", "b"] * 3, heads)
    assert np.isfinite(learned.embed("pocket", *draw_store(3))).all()


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        (" ", ["a", "b"] * 3, "has no name"),
        ("hem", ["a", "b"] * 3, "an attribute 'hem' already; choose another name"),
        ("pocket", ["a"] * 6, r"the same value \(a\)"),
        ("pocket", ["a", "b"], "2 values came with 6 photos"),
        ("pocket", ["a", "b", " ", "a", "b", "a"], "an example without a value"),
        ("pocket", list("abcdef"), "a value of its own"),
    ],
)
def test_what_cannot_be_learned_is_a_sentence(
    heads: AttributeHeads, name: str, values: list[str], sentence: str
) -> None:
    with pytest.raises(ParameterError, match=sentence):
        learn_attribute(name, *draw_store(6), values, heads)


def test_too_few_examples_are_a_sentence(heads: AttributeHeads) -> None:
    with pytest.raises(ParameterError, match="3 examples; expected 4 or more"):
        learn_attribute("pocket", *draw_store(3), ["a", "b", "a"], heads)
    with pytest.raises(ParameterError, match=r"same value \(none\)"):
        learn_attribute("pocket", *draw_store(0), [], heads)
