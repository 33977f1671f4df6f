"""Photos are encoded once; a cache of other weights or a damaged one is refused."""

from pathlib import Path

import numpy as np
import pytest

from model.attributes.token_cache import encode_photos
from model.data.records import Photo
from model.encoder import Encoder
from model.errors import DataError
from model.evaluation.embedding import as_stored
from model.images import read_image


class Counting(Encoder):
    """Counts the photos it encodes."""

    num_encoded = 0

    def encode(self, prepared):
        self.num_encoded += len(prepared)
        return super().encode(prepared)


@pytest.fixture
def encoder(tiny: Path) -> Counting:
    return Counting.from_checkpoint(tiny, "cpu")


def test_the_tokens_are_those_a_gallery_would_store(encoder: Counting, photos: list[Path]) -> None:
    found = encode_photos(encoder, [Photo(path, path.stem) for path in photos[:3]])
    direct = encoder.encode([encoder.prepare(read_image(path)) for path in photos[:3]])
    np.testing.assert_allclose(found.tokens, as_stored(direct.tokens), atol=1e-3)
    np.testing.assert_allclose(found.mass, direct.mass, atol=1e-3)
    np.testing.assert_allclose(found.geometry, direct.geometry, atol=1e-3)
    np.testing.assert_allclose(found.take([1]).parts[0], found.tokens[1:2])


def test_a_cache_saves_the_work(encoder: Counting, photos: list[Path], tmp_path: Path) -> None:
    cache = tmp_path / "made" / "tokens.npz"
    records = [Photo(path, path.stem) for path in photos[:4]]
    seen = []
    first = encode_photos(encoder, records[:3], cache, lambda *at: seen.append(at))
    assert seen == [(3, 3)]
    again = encode_photos(encoder, [*records[::-1], records[0]], cache)
    assert encoder.num_encoded == 4
    np.testing.assert_array_equal(again.tokens[1:4][::-1], first.tokens)
    np.testing.assert_array_equal(again.tokens[4], first.tokens[0])
    assert [path.name for path in cache.parent.iterdir()] == ["tokens.npz"]


def test_caches_that_do_not_belong_are_sentences(
    encoder: Counting, photos: list[Path], tmp_path: Path
) -> None:
    records, cache = [Photo(photos[0], "x")], tmp_path / "tokens.npz"
    encode_photos(encoder, records, cache)
    encoder.fingerprint = "0" * 64
    with pytest.raises(DataError, match="tokens of the checkpoint"):
        encode_photos(encoder, records, cache)
    cache.write_bytes(b"no zip")
    with pytest.raises(DataError, match="does not hold encoded photos"):
        encode_photos(encoder, records, cache)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write encoded photos"):
        encode_photos(encoder, records, tmp_path / "file" / "tokens.npz")
    with pytest.raises(DataError, match="no photos to encode"):
        encode_photos(encoder, [])
