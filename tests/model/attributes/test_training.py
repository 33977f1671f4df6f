"""Attributes fitted to tokens: they find what is there, and leave out what is not."""

from pathlib import Path

import numpy as np
import pytest

from model.attributes.learning_curve import (
    LearnedRow,
    draw_examples,
    measure_examples,
    render_examples,
)
from model.attributes.records import Attribute, AttributeData, AttributeSplit, Labelled
from model.attributes.report import render_attributes
from model.attributes.stored import measure_stored, pack_embeddings
from model.attributes.token_cache import TokenStore
from model.attributes.training import (
    _regress,
    fit_heads,
    fit_whitening,
    measure_chance,
    measure_heads,
    measure_vectors,
    restrict,
    train_heads,
)
from model.data.records import Photo
from model.errors import DataError
from tests.model.attributes.token_store import WIDTH, draw_store

ATTRIBUTES = (
    Attribute("pocket", ("cargo", "none", "patch")),
    Attribute("hem", ("curved", "straight")),
    Attribute("mood", ("blue", "red")),  # nothing in the tokens shows it
)


def draw_photos(count: int, seed: int, name: str) -> tuple[tuple[Labelled, ...], TokenStore]:
    """Token (1, 2) leans to the pocket's direction, (0, 1) to the hem's."""
    rng = np.random.default_rng([seed, 5])
    directions = np.random.default_rng(9).standard_normal((5, WIDTH))
    tokens, mass, geometry = draw_store(count, seed)
    kinds = np.stack([rng.integers(len(each.values), size=count) for each in ATTRIBUTES], axis=1)
    tokens[:, 1, 2] += 2 * directions[kinds[:, 0]]
    tokens[:, 0, 1] += 2 * directions[3 + kinds[:, 1]]
    tokens /= np.linalg.norm(tokens, axis=-1, keepdims=True)
    mass[:, 1, 2] = mass[:, 0, 1] = 0.5
    photos = tuple(
        Labelled(Photo(Path(f"{name}{n}.jpg"), f"{name}{n}"), dict(enumerate(map(int, row))))
        for n, row in enumerate(kinds)
    )
    features = rng.standard_normal((count, 7)).astype(np.float32)
    return photos, TokenStore(tokens, mass, geometry, features)


def split_in_two(photos: tuple[Labelled, ...]) -> AttributeSplit:
    asks, answers = tuple(range(0, len(photos), 4)), tuple(n for n in range(len(photos)) if n % 4)
    return AttributeSplit(photos, dict.fromkeys(range(3), asks), dict.fromkeys(range(3), answers))


@pytest.fixture(scope="module")
def drawn() -> tuple[AttributeData, TokenStore, TokenStore, TokenStore]:
    """200 training photos, 60 for validation, 80 to test."""
    train, store = draw_photos(200, 1, "a")
    valid, valid_store = draw_photos(60, 2, "b")
    test, test_store = draw_photos(80, 3, "c")
    data = AttributeData("drawn", ATTRIBUTES, train, split_in_two(valid), split_in_two(test))
    return data, store, valid_store, test_store


def test_what_the_tokens_show_is_learned_and_what_they_do_not_is_left_out(drawn) -> None:
    data, store, valid, test = drawn
    said: list[str] = []
    heads = train_heads(data, store, valid, "f" * 64, say=said.append)
    assert heads.names == ("pocket", "hem")
    assert any(sentence.startswith("mood is left out: mAP 0.") for sentence in said)
    results = measure_heads(heads, data, data.test, test)
    assert results.plain["mAP"].value > 0.85
    assert heads.info("pocket").quality > 0.85
    assert heads.info("pocket").num_examples == 200
    assert heads.info("pocket").values == ("cargo", "none", "patch")
    assert "drawn" in heads.info("pocket").source


def test_eight_bits_lose_next_to_nothing(drawn) -> None:
    data, store, _, test = drawn
    heads = fit_heads(data, store, "f", [0.1])[0]
    full, packed = (f(heads, data, data.test, test) for f in (measure_heads, measure_stored))
    assert abs(full.plain["mAP"].value - packed.plain["mAP"].value) < 0.01
    assert packed.method == "stored int8"
    assert pack_embeddings(np.zeros((1, 3), dtype=np.float32)).tolist() == [[0, 0, 0]]


def test_an_attribute_learned_from_examples_is_close_to_the_full_one(drawn) -> None:
    data, store, _, test = drawn
    heads = fit_heads(data, store, "f", [0.1])[0].only(["pocket", "hem"])
    rows = measure_examples(heads, data, store, test, counts=(5, 60), draws=2)
    assert [row.name for row in rows] == ["pocket", "hem"]
    for row in rows:
        assert len(row.learned[5]) == 2
        assert np.mean(row.learned[60]) > row.full - 0.2
        assert np.mean(row.learned[60]) > np.mean(row.learned[5])
    assert "| mean | | " in render_examples(rows)


def test_attributes_of_few_values_are_averaged_beside_the_others() -> None:
    rows = [
        LearnedRow("hem", 2, 0.7, {20: (0.5, 0.6)}),
        LearnedRow("colour", 24, 0.9, {20: (0.2, 0.2)}),
    ]
    assert render_examples(rows).splitlines()[2:] == [
        "| hem | 2 | 55.0 | 70.0 |",
        "| colour | 24 | 20.0 | 90.0 |",
        "| mean | | 37.5 | 80.0 |",
        "| mean of these | 5 or fewer | 55.0 | 70.0 |",
    ]
    assert len(render_examples(rows[1:]).splitlines()) == 4


def test_examples_are_of_different_items(drawn) -> None:
    data = drawn[0]
    twice = AttributeData(
        "twice", ATTRIBUTES, data.train[:30] + data.train[:30], data.valid, data.test
    )
    places = draw_examples(twice, 0, 20, np.random.default_rng(0))
    assert len({twice.train[n].photo.item for n in places}) == len(places) == 20


def test_random_vectors_know_nothing(drawn) -> None:
    data, _, _, test = drawn
    chance = measure_chance(data, data.test)
    assert chance.row("hem").metrics["mAP"].value < 0.7
    other = measure_vectors(test.global_feature, "global feature", data, data.test)
    table = render_attributes([chance, other])
    assert "random" in table
    assert "global feature" in table
    assert "mean over queries" in table


def test_a_part_of_a_split_keeps_its_photos(drawn) -> None:
    split = restrict(drawn[0].test, [1])
    assert (list(split.queries), list(split.candidates)) == ([1], [1])
    assert split.photos is drawn[0].test.photos


def test_after_whitening_a_tokens_numbers_do_not_vary_together() -> None:
    rng = np.random.default_rng(0)
    mixed = np.matmul(rng.standard_normal((500, 2, 3, 4)), rng.standard_normal((2, 4, 4)))
    mixed += 1e-4 * rng.standard_normal(mixed.shape)
    mixed[..., 3] = 1e-6 * mixed[..., 3]  # too little to be stretched to the full
    white = np.matmul(mixed, fit_whitening(mixed.astype(np.float32)))
    for level in range(2):
        tokens = white[:, level].reshape(-1, 4)
        variances = np.linalg.eigvalsh(tokens.T @ tokens / len(tokens))
        np.testing.assert_allclose(variances[1:], 1, atol=0.02)
        assert variances[0] < 0.01


def test_shares_of_values_come_with_the_map(drawn) -> None:
    data, store, _, test = drawn
    heads = fit_heads(data, store, "f", [0.1])[0]
    kinds = [photo.values[1] for photo in data.train]
    roots = heads.roots["hem"]
    share = np.bincount(kinds) / len(kinds)
    np.testing.assert_allclose(roots**2 / np.square(roots).sum(), share, atol=1e-5)
    # Chances add up to one, so no embedding is empty.
    described = heads.describe(*test.parts).reshape(80, -1)
    scores = described @ heads.maps["hem"].reshape(2, -1).T
    chances = roots * (roots + scores) / np.square(roots).sum()
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-4)


@pytest.mark.parametrize("width", [30, 5])
def test_photos_and_features_give_the_same_regression(width: int) -> None:
    rng = np.random.default_rng(0)
    rows, targets = rng.standard_normal((12, width)), rng.standard_normal((12, 3))
    strength = 0.2 * np.square(rows).sum() / 12
    by_hand = np.linalg.solve(rows.T @ rows + strength * np.eye(width), rows.T @ targets).T
    for similarity in (None, rows @ rows.T):
        np.testing.assert_allclose(_regress(rows, targets, 0.2, similarity), by_hand, atol=1e-6)


def test_data_without_anything_to_learn_is_refused(drawn) -> None:
    data, store, valid, _ = drawn
    closed = AttributeData("luma", ATTRIBUTES, (), data.valid, data.test, evaluation_only=True)
    with pytest.raises(DataError, match="for evaluation only"):
        train_heads(closed, store, valid, "f")
    same = tuple(Labelled(each.photo, {0: 1}) for each in data.train)
    with pytest.raises(DataError, match="no attribute of drawn has two values"):
        fit_heads(AttributeData("drawn", ATTRIBUTES, same, data.valid, data.test), store, "f")
    only_mood = AttributeData(
        "drawn",
        ATTRIBUTES,
        tuple(Labelled(each.photo, {2: each.values[2]}) for each in data.train),
        data.valid,
        data.test,
    )
    with pytest.raises(DataError, match="better than chance"):
        train_heads(only_mood, store, valid, "f")
