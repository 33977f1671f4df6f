"""A gallery whose tokens are product codes does all that others do."""

import json

import numpy as np
import pytest

from indexer.build import build_gallery
from indexer.checkpoint import GivenEncoder
from indexer.engine import SearchEngine
from indexer.gallery import EmbeddedGallery
from indexer.live import LiveGallery
from indexer.live_types import LiveOptions
from indexer.manifest import FORMAT_WITHOUT_CODES, Manifest
from indexer.requests import NewItem, SearchRequest
from indexer.update import add, remove
from indexer.verify import verify
from model.errors import CheckpointError, GalleryMismatchError, ParameterError
from tests.indexer.aligner import Aligner
from tests.indexer.conftest import read_content, small
from tests.indexer.fakes import FakeEncoder, draw_photo


@pytest.fixture(params=["global", "granular"])
def encoder(request):
    return FakeEncoder(recall_vector=request.param)


@pytest.fixture
def coded(tmp_path, photos, encoder):
    build_gallery(photos, tmp_path / "coded", encoder, options=small(tokens="pq2"))
    return tmp_path / "coded"


def read_all(path, **options):
    with EmbeddedGallery.open(path, **options) as gallery:
        return gallery.read_tokens(gallery.rows())


def as_vectors(block):
    return block.tokens * block.scales[..., None]


def test_tokens_take_the_bytes_asked_for(coded, encoder):
    dims = Manifest.load(coded).dims
    assert (dims.tokens, dims.token_bytes) == ("pq2", 2)
    row = read_content(coded)[0]
    assert len(row["tokens"]) == 2 * dims.levels * dims.num_tokens
    assert "token_scales" not in row
    assert ("global_code" in row) == (encoder.recall_vector != "global")


def test_what_is_read_is_near_to_what_int8_keeps(coded, index):
    one, other = read_all(coded), read_all(index)
    assert (as_vectors(one) * as_vectors(other)).sum(-1).min() > 0.95
    np.testing.assert_array_equal(one.mass, other.mass)
    np.testing.assert_array_equal(one.geometry, other.geometry)
    if other.global_feature is not None:
        assert (one.global_feature * other.global_feature).sum(-1).min() > 0.95


def test_memory_and_disk_give_the_same_tokens(coded):
    for one, other in zip(read_all(coded), read_all(coded, token_budget_mb=0), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_photo_of_the_gallery_finds_itself(coded, photos, encoder):
    aligner = Aligner()
    aligner.recall_vector = encoder.recall_vector
    engine = SearchEngine(EmbeddedGallery.open(coded), aligner)
    data = (photos / "part0" / "0004.jpg").read_bytes()
    best = engine.search(data, SearchRequest(k=1, alpha=1.0)).hits[0]
    assert best.item.item_id == "part0/0004.jpg"
    engine.close()


def test_a_build_that_was_stopped_ends_the_same(tmp_path, photos, encoder, coded):
    class Stopped(Exception):
        pass

    class Stopping:
        def begin(self, what, total): ...

        def advance(self, count=1):
            self.seen = getattr(self, "seen", 0) + count
            if self.seen > 30:
                raise Stopped

    with pytest.raises(Stopped):
        build_gallery(
            photos, tmp_path / "again", encoder, options=small(tokens="pq2"), progress=Stopping()
        )
    report = build_gallery(photos, tmp_path / "again", encoder, options=small())
    assert report.resumed_at > 0
    assert read_content(tmp_path / "again") == read_content(coded)


def test_items_are_added_replaced_and_removed(coded, tmp_path, encoder):
    draw_photo(tmp_path / "new" / "0100.jpg", 100)
    add(tmp_path / "new", coded, GivenEncoder(encoder))
    assert remove(["part0/0002.jpg"], coded).items == 20
    assert verify(coded, plan=GivenEncoder(encoder)).problems == []


def test_a_living_gallery_takes_items(coded, tmp_path, encoder):
    photo = draw_photo(tmp_path / "new.jpg", 77)
    with LiveGallery(coded, GivenEncoder(encoder), LiveOptions(background=False)) as gallery:
        gallery.add([NewItem("new", photo.read_bytes())])
        gallery.replace([NewItem("part0/0002.jpg", photo.read_bytes())])
        gallery.remove(["part1/0003.jpg"])
        gallery.maintain(force=True)
        state = gallery.current()
        rows = [state.find_row(name) for name in ("new", "part0/0002.jpg")]
        one, other = as_vectors(state.read_tokens(np.array(rows)))
        np.testing.assert_array_equal(one, other)
        assert len(state) == 20
    assert verify(coded, plan=GivenEncoder(encoder)).problems == []


def test_missing_codebooks_are_named(coded, encoder):
    Manifest.load(coded).files(coded).codebooks.unlink()
    with pytest.raises(CheckpointError, match="the words of the gallery's product codes"):
        EmbeddedGallery.open(coded)
    assert any("product codes" in each for each in verify(coded).problems)


def test_another_form_is_refused(coded, photos, encoder):
    assert build_gallery(photos, coded, encoder, options=small()).up_to_date
    with pytest.raises(GalleryMismatchError, match="stores tokens as pq2, and now int8"):
        build_gallery(photos, coded, encoder, options=small(tokens="int8"))
    rebuilt = build_gallery(photos, coded, encoder, options=small(tokens="int8", overwrite=True))
    assert not rebuilt.up_to_date
    assert Manifest.load(coded).dims.tokens == "int8"
    assert not (coded / "codebooks.safetensors").exists()


def test_more_bytes_than_numbers_are_refused(tmp_path, photos, encoder):
    with pytest.raises(ParameterError, match="choose pq8 or less"):
        build_gallery(photos, tmp_path / "index", encoder, options=small(tokens="pq9"))


def test_galleries_without_codes_stay_readable_by_older_programs(index):
    facts = json.loads((index / "manifest.json").read_text())
    assert facts["format_version"] == FORMAT_WITHOUT_CODES
    del facts["dims"]["token_bytes"]
    (index / "manifest.json").write_text(json.dumps(facts))
    assert read_all(index).tokens.dtype == np.int8
