"""The cascade: bare tokens order a block, the whole alignment its best; who pays, who is where."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from indexer import candidates
from indexer.build import build_gallery
from indexer.engine import SearchEngine, open_engine
from indexer.gallery import EmbeddedGallery
from indexer.ranking import to_coded
from indexer.requests import QueryPhoto, SearchRequest
from model.alignment import TokenSet
from model.checkpoint import load_checkpoint, save_checkpoint
from model.encoder import Encoder
from model.evaluation.calibration import Calibration
from model.fit import create_checkpoint
from tests.indexer.aligner import Aligner
from tests.indexer.conftest import small
from tests.indexer.fakes import draw_photos
from tests.indexer.test_engine import ids

COUNT = 20


class Refiner(Aligner):
    """Its whole alignment turns the order of the bare tokens around once more."""

    refines_pairs = True

    def __init__(self) -> None:
        super().__init__()
        self.refined = 0

    def align(self, query: TokenSet, candidates: TokenSet) -> NDArray[np.float32]:
        self.refined += candidates.tokens.shape[1]
        distance = (candidates.tokens - query.tokens.unsqueeze(1)).square().sum((-3, -2, -1))
        return -torch.tanh(distance).numpy()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[SearchEngine]:
    refiner = Refiner()
    build_gallery(draw_photos(tmp_path / "photos", COUNT), tmp_path / "i", refiner, options=small())
    engine = SearchEngine(EmbeddedGallery.open(tmp_path / "i"), refiner)  # type: ignore[arg-type]
    yield engine
    engine.close()


@pytest.fixture
def photo(tmp_path: Path, engine: SearchEngine) -> bytes:
    return next((tmp_path / "photos").rglob("*.*")).read_bytes()


def search(engine: SearchEngine, photo: bytes, **how: Any) -> list[str]:
    return ids(engine.search(photo, SearchRequest(**{"k": COUNT, "alpha": 0.0, **how})))


@pytest.mark.parametrize("aligned", [3, 8, COUNT, 50])
def test_the_best_are_ordered_anew_and_the_others_stay_behind_them(
    engine: SearchEngine, photo: bytes, aligned: int
) -> None:
    engine._encoder.refines_pairs = False  # type: ignore[misc]
    bare = search(engine, photo)
    engine._encoder.refines_pairs = True  # type: ignore[misc]
    found = [
        name
        for offset in range(COUNT)
        for name in search(engine, photo, k=1, offset=offset, candidates=COUNT, aligned=aligned)
    ]
    assert found == bare[:aligned][::-1] + bare[aligned:]


def test_only_the_best_pay_and_never_fewer_than_k(engine: SearchEngine, photo: bytes) -> None:
    for k, aligned, paid in ((1, 5, 5), (7, 5, 7), (1, None, COUNT)):
        engine._encoder.refined = 0  # type: ignore[attr-defined]
        search(engine, photo, k=k, candidates=COUNT, aligned=aligned)
        assert engine._encoder.refined == paid  # type: ignore[attr-defined]


def test_each_block_aligns_its_own_best(engine: SearchEngine, photo: bytes) -> None:
    first = search(engine, photo, k=10, candidates=10, aligned=4)
    both = search(engine, photo, k=10, offset=10, candidates=10, aligned=4)
    assert len(set(first + both)) == COUNT
    assert engine._encoder.refined == 20  # type: ignore[attr-defined]  # k at least, twice


def test_confidence_is_known_only_of_what_was_aligned(engine: SearchEngine, photo: bytes) -> None:
    engine._encoder.calibration = Calibration(slope=1.0, intercept=0.0)
    how: dict[str, Any] = {"k": 4, "candidates": COUNT, "aligned": 6}
    pages = [engine.search(photo, SearchRequest(offset=offset, **how)) for offset in (0, 4, 8)]
    known = [hit.confidence is not None for page in pages for hit in page.hits]
    assert known == [True] * 6 + [False] * 6


def test_time_that_runs_out_while_aligning_leaves_the_order_of_stage_one(
    engine: SearchEngine, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 1.0])
    monkeypatch.setattr(candidates.time, "monotonic", lambda: next(clock))
    late = engine.search(photo, SearchRequest(k=COUNT, deadline=0.5))
    assert not late.reranked
    assert engine._encoder.refined == 0  # type: ignore[attr-defined]
    assert ids(late) == search(engine, photo, alpha=1.0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network with a first stage that changes scores, and a gallery of it."""
    folder = tmp_path_factory.mktemp("trained")
    files = sorted(draw_photos(folder / "photos", 12).rglob("*.*"))
    create_checkpoint(folder / "tiny.safetensors", preset="tiny", photos=files)
    loaded = load_checkpoint(folder / "tiny.safetensors")
    torch.manual_seed(0)
    for block in (*loaded.model.alignment.joint, *loaded.model.alignment.refine):
        for parameter in block.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    save_checkpoint(folder / "trained.safetensors", loaded.model, loaded.record)
    encoder = Encoder.from_checkpoint(folder / "trained.safetensors", "cpu")
    build_gallery(
        folder / "photos", folder / "index", encoder, checkpoint=folder / "trained.safetensors"
    )
    return folder


def test_aligning_all_candidates_is_the_full_re_rank(trained: Path) -> None:
    engine = open_engine(trained / "index", device="cpu")
    assert engine._encoder.refines_pairs
    photo = next((trained / "photos").rglob("*.*")).read_bytes()
    found = engine.search(photo, SearchRequest(k=12, aligned=12)).hits
    (query,) = engine.encode([QueryPhoto(photo)])
    gallery = engine._gallery
    rows = [gallery.find_row(hit.item.item_id) for hit in found]
    items = to_coded(gallery.read_tokens(np.array(rows)))
    whole = engine._encoder.align(query.token_set, items.decode()).mean(0)
    bare = engine._encoder.compare(query.token_set, items).mean(0)
    assert [hit.scores.token_score for hit in found] == pytest.approx(whole.tolist(), abs=1e-6)
    assert np.abs(whole - bare).max() > 0.01
    fused = [hit.scores.fused or 0 for hit in found]
    assert fused == sorted(fused, reverse=True)
    engine.close()
