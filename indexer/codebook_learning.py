"""Learning the codebooks of a gallery from a sample of its photos, before they are encoded all."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from indexer.codebooks import Codebooks, fit_codebooks
from indexer.manifest import Dims
from indexer.photos import Photo
from indexer.pipeline import Loader, split
from indexer.progress import Progress
from indexer.protocols import EncoderLike
from model.errors import SourceError

# 1,500 photos restored tokens to a cosine of .935, and 700 to .934 (not kept).
FIT_PHOTOS = 1000


def learn_codebooks(
    photos: Sequence[Path],
    encoder: EncoderLike,
    dims: Dims,
    progress: Progress,
    *,
    batch_size: int,
    workers: int | None = None,
) -> Codebooks:
    """Encode a sample of photos and fit the words; unreadable ones are left out.

    Raises:
        SourceError: none of them can be read.
    """
    assert dims.token_bytes is not None, dims
    entries = [(Photo(i, path.name, path.name, path), None) for i, path in enumerate(photos)]
    progress.begin("Learning the codes of tokens", len(entries))
    tokens, whole = [], []
    loader = Loader(encoder, workers, ahead=2 * batch_size)
    with closing(loader.load_all(entries)) as stream:
        for part in split(stream, batch_size):
            readable = [each.prepared for each in part if each.failure is None]
            if readable:
                encoded = encoder.encode(readable)
                tokens.append(encoded.tokens)
                whole.append(encoded.global_feature)
            progress.advance(len(part))
    if not tokens:
        raise SourceError(
            f"none of {len(entries)} photos could be read, and the codes of tokens are learned "
            "from photos; repair them and run the same command again"
        )
    return fit_codebooks(
        np.concatenate(tokens), np.concatenate(whole), dims.token_bytes, dims.global_bytes
    )
