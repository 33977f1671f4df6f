"""A query photo at several scales: every score is the mean over them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from indexer.candidates import Candidates
from indexer.explain import explain_hits
from indexer.ranking import Timer
from model.alignment import TokenSet
from model.checkpoint import load_checkpoint, save_checkpoint
from model.cli import app
from model.config import get_preset, with_query_scales
from model.encoder import Encoded, Encoder
from model.errors import ParameterError
from model.evaluation.embedding import Embedded, embed_photos, recall_vectors, use_global
from model.evaluation.scoring import TokenScorer
from model.images import read_image


@pytest.fixture(scope="module")
def scaled(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint, asking at full and at half size (64 and 32 pixels)."""
    loaded = load_checkpoint(tiny)
    loaded.model.config = with_query_scales(loaded.model.config, (1.0, 0.5))
    path = tmp_path_factory.mktemp("scales") / "scaled.safetensors"
    save_checkpoint(path, loaded.model, loaded.record)
    return path


@pytest.fixture(scope="module")
def encoder(scaled: Path) -> Encoder:
    return Encoder.from_checkpoint(scaled, "cpu")


@pytest.fixture(scope="module")
def asked(encoder: Encoder, photos: list[Path]) -> list[Encoded]:
    return encoder.encode_queries([encoder.prepare_query(read_image(p)) for p in photos[:3]])


def test_scales_do_not_change_the_fingerprint_of_what_galleries_hold(
    tiny: Path, scaled: Path
) -> None:
    assert load_checkpoint(scaled).fingerprint == load_checkpoint(tiny).fingerprint
    assert load_checkpoint(scaled).model.config.query_scales == (1.0, 0.5)


def test_a_query_photo_has_a_row_a_scale(
    encoder: Encoder, asked: list[Encoded], photos: list[Path]
) -> None:
    plain = encoder.encode([encoder.prepare(read_image(photos[1]))])
    assert [len(photo.mass) for photo in asked] == [2, 2, 2]
    np.testing.assert_allclose(asked[1].tokens[0], plain.tokens[0], atol=2e-4)
    assert np.abs(asked[1].tokens[1] - plain.tokens[0]).max() > 0.01  # another size, other tokens


def test_candidates_are_shared_by_all_rows_of_a_query(
    encoder: Encoder, asked: list[Encoded]
) -> None:
    items = asked[2].token_set
    shared = TokenSet(*(x[None] for x in items))
    each = [
        encoder.align(TokenSet(*(x[row : row + 1] for x in asked[0].token_set)), shared)[0]
        for row in range(2)
    ]
    np.testing.assert_allclose(encoder.align(asked[0].token_set, shared), each, atol=1e-6)


def test_shares_of_an_explanation_add_up_to_the_mean_over_scales(
    encoder: Encoder, asked: list[Encoded]
) -> None:
    hit = Encoded(*(part[:1] for part in asked[1]))
    (found,) = explain_hits(encoder, asked[:1], [hit], 5)
    items = TokenSet(*(x[None] for x in hit.token_set))
    score = float(encoder.align(asked[0].token_set, items).mean())
    assert sum(pair.share for pair in found.pairs) + found.remainder + found.constant == (
        pytest.approx(score, abs=1e-5)
    )
    assert {pair.photo for pair in found.pairs} == {0}


def test_recall_asks_with_the_mean_of_a_photos_vectors(asked: list[Encoded]) -> None:
    class Gallery:
        def recall(self, vectors, count, selection):  # type: ignore[no-untyped-def]
            self.vectors = vectors
            from indexer.protocols import Recalled

            return [Recalled(np.arange(2), np.ones(2, np.float32)) for _ in vectors]

    gallery = Gallery()
    Candidates(gallery, None, asked[:1], 0.5, None, Timer()).recall([2])  # type: ignore[arg-type]
    np.testing.assert_allclose(gallery.vectors, asked[0].recall.mean(0, keepdims=True))


def test_evaluation_scores_as_a_search_does(
    encoder: Encoder, scaled: Path, asked: list[Encoded], photos: list[Path]
) -> None:
    model = load_checkpoint(scaled).model
    files = [Path(photo) for photo in photos[:3]]
    queries = embed_photos(model, files, read_image, scales=(1.0, 0.5))  # type: ignore[arg-type]
    items = embed_photos(model, files, read_image)  # type: ignore[arg-type]
    assert queries.tokens.shape[:2] == (3, 2)
    stored = TokenSet(*(x[None] for x in items.token_set))
    expected = [encoder.align(photo.token_set, stored).mean(0) for photo in asked]
    scorer = TokenScorer(model.alignment, items)
    np.testing.assert_allclose(scorer.score_all(queries), expected, atol=1e-4)
    some = np.array([[2, 0], [1, 2], [0, 1]])
    wanted = np.take_along_axis(np.stack(expected), some, axis=1)
    np.testing.assert_allclose(scorer.score(queries, some), wanted, atol=1e-4)
    means = np.stack([photo.global_feature.mean(0) for photo in asked])
    np.testing.assert_allclose(use_global(queries), means, atol=1e-4)
    recall = next(iter(recall_vectors(model).values()))(queries)
    np.testing.assert_allclose(recall, [p.recall.mean(0) for p in asked], atol=1e-4)


def test_one_scale_is_what_it_was(tiny: Path, photos: list[Path]) -> None:
    model = load_checkpoint(tiny).model
    files = [Path(photo) for photo in photos[:2]]
    plain = embed_photos(model, files, read_image)  # type: ignore[arg-type]
    once = embed_photos(model, files, read_image, scales=(1.0,))  # type: ignore[arg-type]
    for a, b in zip(once.each_scale(), plain, strict=True):
        assert np.array_equal(a, b)
    assert isinstance(once, Embedded)


def test_export_writes_other_scales(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    shown = CliRunner().invoke(
        app, ["export", str(tiny), str(out), "--query-scale", "1", "--query-scale", "0.5"]
    )
    assert shown.exit_code == 0, shown.output
    assert load_checkpoint(out).model.config.query_scales == (1.0, 0.5)


@pytest.mark.parametrize("scales", [(), (0.0,), (1.5,), (float("nan"),), (1.0,) * 5])
def test_scales_that_cannot_be_are_a_sentence(scales: tuple[float, ...]) -> None:
    with pytest.raises(ParameterError, match="expected one to four fractions of the image size"):
        with_query_scales(get_preset("tiny"), scales)


def test_a_small_scale_still_gives_every_level_a_map(encoder: Encoder) -> None:
    wide = Image.new("RGB", (400, 30), "teal")
    encoded = encoder.encode_queries([encoder.prepare_query(wide)])[0]
    assert np.isfinite(encoded.tokens).all()
    assert torch.from_numpy(encoded.mass).sum() > 0
