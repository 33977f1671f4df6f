"""The two-stage search, with an encoder and an aligner that can be predicted by hand."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.build import build_gallery
from indexer.engine import SearchEngine, open_engine
from indexer.gallery import EmbeddedGallery
from indexer.requests import SearchRequest
from indexer.results import SearchResult
from model.checkpoint import load_checkpoint, save_checkpoint
from model.errors import (
    GalleryEmptyError,
    GalleryMismatchError,
    ImageError,
    ItemNotFoundError,
    ParameterError,
)
from model.evaluation.calibration import Calibration
from model.fit import create_checkpoint
from model.fusion import fuse
from tests.indexer.aligner import Aligner
from tests.indexer.conftest import small
from tests.indexer.fakes import draw_photo


def ids(result: SearchResult) -> list[str]:
    return [hit.item.item_id for hit in result.hits]


def test_alpha_1_is_the_order_of_stage_one(engine: SearchEngine, photo: bytes) -> None:
    hits = engine.search(photo, SearchRequest(k=20, alpha=1.0)).hits
    scores = [hit.scores.global_score for hit in hits]
    assert hits[0].item.item_id == "part1/0007.jpg"
    assert scores[0] == pytest.approx(1.0, abs=1e-5)
    assert scores == sorted(scores, reverse=True)


def test_alpha_0_is_the_order_of_the_token_scores(engine: SearchEngine, photo: bytes) -> None:
    scores = [
        hit.scores.token_score for hit in engine.search(photo, SearchRequest(k=20, alpha=0.0)).hits
    ]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) > 10


def test_reranking_permutes_the_candidates_and_nothing_else(
    engine: SearchEngine, photo: bytes
) -> None:
    first = ids(engine.search(photo, SearchRequest(k=6, candidates=6, alpha=1.0)))
    reranked = ids(engine.search(photo, SearchRequest(k=6, candidates=6, alpha=0.0)))
    assert set(reranked) == set(first)
    assert reranked != first


def test_fused_is_the_weighted_sum_of_both_scores(engine: SearchEngine, photo: bytes) -> None:
    for hit in engine.search(photo, SearchRequest(k=20, alpha=0.3)).hits:
        both = hit.scores.global_score, hit.scores.token_score
        assert hit.scores.fused == pytest.approx(fuse(*both, 0.3), abs=1e-6)


def test_the_checkpoints_alpha_is_the_default(engine: SearchEngine, photo: bytes) -> None:
    assert engine.search(photo).hits == engine.search(photo, SearchRequest(alpha=0.5)).hits


def test_ranks_count_from_one_and_k_is_kept(engine: SearchEngine, photo: bytes) -> None:
    assert [hit.rank for hit in engine.search(photo, SearchRequest(k=3)).hits] == [1, 2, 3]


def test_k_beyond_the_gallery_returns_every_item(engine: SearchEngine, photo: bytes) -> None:
    assert len(set(ids(engine.search(photo, SearchRequest(k=1000))))) == 20


def test_candidates_are_raised_to_k(engine: SearchEngine, photo: bytes) -> None:
    assert len(engine.search(photo, SearchRequest(k=9, candidates=2)).hits) == 9


def test_equal_fused_scores_keep_the_order_of_stage_one(
    engine: SearchEngine, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage_one = ids(engine.search(photo, SearchRequest(k=20, alpha=1.0)))
    monkeypatch.setattr(Aligner, "compare", lambda _, q, items: np.zeros((1, len(items.codes))))
    assert ids(engine.search(photo, SearchRequest(k=20, alpha=0.0))) == stage_one


def test_a_batch_equals_its_photos_one_by_one(engine: SearchEngine, photos: Path) -> None:
    files = [path.read_bytes() for path in sorted(photos.rglob("*.jpg"))]
    together = [ids(result) for result in engine.search_batch(files, SearchRequest(k=5))]
    assert together == [ids(engine.search(file, SearchRequest(k=5))) for file in files]


def test_an_empty_batch_has_no_results(engine: SearchEngine) -> None:
    assert engine.search_batch([]) == []


def test_search_by_item_finds_the_same_without_the_item(engine: SearchEngine, photo: bytes) -> None:
    by_photo = ids(engine.search(photo, SearchRequest(k=20, alpha=1.0)))
    by_item = ids(engine.search_item("part1/0007.jpg", SearchRequest(k=20, alpha=1.0)))
    assert by_item == [item for item in by_photo if item != "part1/0007.jpg"]


def test_an_unknown_item_is_named(engine: SearchEngine) -> None:
    with pytest.raises(ItemNotFoundError, match=r"no-such\.jpg"):
        engine.search_item("no-such.jpg")
    with pytest.raises(ItemNotFoundError, match=r"no-such\.jpg"):
        engine.item("no-such.jpg")


def test_grouping_fetches_on_until_k_products_are_found(tmp_path: Path, photo: bytes) -> None:
    engine = grouped_engine(tmp_path, products=[0] * 8 + [1] * 8 + [2, 3])
    result = engine.search(photo, SearchRequest(k=4, candidates=4, group_by="product"))
    assert sorted(hit.item.product_id for hit in result.hits) == ["0", "1", "2", "3"]


def test_grouping_returns_the_best_item_of_each_product(tmp_path: Path, photo: bytes) -> None:
    engine = grouped_engine(tmp_path, products=[0, 1] * 9)
    everything = engine.search(photo, SearchRequest(k=18)).hits
    best = {hit.item.product_id: hit for hit in reversed(everything)}
    grouped = engine.search(photo, SearchRequest(k=2, candidates=18, group_by="product")).hits
    assert {hit.item.product_id: hit.item.item_id for hit in grouped} == {
        product: hit.item.item_id for product, hit in best.items()
    }


def test_grouping_aligns_no_candidate_twice(tmp_path: Path, photo: bytes) -> None:
    engine = grouped_engine(tmp_path, products=[0] * 17 + [1])
    engine.search(photo, SearchRequest(k=3, candidates=2, group_by="product"))
    assert engine._encoder.aligned == 18  # type: ignore[attr-defined]


def test_grouping_a_gallery_with_too_few_products_returns_them_all(
    tmp_path: Path, photo: bytes
) -> None:
    engine = grouped_engine(tmp_path, products=[0, 1, 2] * 3)
    assert (
        len(engine.search(photo, SearchRequest(k=10, candidates=2, group_by="product")).hits) == 3
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"k": 0}, "k is 0; expected a whole number from 1 to 1000"),
        ({"k": 10_000}, "k is 10000"),
        ({"candidates": 0}, "candidates is 0"),
        ({"candidates": 1001}, "candidates is 1001"),
        ({"aligned": 0}, "aligned is 0; expected a whole number from 1 to 1000"),
        ({"alpha": 1.1}, "alpha is 1.1; expected a number from 0 to 1"),
        ({"alpha": -0.1}, "alpha is -0.1"),
        ({"alpha": float("nan")}, "alpha is nan"),
        ({"group_by": "colour"}, "group_by is 'colour'; expected item or product"),
    ],
)
def test_numbers_out_of_range_are_refused_in_a_sentence(
    engine: SearchEngine, photo: bytes, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ParameterError, match=words):
        engine.search(photo, SearchRequest(**options))


def test_bytes_that_are_no_photo_are_refused(engine: SearchEngine) -> None:
    with pytest.raises(ImageError, match="not an image"):
        engine.search(b"hello")


def test_an_empty_gallery_is_said_to_be_empty(
    engine: SearchEngine, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EmbeddedGallery, "__len__", lambda _: 0)
    with pytest.raises(GalleryEmptyError, match="add photos"):
        engine.search(photo)


def test_timings_name_every_stage_and_their_sum(engine: SearchEngine, photo: bytes) -> None:
    timings = engine.search(photo).timings_ms
    assert list(timings) == ["decode", "encode", "recall", "fetch", "align", "total"]
    stages = sum(spent for stage, spent in timings.items() if stage != "total")
    # The total also has what lies between the stages.
    assert timings["total"] >= stages - 0.01
    assert min(timings.values()) > 0


def test_searches_at_the_same_time_do_not_touch_each_other(
    engine: SearchEngine, photos: Path
) -> None:
    files = [path.read_bytes() for path in sorted(photos.rglob("*.jpg"))] * 3
    alone = [ids(engine.search(file, SearchRequest(k=5, alpha=1.0))) for file in files]
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(
            lambda file: ids(engine.search(file, SearchRequest(k=5, alpha=1.0))), files
        )
        assert list(found) == alone


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of 24 photos made with a real (random, fitted) tiny network."""
    root = tmp_path_factory.mktemp("tiny")
    files = [draw_photo(root / "photos" / f"{i:02}.png", 3 * i) for i in range(24)]
    create_checkpoint(root / "tiny.safetensors", preset="tiny", photos=files)
    create_checkpoint(root / "other.safetensors", preset="tiny", photos=files, seed=1)
    from model.encoder import Encoder

    encoder = Encoder.from_checkpoint(root / "tiny.safetensors", "cpu")
    build_gallery(
        root / "photos",
        root / "index",
        encoder,
        checkpoint=root / "tiny.safetensors",
        options=small(),
    )
    return root


def test_a_real_network_finds_the_photo_it_indexed(tiny: Path) -> None:
    engine = open_engine(tiny / "index", device="cpu")
    for photo in sorted((tiny / "photos").iterdir())[:5]:
        best = engine.search(photo.read_bytes(), SearchRequest(k=1)).hits[0]
        assert best.item.item_id == photo.name
        assert best.scores.fused == pytest.approx(1.0, abs=0.02)


def test_tokens_read_by_row_give_the_hits_of_resident_tokens(tiny: Path) -> None:
    photo = (tiny / "photos/05.png").read_bytes()
    resident = open_engine(tiny / "index", device="cpu").search(photo)
    from_disk = open_engine(tiny / "index", device="cpu", token_budget_mb=0).search(photo)
    assert resident.hits == from_disk.hits


def test_another_checkpoint_of_equal_dimensions_is_refused(tiny: Path) -> None:
    with pytest.raises(GalleryMismatchError, match="was built with checkpoint"):
        open_engine(tiny / "index", checkpoint=tiny / "other.safetensors", device="cpu")


def test_info_describes_gallery_and_checkpoint(tiny: Path) -> None:
    info = dataclasses.asdict(open_engine(tiny / "index", device="cpu").info())
    assert info["gallery"]["items"] == info["products"] == 24
    assert (info["levels"], info["tokens_per_level"], info["token_dim"]) == (3, 4, 16)
    assert (info["recall"], info["recall_dim"]) == ("global", info["global_dim"])
    assert "random" in info["weights"]
    assert info["trained_for_retrieval"] is False


def grouped_engine(
    folder: Path, products: list[int], aligner: Aligner | None = None
) -> SearchEngine:
    """An engine over drawn photos with the given products, in the order of their numbers."""
    lines = ["image,product_id"]
    for number, product in enumerate(products):
        draw_photo(folder / "shop" / f"{number:02}.png", number)
        lines.append(f"{number:02}.png,{product}")
    (folder / "shop/gallery.csv").write_text("\n".join(lines) + "\n")
    aligner = aligner or Aligner()
    build_gallery(folder / "shop", folder / "grouped", aligner, options=small())
    return SearchEngine(EmbeddedGallery.open(folder / "grouped"), aligner)  # type: ignore[arg-type]


class Granular(Aligner):
    """Recalls by tokens, so that global scores have to be read with them."""

    def __init__(self) -> None:
        super().__init__()
        self.recall_vector = "granular"


@pytest.fixture
def granular(tmp_path: Path, photos: Path) -> Path:
    build_gallery(photos, tmp_path / "granular", Granular(), options=small())
    return tmp_path / "granular"


@pytest.mark.parametrize("token_budget_mb", [0, 2048])
def test_recall_by_another_vector_leaves_the_scores_of_each_item_alone(
    engine: SearchEngine, granular: Path, photo: bytes, token_budget_mb: int
) -> None:
    gallery = EmbeddedGallery.open(granular, token_budget_mb=token_budget_mb)
    other = SearchEngine(gallery, Granular())  # type: ignore[arg-type]
    expected = {
        hit.item.item_id: hit.scores for hit in engine.search(photo, SearchRequest(k=20)).hits
    }
    found = other.search(photo, SearchRequest(k=20)).hits
    assert len(found) == 20
    for hit in found:
        three, known = (
            dataclasses.astuple(scores)[:3] for scores in (hit.scores, expected[hit.item.item_id])
        )
        assert three == pytest.approx(known, abs=1e-5)


def test_candidates_are_those_nearest_by_the_recall_vector(granular: Path, photo: bytes) -> None:
    engine = SearchEngine(EmbeddedGallery.open(granular), Granular())  # type: ignore[arg-type]
    gallery = engine._gallery
    row = gallery.find_row("part1/0007.jpg")
    nearest = gallery.recall(gallery.read_encoded(row).recall, 4)[0].rows
    items = [item.item_id for item in gallery.read_items(nearest)]
    assert items[0] == "part1/0007.jpg"
    assert set(ids(engine.search(photo, SearchRequest(k=4, candidates=4)))) == set(items)
    assert set(ids(engine.search_item("part1/0007.jpg", SearchRequest(k=3, candidates=3)))) == set(
        items[1:]
    )
    by_global = gallery.read_encoded(row).global_feature
    assert by_global.shape != gallery.read_encoded(row).recall.shape


def test_grouping_with_another_recall_vector_aligns_no_candidate_twice(
    tmp_path: Path, photo: bytes
) -> None:
    engine = grouped_engine(tmp_path, products=[0] * 17 + [1], aligner=Granular())
    hits = engine.search(photo, SearchRequest(k=3, candidates=2, group_by="product")).hits
    assert engine._encoder.aligned == 18  # type: ignore[attr-defined]
    assert {hit.item.product_id for hit in hits} == {"0", "1"}


def test_a_calibrated_copy_of_the_checkpoint_opens_the_index(tiny: Path) -> None:
    loaded = load_checkpoint(tiny / "tiny.safetensors")
    curve = Calibration(slope=5.0, intercept=-2.0)
    record = loaded.record.model_copy(update={"calibration": curve})
    save_checkpoint(tiny / "sure.safetensors", loaded.model, record)
    photo = (tiny / "photos/05.png").read_bytes()
    plain = open_engine(tiny / "index", device="cpu")
    engine = open_engine(tiny / "index", device="cpu", checkpoint=tiny / "sure.safetensors")
    assert (plain.info().calibrated, engine.info().calibrated) == (False, True)
    hits = engine.search(photo).hits
    assert [hit.item for hit in hits] == [hit.item for hit in plain.search(photo).hits]
    assert hits[0].confidence == pytest.approx(0.95, abs=0.01)
