"""The recall vector: eq. 13-14, what fitting does, and that the paper's choice changes nothing."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from model.alignment import TokenSet
from model.checkpoint import KEY, Record, load_checkpoint, save_checkpoint
from model.config import PRESETS, ModelConfig, RecallOptions, get_preset
from model.encoder import Encoder
from model.fit import create_checkpoint, fit_recall
from model.images import read_image
from model.initialise import initialise
from model.recall import RecallVector, join_tokens
from tests import reference


def configure(vector: str, **changes: object) -> ModelConfig:
    options = RecallOptions.model_validate({"vector": vector, "dim": 12, **changes})
    return get_preset("tiny").model_copy(update={"recall": options})


def draw(count: int, seed: int = 0) -> tuple[Tensor, TokenSet]:
    """Global features, and tokens in the shape of the tiny preset: (B, 3, 4, 16)."""
    generator = torch.Generator().manual_seed(seed)
    whole = torch.nn.functional.normalize(torch.randn(count, 8, generator=generator), dim=-1)
    tokens = torch.nn.functional.normalize(
        torch.randn(count, 3, 4, 16, generator=generator), dim=-1
    )
    return whole, TokenSet(tokens, torch.rand(count, 3, 4, generator=generator))


@pytest.fixture
def fitted() -> RecallVector:
    vector = RecallVector(configure("joint", global_weight=0.3))
    vector.fit(join_tokens(draw(40)[1]), torch.Generator().manual_seed(0))
    return vector


def test_the_granular_vector_is_equation_13(fitted: RecallVector) -> None:
    _, asked = draw(3, seed=1)
    found = fitted.granular(asked)
    for i in range(3):
        joined = reference.join_tokens(asked.tokens[i].tolist(), asked.mass[i].tolist())
        rows = fitted.projection.tolist()
        expected = reference.granular(joined, fitted.mean.tolist(), rows)
        assert found[i].tolist() == pytest.approx(expected, abs=1e-5)


def test_the_joint_vector_is_equation_14(fitted: RecallVector) -> None:
    whole, asked = draw(2, seed=1)
    found, granular = fitted(whole, asked), fitted.granular(asked)
    expected = reference.joint(whole[0].tolist(), granular[0].tolist(), 0.3)
    assert found[0].tolist() == pytest.approx(expected, abs=1e-5)
    weighted = 0.3 * whole[0] @ whole[1] + 0.7 * granular[0] @ granular[1]
    torch.testing.assert_close(found[0] @ found[1], weighted)


def test_an_unused_token_takes_no_part() -> None:
    _, asked = draw(1)
    asked.mass[0, 1, 2], asked.tokens[0, 1, 2] = 0.0, 0.0
    changed = TokenSet(asked.tokens.clone(), asked.mass)
    changed.tokens[0, 1, 2] = 1.0
    assert torch.equal(join_tokens(asked), join_tokens(changed))


def test_as_many_directions_as_there_are_keep_every_inner_product() -> None:
    _, photos = draw(10)
    vector = RecallVector(configure("granular"))
    vector.fit(join_tokens(photos), torch.Generator().manual_seed(0))
    joined = join_tokens(photos) - join_tokens(photos).mean(0)
    expected = torch.nn.functional.normalize(joined, dim=-1)
    found = vector.granular(photos)
    torch.testing.assert_close(found @ found.mT, expected @ expected.mT, atol=1e-5, rtol=0)


@pytest.mark.parametrize("count", [2, 5, 40])
def test_directions_stand_at_right_angles_however_few_photos_there_are(count: int) -> None:
    vector = RecallVector(configure("granular"))
    vector.fit(join_tokens(draw(count)[1]), torch.Generator().manual_seed(0))
    gram = vector.projection @ vector.projection.mT
    torch.testing.assert_close(gram, torch.eye(12), atol=1e-5, rtol=0)


def test_one_photo_fits_nothing_and_still_has_a_vector_of_unit_length() -> None:
    vector = RecallVector(configure("granular"))
    _, photo = draw(1)
    vector.fit(join_tokens(photo), torch.Generator().manual_seed(0))
    assert not vector.mean.any()
    assert vector.granular(photo).norm().item() == pytest.approx(1.0, abs=1e-5)


def test_more_dimensions_than_the_tokens_have_stay_empty() -> None:
    vector = RecallVector(configure("granular", dim=200))
    vector.fit(join_tokens(draw(20)[1]), torch.Generator().manual_seed(0))
    assert vector.projection[:192].any(dim=1).all()
    assert not vector.projection[192:].any()


@pytest.mark.parametrize(("vector", "width"), [("global", 0), ("granular", 12), ("joint", 12)])
def test_an_encoder_gives_the_vector_of_its_checkpoint(
    photos: list[Path], tmp_path: Path, vector: str, width: int
) -> None:
    model = initialise(configure(vector)).model
    fit_recall(model, photos)
    save_checkpoint(tmp_path / "x.safetensors", model, Record(weights="random"))
    encoder = Encoder.from_checkpoint(tmp_path / "x.safetensors", "cpu")
    encoded = encoder.encode([encoder.prepare(read_image(photo)) for photo in photos[:3]])
    whole = 0 if vector == "granular" else encoder.global_dim
    assert (encoder.recall_vector, encoded.recall.shape) == (vector, (3, whole + width))
    lengths = torch.from_numpy(encoded.recall).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.ones(3), atol=1e-5, rtol=0)
    if vector == "global":
        assert (encoded.recall == encoded.global_feature).all()


def test_options_and_projection_change_the_fingerprint(tmp_path: Path) -> None:
    path, prints = tmp_path / "x.safetensors", set()
    for config in (configure("global"), configure("granular"), configure("joint")):
        prints.add(save_checkpoint(path, initialise(config).model, Record(weights="x")))
    model = initialise(configure("joint")).model
    model.recall.mean[0] += 1e-3
    prints.add(save_checkpoint(path, model, Record(weights="x")))
    assert len(prints) == 4


def test_a_checkpoint_from_before_the_option_keeps_its_fingerprint(
    tiny: Path, tmp_path: Path
) -> None:
    with safe_open(tiny, framework="pt") as file:
        story = json.loads(file.metadata()[KEY])
    del story["config"]["recall"]
    old = tmp_path / "old.safetensors"
    save_file(load_file(tiny), old, {KEY: json.dumps(story)})
    assert load_checkpoint(old).fingerprint == load_checkpoint(tiny).fingerprint
    assert load_checkpoint(old).model.config.recall.vector == "global"


def test_fitting_passes_over_the_photos_twice_and_says_so(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRESETS, "tiny", configure("joint"))
    seen: list[tuple[int, int]] = []
    paths = [tmp_path / f"{i}.safetensors" for i in range(2)]
    for path in paths:
        seen.clear()
        create_checkpoint(
            path, preset="tiny", photos=photos, progress=lambda done, n: seen.append((done, n))
        )
    assert seen == [(8, 24), (12, 24), (20, 24), (24, 24)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
