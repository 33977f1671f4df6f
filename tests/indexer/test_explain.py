"""Explanations of hits: exact in their sum, and in the right place on the photo."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from indexer.drawing import GAP, HEIGHT, draw_explanation, outline
from indexer.engine import SearchEngine, open_engine
from indexer.explain import to_ellipse
from indexer.requests import QueryPhoto, SearchRequest
from indexer.results import AttributeRegions, Ellipse, Region, RegionPair
from model.checkpoint import load_checkpoint, save_checkpoint
from tests.indexer.test_engine import tiny  # noqa: F401


@pytest.fixture(scope="module", params=["fitted", "trained"])
def engine(tiny: Path, request: pytest.FixtureRequest) -> Any:  # noqa: F811
    """A real network; trained-like: every part of its alignment changes the tokens."""
    engine = open_engine(tiny / "index", device="cpu")
    if request.param == "trained":
        import torch

        checkpoint = load_checkpoint(tiny / "tiny.safetensors")
        generator = torch.Generator().manual_seed(0)
        for parameter in checkpoint.model.alignment.parameters():
            if parameter.ndim:
                parameter.data.normal_(std=0.3, generator=generator)
        save_checkpoint(tiny / "trained.safetensors", checkpoint.model, checkpoint.record)
        from model.encoder import Encoder

        engine._encoder = Encoder.from_checkpoint(tiny / "trained.safetensors", "cpu")
    yield engine
    engine.close()


def total(explanation: Any) -> float:
    shares = sum(pair.share for pair in explanation.pairs)
    return float(shares + explanation.remainder + explanation.constant)


def test_shown_shares_and_the_rest_are_the_token_score(engine: SearchEngine, tiny: Path) -> None:  # noqa: F811
    photo = (tiny / "photos/05.png").read_bytes()
    for hit in engine.search(photo, SearchRequest(k=24, explain=4)).hits:
        assert hit.explanation is not None
        assert len(hit.explanation.pairs) == 4
        assert total(hit.explanation) == pytest.approx(hit.scores.token_score, abs=1e-5)
        shares = [pair.share for pair in hit.explanation.pairs]
        assert shares == sorted(shares, reverse=True)
        assert all(-1 <= pair.similarity <= 1 for pair in hit.explanation.pairs)


def test_with_several_photos_the_shares_add_up_to_the_mean(
    engine: SearchEngine,
    tiny: Path,  # noqa: F811
) -> None:
    photos = [QueryPhoto((tiny / f"photos/{i:02}.png").read_bytes()) for i in (5, 9)]
    hits = engine.search(photos, SearchRequest(k=5, explain=10)).hits
    for hit in hits:
        assert total(hit.explanation) == pytest.approx(hit.scores.token_score, abs=1e-5)
    assert {pair.photo for hit in hits for pair in hit.explanation.pairs} == {0, 1}  # type: ignore[union-attr]


def test_hits_are_explained_only_on_request_and_when_reranked(
    engine: SearchEngine,
    tiny: Path,  # noqa: F811
) -> None:
    photo = (tiny / "photos/05.png").read_bytes()
    for request in (SearchRequest(), SearchRequest(explain=3, deadline=0.0)):
        assert {hit.explanation for hit in engine.search(photo, request).hits} == {None}
    nothing = engine.search_item("05.png", SearchRequest(explain=3, filter="item_id = 'none'"))
    assert nothing.hits == []


def test_regions_of_a_boxed_query_lie_on_the_whole_photo(engine: SearchEngine, tiny: Path) -> None:  # noqa: F811
    photo = Image.open(tiny / "photos/05.png").convert("RGB")
    wide = Image.new("RGB", (4 * photo.width, 2 * photo.height), "white")
    wide.paste(photo, (3 * photo.width, photo.height))
    buffer = io.BytesIO()
    wide.save(buffer, "PNG")
    request = SearchRequest(k=1, explain=3)
    boxed = engine.search([QueryPhoto(buffer.getvalue(), (0.75, 0.5, 1.0, 1.0))], request).hits[0]
    plain = engine.search((tiny / "photos/05.png").read_bytes(), request).hits[0]
    assert boxed.explanation is not None
    assert plain.explanation is not None
    for one, other in zip(boxed.explanation.pairs, plain.explanation.pairs, strict=True):
        assert one.query.x == pytest.approx(0.75 + other.query.x / 4, abs=1e-4)
        assert one.query.y == pytest.approx(0.5 + other.query.y / 2, abs=1e-4)
        assert one.item == other.item


@pytest.mark.parametrize(
    ("geometry", "expected"),
    [
        ((0.5, 0.4, 0.2, 0.1, 0.0), (0.4, 0.2, 0.0)),
        ((0.5, 0.4, 0.1, 0.2, 0.0), (0.4, 0.2, 90.0)),
        # Equal spread, fully along the diagonal: variance 0.02 along it, none across.
        ((0.5, 0.4, 0.1, 0.1, 1.0), (2 * math.sqrt(0.02), 0.0, 45.0)),
        ((0.5, 0.4, 0.1, 0.1, -0.5), (2 * math.sqrt(0.015), 2 * math.sqrt(0.005), -45.0)),
        ((0.5, 0.4, 0.0, 0.0, 0.0), (0.0, 0.0, 90.0)),
    ],
)
def test_an_ellipse_has_the_axes_of_its_covariance(geometry: Any, expected: Any) -> None:
    found = to_ellipse(np.array(geometry, np.float32))
    assert (found.x, found.y) == pytest.approx((0.5, 0.4))
    assert (found.major, found.minor, found.angle) == pytest.approx(expected, abs=2e-4)


def test_the_outline_has_the_covariance_of_the_token() -> None:
    geometry = np.array([0.3, 0.6, 0.2, 0.1, 0.6], np.float32)
    points = np.array(outline(to_ellipse(geometry)))
    # Points on the border of a 2-sigma ellipse have twice its covariance.
    covariance = np.cov(points.T, bias=True) / 2
    assert points.mean(0) == pytest.approx([0.3, 0.6], abs=1e-6)
    assert covariance.flatten() == pytest.approx([0.04, 0.012, 0.012, 0.01], abs=1e-5)


def test_the_picture_shows_both_photos_and_each_pair_in_its_colour() -> None:
    photos = []
    for colour, size in (("#202020", (100, 200)), ("#404040", (300, 150))):
        buffer = io.BytesIO()
        Image.new("RGB", size, colour).save(buffer, "PNG")
        photos.append(buffer.getvalue())
    place = Ellipse(0.5, 0.5, 0.2, 0.1, 30.0)
    edge = Ellipse(1.0, 0.0, 0.9, 0.5, 0.0)
    pairs = [RegionPair(0, 0, place, place, 0.9, 0.2)] * 2 + [
        RegionPair(0, 1, edge, edge, 0.8, 0.1)
    ]
    picture = Image.open(io.BytesIO(draw_explanation(*photos, pairs)))
    assert picture.size == (HEIGHT // 2 + GAP + 2 * HEIGHT, HEIGHT)
    colours = {picture.getpixel((x, y)) for x in range(0, HEIGHT // 2) for y in range(HEIGHT)}
    assert {(0x20,) * 3, (0xD5, 0x5E, 0), (0, 0x72, 0xB2), (0, 0x9E, 0x73)} <= colours
    # What reaches over a photo's edge is cut off there.
    assert picture.getpixel((HEIGHT // 2 + GAP // 2, HEIGHT - 2)) == (255, 255, 255)


def test_a_picture_tints_where_attributes_look_on_this_photo_and_on_the_item() -> None:
    photos = [draw_plain(), draw_plain()]
    top, low = Ellipse(0.5, 0.2, 0.2, 0.1, 0.0), Ellipse(0.5, 0.8, 0.2, 0.1, 0.0)
    regions = AttributeRegions((Region(top, 0.6), Region(low, 0.4, photo=1)), (Region(low, 1.0),))
    picture = Image.open(io.BytesIO(draw_explanation(*photos, [], {"collar": regions})))
    grey, right = (0x20,) * 3, HEIGHT + GAP

    def look(x: float, y: float, left: int = 0) -> Any:
        return picture.getpixel((left + int(x * HEIGHT), int(y * HEIGHT)))

    tinted = look(0.35, 0.2)
    assert tinted != grey
    assert (look(0.35, 0.8), look(0.35, 0.2, right)) == (grey, grey)
    assert look(0.35, 0.8, right) == tinted
    # Its name, on a plate of the colour.
    assert look(0.5, 0.2) not in (grey, tinted)


def draw_plain() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (100, 100), (0x20,) * 3).save(stream, "PNG")
    return stream.getvalue()
