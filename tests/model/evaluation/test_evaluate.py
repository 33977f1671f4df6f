"""The whole evaluation equals a slow one, in any block size and with little memory."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from indexer.codec import pack_tokens, unpack_tokens
from model.config import get_preset
from model.data.records import RetrievalSet
from model.errors import DataError, ParameterError
from model.evaluation.embedding import Embedded, as_stored, full_precision
from model.evaluation.evaluate import evaluate_embedded, evaluate_model
from model.evaluation.metrics import average_precision, recall_at
from model.evaluation.pairing import Pairing
from model.evaluation.results import Evaluation
from model.evaluation.scoring import TokenScorer
from model.evaluation.settings import Settings
from model.evaluation.summary import compare
from model.mga import build_mga

SETTINGS = Settings(candidates=(1, 4, 1000), main=4, rounds=50, block=5, alphas=(0.0, 1.0))


@pytest.fixture(scope="module")
def tiny_model():
    torch.manual_seed(0)
    return build_mga(get_preset("tiny"))


def run(made, alignment, settings=SETTINGS, **options):
    queries, gallery, pairing = made
    return evaluate_embedded(queries, gallery, pairing, alignment, settings, **options)


def values(row):
    return {name: one.value for name, one in row.metrics.items()}


def test_exhaustive_rows_equal_a_score_matrix(make, alignment):
    queries, gallery, pairing = made = make(8)
    found = run(made, alignment, alpha=0.3)
    with torch.inference_mode():
        shape = (len(queries.mass), *gallery.tokens.shape)
        sides = gallery.token_set
        many = type(sides)(sides.tokens.expand(shape), sides.mass.expand(shape[:-1]))
        token = alignment(queries.token_set, many).numpy()
    relevant = pairing.query_items[:, None] == pairing.gallery_items
    whole = queries.global_feature @ gallery.global_feature.T
    for name, scores in {
        "global": whole, "token": token, "fused": 0.3 * whole + 0.7 * token
    }.items():  # fmt: skip
        row = values(found.row(name))
        assert row["mAP"] == pytest.approx(average_precision(scores, relevant).mean(), abs=1e-6)
        assert row["R@1"] == recall_at(scores, relevant, [1])[1].mean()


def test_all_candidates_equal_exhaustive_and_one_equals_global_at_rank_one(make, alignment):
    found = run(make(8), alignment)
    assert values(found.row("fused", 24)) == values(found.row("fused"))
    assert found.row("fused", 1).metrics["R@1"] == found.row("global").metrics["R@1"]


def test_the_ends_of_the_sweep_are_token_only_and_global_only(make, alignment):
    found = run(make(8), alignment)
    curve = next(c for c in found.curves if c.ranking == "exhaustive")
    assert [p.value for p in curve.points] == ["0", "0.5", "1"]
    assert [p.chosen for p in curve.points] == [False, True, False]
    assert curve.points[0].metrics["mAP"] == found.row("token").metrics["mAP"]
    assert curve.points[2].metrics["mAP"] == found.row("global").metrics["mAP"]


@pytest.mark.parametrize("changes", [{"block": 64}, {"budget_mb": 0}, {"exhaustive": False}])
def test_blocks_and_memory_change_nothing(make, alignment, changes):
    made = make(8)
    one, two = run(made, alignment), run(made, alignment, replace(SETTINGS, **changes))
    for row in two.rows:
        assert values(row) == values(one.row(row.scores, row.candidates))


def test_scores_of_a_shortlist_are_those_of_the_whole_gallery(make, alignment):
    queries, gallery, _ = make(4)
    scorer = TokenScorer(alignment, gallery)
    places = np.random.default_rng(0).integers(0, 12, (8, 5))
    expected = np.take_along_axis(scorer.score_all(queries), places, axis=1)
    np.testing.assert_allclose(scorer.score(queries, places), expected, atol=1e-6)
    assert scorer.num_pairs == 8 * 12 + 8 * 5


def test_the_ceiling_bounds_what_reranking_can_reach(make, alignment):
    found = run(make(8), alignment)
    ceiling = found.ceilings[0].recall
    for k in (1, 4, 24):
        assert found.row("fused", k).metrics["R@1"].value <= ceiling[k].value
    assert ceiling[24].value == 1.0


def test_every_recall_vector_gets_rows_a_ceiling_and_a_difference(make, alignment):
    recall = {"global": lambda e: e.global_feature, "granular": lambda e: e.tokens.mean((1, 2))}
    found = run(make(8), alignment, recall=recall)
    assert [one.vector for one in found.ceilings] == ["global", "granular"]
    assert found.row("fused", 4, "granular").recall == "granular"
    assert any("granular" in gain.name for gain in found.gains)
    assert found.main == "fused, best 4 by global"


def test_queries_without_a_positive_are_counted_and_left_out(make, alignment):
    queries, gallery, pairing = make(8)
    lonely = pairing._replace(
        query_items=np.where(pairing.query_items == 0, 99, pairing.query_items)
    )
    found, rest = run((queries, gallery, lonely), alignment), slice(2, None)
    assert (found.counts.queries, found.counts.without_positive, found.counts.items) == (14, 2, 7)
    assert any("left out of every mean" in note for note in found.notes)
    fewer = Pairing(lonely.query_items[rest], *lonely[1:2], lonely.query_photos[rest], lonely[3])
    assert values(found.rows[0]) == values(
        run((queries.take(rest), gallery, fewer), alignment).rows[0]
    )


def test_a_photo_does_not_find_itself(make, alignment):
    _, gallery, pairing = make(4)
    itself = Pairing(pairing.gallery_items, pairing.gallery_items, *[pairing.gallery_photos] * 2)
    found = run((gallery, gallery, itself), alignment)
    assert found.counts.left_out_pairs == 12
    assert found.row("global").metrics["R@1"].value < 1
    for settings in (SETTINGS, replace(SETTINGS, exhaustive=False)):
        hits = run((gallery, gallery, itself), alignment, settings).hits
        assert not (hits.places[:, 0] == np.arange(12)).any()


def test_collapsed_features_score_nothing(make, alignment):
    queries, gallery, pairing = make(8)
    one = Embedded(*(np.full_like(x, 8**-0.5) for x in queries))
    same = one, Embedded(*(np.full_like(x, 8**-0.5) for x in gallery))
    found = run((*same, pairing), alignment)
    assert {row.metrics["R@10"].value for row in found.rows} == {0.0}


def test_nothing_relevant_at_all_is_a_sentence(make, alignment):
    queries, gallery, pairing = make(2)
    with pytest.raises(DataError, match="none of the 4 queries"):
        run((queries, gallery, pairing._replace(query_items=pairing.query_items + 50)), alignment)


def test_stored_tokens_are_those_of_the_gallery():
    tokens = np.random.default_rng(0).normal(size=(5, 2, 3, 8)).astype(np.float32)
    tokens[0, 0, 0] = 0
    np.testing.assert_array_equal(as_stored(tokens), unpack_tokens(*pack_tokens(tokens)))


def test_an_evaluation_survives_json(make, alignment):
    found = run(make(4), alignment)
    back = Evaluation.model_validate_json(found.model_dump_json())
    assert back == found.model_copy(update={"hits": None, "per_query": None})


def test_photos_are_measured_and_the_model_is_left_as_it_was(tiny_model, retrieval):
    tiny_model.train()
    tiny_model.neck.eval()  # a frozen norm
    seen = []
    found = evaluate_model(
        tiny_model, retrieval, Settings.quick(), progress=lambda *x: seen.append(x)
    )
    assert tiny_model.training
    assert not tiny_model.neck.training
    assert [row.name for row in found.rows] == ["global, exhaustive", "fused, best 12 by global"]
    assert found.counts.without_positive == 1
    assert {("queries", 7, 7), ("gallery", 12, 12), ("ranking", 7, 7)} <= set(seen)


def test_batches_and_workers_change_no_feature(tiny_model, retrieval):
    one = evaluate_model(tiny_model, retrieval, Settings(rounds=10, batch=1, workers=1))
    two = evaluate_model(tiny_model, retrieval, Settings(rounds=10, batch=5, workers=3))
    np.testing.assert_allclose(one.hits.fused, two.hits.fused, atol=2e-6)


def test_any_reader_of_photos_will_do(tiny_model, retrieval):
    grey = Image.new("RGB", (64, 64), "grey")
    found = evaluate_model(tiny_model, retrieval, Settings.quick(), read=lambda photo: grey)
    assert found.row("global").metrics["R@1"].value == 0


@pytest.mark.parametrize("side", ["queries", "gallery"])
def test_an_empty_side_is_a_sentence(tiny_model, retrieval, side):
    empty = replace(retrieval, **{side: ()})
    with pytest.raises(DataError, match=side):
        evaluate_model(tiny_model, empty)
    assert isinstance(empty, RetrievalSet)


@pytest.mark.parametrize("wrong", [{"alpha": 1.5}, {"ks": ()}, {"candidates": (0,)}, {"block": 0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ParameterError):
        Settings(**wrong)


def test_two_networks_are_compared_query_by_query(make, alignment):
    made = make(8)
    one, two = run(made, alignment), run(made, alignment, replace(SETTINGS, alpha=0.0))
    gain = compare("a − b", one, two).metrics["mAP"]
    assert gain.value == pytest.approx(
        one.main_row.metrics["mAP"].value - two.main_row.metrics["mAP"].value
    )
    assert compare("a − a", one, one).metrics["mAP"].high == 0
    with pytest.raises(ParameterError, match="same queries"):
        compare("a − c", one, run(make(3), alignment))


def test_full_precision_is_full_and_what_training_chose_comes_back():
    torch.set_float32_matmul_precision("high")
    try:
        with torch.autocast("cpu"), full_precision():
            assert torch.get_float32_matmul_precision() == "highest"
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
