"""mAP by attribute: by hand, by a plain loop, by scikit-learn, and with its averages."""

import numpy as np
import pytest

from model.attributes.metrics import (
    Bootstrap,
    compare,
    evaluate_attributes,
    evaluate_vectors,
    find_relevant,
    measure_queries,
)
from model.attributes.records import Attribute, AttributeSplit
from model.errors import DataError, ParameterError
from tests.model.attributes.conftest import EMPTY, make_split, photo

FEW = Bootstrap(rounds=50)


def random_vectors(count, seed=0, attributes=2):
    return np.random.default_rng(seed).standard_normal((attributes, count, 5)).astype(np.float32)


def look_up(vectors):
    return lambda k, places: vectors[k][list(places)]


def evaluate(split, attributes, vectors, **more):
    return evaluate_vectors(look_up(vectors), split, attributes, bootstrap=FEW, **more)


def slow_ap(query, candidates, relevant):
    """Rank by cosine, the irrelevant first among equals, and walk down the list."""
    cosines = [
        round(float(query @ c / np.linalg.norm(query) / np.linalg.norm(c)), 6) for c in candidates
    ]
    order = sorted(range(len(candidates)), key=lambda k: (-cosines[k], relevant[k]))
    hits, total = 0, 0.0
    for rank, place in enumerate(order, start=1):
        if relevant[place]:
            hits += 1
            total += hits / rank
    return total / hits if hits else 0.0


def slow_map(split, k, vectors):
    found = []
    for place in split.queries[k]:
        wanted = split.photos[place].values[k]
        answers = split.candidates[k]
        if split.leave_own_item:
            own = split.photos[place].photo.item
            answers = [a for a in answers if split.photos[a].photo.item != own]
        relevant = [split.photos[a].values[k] == wanted for a in answers]
        found.append(slow_ap(vectors[k][place], vectors[k][list(answers)], relevant))
    return np.mean(found)


@pytest.mark.parametrize("leave", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_map_is_that_of_a_plain_loop(seed, leave):
    split, attributes = make_split(seed=seed)
    if leave:
        every = dict.fromkeys(range(2), tuple(range(60)))
        split = AttributeSplit(split.photos, every, every, leave_own_item=True)
    vectors = random_vectors(60, seed)
    found = evaluate(split, attributes, vectors)
    for k, row in enumerate(found.rows):
        assert row.metrics["mAP"].value == pytest.approx(slow_map(split, k, vectors), abs=1e-9)


def test_map_is_that_of_scikit_learn_where_nothing_ties():
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    rng = np.random.default_rng(4)
    queries, candidates = (rng.standard_normal((n, 8)).astype(np.float32) for n in (20, 300))
    relevant = rng.random((20, 300)) < 0.1
    found = measure_queries(queries, candidates, relevant)["mAP"]
    unit = candidates / np.linalg.norm(candidates, axis=1, keepdims=True)
    theirs = [
        metrics.average_precision_score(r, unit @ q / np.linalg.norm(q))
        for q, r in zip(queries, relevant, strict=True)
    ]
    assert found == pytest.approx(theirs, abs=1e-6)


def test_by_hand():
    """Two of three candidates are right, at ranks 1 and 3: (1 + 2/3) / 2."""
    candidates = np.array([[1, 0], [0.9, 0.1], [0, 1]], dtype=np.float32)
    relevant = np.array([[True, False, True]])
    found = measure_queries(np.array([[2, 0]], dtype=np.float32), candidates, relevant)
    assert found["mAP"] == pytest.approx([5 / 6])
    assert found["R@1"] == [1.0]


def test_a_collapsed_network_finds_nothing_first():
    split, attributes = make_split()
    found = evaluate(split, attributes, np.ones((2, 60, 5), dtype=np.float32))
    assert all(row.metrics["R@1"].value == 0 for row in found.rows)
    assert found.plain["mAP"].value < 0.4


def test_a_query_without_an_answer_scores_nothing_and_is_counted():
    photos = (photo("a", 0), photo("b", 1), photo("c", 1), photo("d", 1))
    split = AttributeSplit(photos, {0: (0, 1)}, {0: (2, 3)})
    found = evaluate(split, [Attribute("a", ("x", "y"))], np.ones((1, 4, 2), np.float32))
    assert found.rows[0].metrics["mAP"].value == 0.5
    assert found.rows[0].without_relevant == 1
    assert any("1 of 2 queries have no relevant candidate" in note for note in found.notes)


def test_one_value_in_common_makes_a_candidate_relevant():
    asked = [photo("a", 0, others={0: (1,)}), photo("b", 2)]
    known = [photo("c", 1), photo("d", 0), photo("e", 2, others={0: (0,)})]
    assert find_relevant(asked, known, 0).tolist() == [[True, True, True], [False, False, True]]


def test_queries_are_ranked_in_pieces_without_a_difference(monkeypatch):
    split, attributes = make_split()
    vectors = random_vectors(60)
    whole = evaluate(split, attributes, vectors).model_dump()
    monkeypatch.setattr("model.attributes.metrics.CHUNK", 7)
    assert evaluate(split, attributes, vectors).model_dump() == whole


def test_both_averages():
    """Attribute a: one query, found; b: three queries, none found."""
    photos = (*(photo(k, 0 if k == 0 else None, 0) for k in range(4)), photo(4, 0, 1))
    split = AttributeSplit(photos, {0: (0,), 1: (1, 2, 3)}, {0: (4,), 1: (4,)})
    attributes = [Attribute("a", ("x",)), Attribute("b", ("x", "y"))]
    found = evaluate(split, attributes, random_vectors(5))
    assert found.weighted["mAP"].value == 0.25
    assert found.plain["mAP"].value == 0.5


def test_intervals_contain_the_value_and_narrow_with_more_queries():
    widths = []
    for count in (60, 600):
        split, attributes = make_split(count)
        found = evaluate(split, attributes, random_vectors(count))
        for value in (found.weighted["mAP"], found.plain["mAP"], found.rows[0].metrics["mAP"]):
            assert value.low <= value.value <= value.high
        widths.append(found.plain["mAP"].high - found.plain["mAP"].low)
    assert widths[1] < widths[0]


def test_whole_items_are_drawn():
    """Ten photos of one item are not ten witnesses."""
    many, attributes = make_split(60, counts=(4,))
    one = AttributeSplit(
        tuple(photo(n, *p.values.values(), item="same") for n, p in enumerate(many.photos)),
        many.queries,
        many.candidates,
    )
    vectors = random_vectors(60, attributes=1)
    wide = evaluate(many, attributes, vectors).rows[0].metrics["mAP"]
    none = evaluate(one, attributes, vectors).rows[0].metrics["mAP"]
    assert wide.high - wide.low > 0.01
    assert none.high == pytest.approx(none.low)


def test_all_found_leaves_a_doubt_of_the_exact_size():
    photos = tuple(photo(k, 0) for k in range(20))
    split = AttributeSplit(photos, {0: tuple(range(10))}, {0: tuple(range(10, 20))})
    found = evaluate(split, [Attribute("a", ("x",))], random_vectors(20, attributes=1))
    assert (found.plain["mAP"].value, found.plain["mAP"].high) == (1.0, 1.0)
    assert 0.6 < found.plain["mAP"].low < 0.8


def test_photos_are_embedded_once_an_attribute():
    split, attributes = make_split()
    asked = []

    def embed(k, photos):
        asked.append((k, len(photos)))
        return np.ones((len(photos), 3), dtype=np.float32)

    evaluate_attributes(embed, split, attributes, bootstrap=FEW)
    assert asked == [(0, 60), (1, 60)]


def test_a_difference_is_paired():
    split, attributes = make_split(240)
    labels = [[p.values[k] for p in split.photos] for k in range(2)]
    vectors = random_vectors(240)
    better = vectors.copy()
    for k in range(2):
        better[k] += 2 * np.eye(5, dtype=np.float32)[labels[k]]
    gain = compare(
        "labels", evaluate(split, attributes, better), evaluate(split, attributes, vectors)
    )
    assert gain.plain["mAP"].low > 0
    assert set(gain.rows) == {"a", "b"}
    same = compare("none", *(evaluate(split, attributes, vectors) for _ in range(2)))
    assert (same.weighted["mAP"].low, same.plain["mAP"].value) == (0.0, 0.0)


def test_other_queries_cannot_be_compared():
    found = [
        evaluate(*make_split(count), random_vectors(60), method=str(count)) for count in (60, 48)
    ]
    with pytest.raises(ParameterError, match="60 and 48 were not asked the same queries"):
        compare("none", *found)


@pytest.mark.parametrize("wrong", [np.ones((2, 59, 5)), np.full((2, 60, 5), np.nan)])
def test_embeddings_that_cannot_be_ranked_are_refused(wrong):
    split, attributes = make_split()
    with pytest.raises(ParameterError, match="embeddings of a have the shape"):
        evaluate_vectors(lambda k, _: wrong[k], split, attributes)


def test_a_split_without_queries_is_refused():
    with pytest.raises(DataError, match="has no queries"):
        evaluate_attributes(lambda *_: np.ones((0, 1), np.float32), EMPTY, [])
