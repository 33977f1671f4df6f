"""Embeddings from tokens: their meaning, their file, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from model.attributes.heads import (
    AttributeHeads,
    check_checkpoint,
    load_heads,
    save_heads,
)
from model.attributes.heads_file import KEY
from model.attributes.slot_heads import Scaling
from model.errors import CheckpointError, ParameterError
from tests.model.attributes.token_store import Store, draw_store, make_heads


@pytest.fixture
def heads() -> AttributeHeads:
    return make_heads()


def embed_slowly(heads: AttributeHeads, name: str, store: Store) -> np.ndarray:
    """The definition, one image and one slot at a time; parts (B, L, M, E)."""
    tokens, mass, geometry = store
    matrix = heads.maps[name]
    parts = np.zeros((*mass.shape, len(matrix)))
    for b, level, token in np.ndindex(mass.shape):
        root = mass[b, level, token] ** 0.5
        content = [*(tokens[b, level, token] * root), *geometry[b, level, token], root]
        slot = (np.array(content) - heads.scaling.mean[level, token]) / heads.scaling.scale
        parts[b, level, token] = matrix[:, level, token] @ slot
    return parts


def test_an_embedding_is_the_sum_of_what_the_slots_say(heads: AttributeHeads) -> None:
    store = draw_store(5)
    whole = embed_slowly(heads, "hem", store).sum((1, 2))
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)
    found = heads.embed("hem", *store)
    np.testing.assert_allclose(found[:, :2], whole, atol=1e-5)
    assert found.shape == (5, heads.dim)
    assert (found[:, 2:] == 0).all()


def test_a_share_is_what_a_token_adds_in_the_direction_of_the_embedding(
    heads: AttributeHeads,
) -> None:
    store = draw_store(5)
    parts = embed_slowly(heads, "collar", store)
    added = np.maximum(np.einsum("blme,be->blm", parts, parts.sum((1, 2))), 0)
    expected = added / added.sum((1, 2), keepdims=True)
    np.testing.assert_allclose(heads.attend("collar", *store), expected, atol=1e-5)


def give_roots(heads: AttributeHeads) -> AttributeHeads:
    roots = {"hem": np.array([8.0, 6.0], dtype=np.float32)}
    return AttributeHeads(heads.fingerprint, heads.infos, heads.scaling, heads.maps, roots)


def test_with_roots_an_embedding_is_the_squared_chance_of_each_value(
    heads: AttributeHeads,
) -> None:
    store = draw_store(40)
    scores = embed_slowly(heads, "hem", store).sum((1, 2)) / 10  # y of shares .64 and .36
    chances = np.clip([0.64, 0.36] + np.array([0.8, 0.6]) * scores, 0, None)
    assert ((chances == 0).any(axis=1)).any()
    squared = chances**2 / np.linalg.norm(chances**2, axis=1, keepdims=True)
    np.testing.assert_allclose(give_roots(heads).embed("hem", *store)[:, :2], squared, atol=1e-5)


def test_with_roots_a_share_is_what_a_token_adds_to_the_values_named(
    heads: AttributeHeads,
) -> None:
    store, rooted = draw_store(5), give_roots(heads)
    parts = embed_slowly(heads, "hem", store)
    towards = rooted.embed("hem", *store)[:, :2] * [8, 6]
    added = np.maximum(np.einsum("blme,be->blm", parts, towards), 0)
    expected = added / added.sum((1, 2), keepdims=True)
    np.testing.assert_allclose(rooted.attend("hem", *store), expected, atol=1e-5)


def test_roots_stay_with_their_attribute(heads: AttributeHeads, tmp_path: Path) -> None:
    rooted, path = give_roots(heads), tmp_path / "a.safetensors"
    save_heads(rooted, path)
    for kept in (load_heads(path), rooted.with_quality({"hem": 0.25}), rooted.only(["hem"])):
        assert kept.roots.keys() == {"hem"}
        assert kept.roots["hem"].tolist() == [8, 6]
    assert rooted.renamed({"hem": "edge"}).roots.keys() == {"edge"}


def test_a_file_of_the_first_format_is_read(heads: AttributeHeads, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_heads(heads, path)
    story = json.loads(read_metadata(path)) | {"format": "selvedge-attributes-1"}
    save_file(load_file(path), path, {KEY: json.dumps(story)})
    assert not load_heads(path).roots


@pytest.mark.parametrize("roots", [{"cuff": [1, 1]}, {"hem": [1, 1, 1]}, {"hem": [1, 0]}])
def test_roots_that_do_not_fit_are_refused(heads: AttributeHeads, roots: dict) -> None:
    given = {name: np.array(each, dtype=np.float32) for name, each in roots.items()}
    with pytest.raises(CheckpointError, match="do not fit together"):
        AttributeHeads("f", heads.infos, heads.scaling, heads.maps, given)


def test_attributes_differ_and_batches_do_not(heads: AttributeHeads) -> None:
    store = draw_store(6)
    together = heads.embed("collar", *store)
    alone = np.concatenate(
        [heads.embed("collar", *(x[k : k + 1] for x in store)) for k in range(6)]
    )
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert not np.allclose(together, heads.embed("hem", *store), atol=0.1)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_an_unused_token_is_attended_by_nobody(heads: AttributeHeads) -> None:
    tokens, mass, geometry = draw_store(3)
    tokens[:, 0, 1], mass[:, 0, 1] = 0, 0
    shares = heads.attend("hem", tokens, mass, geometry)
    assert (shares[:, 0, 1] == 0).all()
    np.testing.assert_allclose(shares.sum((1, 2)), 1, atol=1e-5)


def test_where_nothing_decides_the_used_tokens_share_evenly(heads: AttributeHeads) -> None:
    still = AttributeHeads(
        heads.fingerprint, heads.infos[:1], heads.scaling, {"collar": 0 * heads.maps["collar"]}
    )
    tokens, mass, geometry = draw_store(2)
    mass[0, 0, 0] = 0
    shares = still.attend("collar", tokens, mass, geometry)
    assert shares[0, 0, 0] == 0
    np.testing.assert_allclose(shares[0].ravel()[1:], 1 / 5, atol=1e-6)
    assert (still.embed("collar", tokens, mass, geometry) == 0).all()


def test_no_image_gives_no_embedding(heads: AttributeHeads) -> None:
    assert heads.embed("hem", *draw_store(0)).shape == (0, heads.dim)
    assert heads.attend("hem", *draw_store(0)).shape == (0, 2, 3)


def test_a_file_comes_back_in_half_precision(heads: AttributeHeads, tmp_path: Path) -> None:
    path, again = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_heads(heads, path)
    loaded = load_heads(path)
    assert (loaded.infos, loaded.fingerprint, loaded.dim) == (
        heads.infos,
        heads.fingerprint,
        heads.dim,
    )
    store = draw_store(9)
    for name in heads.names:
        np.testing.assert_allclose(loaded.embed(name, *store), heads.embed(name, *store), atol=5e-3)
    save_heads(loaded, again)
    assert again.read_bytes() == path.read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_what_is_kept_and_what_is_noted(heads: AttributeHeads) -> None:
    noted = heads.with_quality({"hem": 0.25})
    assert (noted.info("hem").quality, noted.info("collar").quality) == (0.25, 0.5)
    assert heads.info("hem").quality is None
    assert noted.only(["hem"]).names == ("hem",)


def test_an_unknown_attribute_is_answered_with_the_known(heads: AttributeHeads) -> None:
    for ask in (heads.embed, heads.attend):
        with pytest.raises(ParameterError, match=r"no attribute 'cuff'; known are: collar, hem"):
            ask("cuff", *draw_store(1))
    with pytest.raises(ParameterError, match="known are"):
        heads.info("cuff")


def test_other_tokens_are_refused(heads: AttributeHeads) -> None:
    tokens, mass, geometry = draw_store(2)
    with pytest.raises(ParameterError, match=r"\(2, 3, 7\) an image, .* read \(2, 3, 8\)"):
        heads.embed("hem", tokens[..., :7], mass, geometry)
    with pytest.raises(ParameterError, match="do not belong together"):
        heads.embed("hem", tokens, mass[:1], geometry)
    with pytest.raises(ParameterError, match="no number"):
        heads.embed("hem", tokens * np.nan, mass, geometry)
    with pytest.raises(ParameterError, match="below zero"):
        heads.embed("hem", tokens, -mass, geometry)


def test_another_checkpoint_is_named(heads: AttributeHeads) -> None:
    check_checkpoint(heads, "f" * 64, "a.safetensors")
    with pytest.raises(CheckpointError, match=r"a.safetensors reads tokens .* ffff.* this one"):
        check_checkpoint(heads, "0" * 64, "a.safetensors")


def test_parts_that_do_not_fit_are_refused(heads: AttributeHeads) -> None:
    maps = heads.maps
    for infos, scaling, given in (
        ((), heads.scaling, {}),
        (heads.infos, heads.scaling, {"collar": maps["collar"]}),
        (heads.infos[:1] * 2, heads.scaling, {"collar": maps["collar"]}),
        (heads.infos, heads.scaling, {**maps, "hem": maps["hem"][:, :1]}),
        (heads.infos, Scaling(heads.scaling.mean[:1], heads.scaling.scale), maps),
        (heads.infos, Scaling(heads.scaling.mean, 0 * heads.scaling.scale), maps),
    ):
        with pytest.raises(CheckpointError, match="do not fit together"):
            AttributeHeads("f", infos, scaling, given)


def spoil_format(story: dict) -> None:
    story["format"] = "selvedge-attributes-9"


def spoil_quality(story: dict) -> None:
    story["attributes"][0]["quality"] = 7


@pytest.mark.parametrize("spoil", [spoil_format, spoil_quality])
def test_facts_that_do_not_fit_are_refused(
    heads: AttributeHeads, tmp_path: Path, spoil: Callable[[dict], None]
) -> None:
    path = tmp_path / "a.safetensors"
    save_heads(heads, path)
    story = json.loads(read_metadata(path))
    spoil(story)
    save_file(load_file(path), path, {KEY: json.dumps(story)})
    with pytest.raises(CheckpointError, match="damaged facts, or is of another format"):
        load_heads(path)


def test_files_of_another_kind_are_refused(heads: AttributeHeads, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(CheckpointError, match="no attributes at"):
        load_heads(path)
    path.write_bytes(b"not safetensors")
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        load_heads(path)
    save_file({"x": np.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="does not hold attributes"):
        load_heads(path)
    save_heads(heads, path)
    story, tensors = read_metadata(path), load_file(path)
    save_file({k: x for k, x in tensors.items() if k != "map.1"}, path, {KEY: story})
    with pytest.raises(CheckpointError, match=r"lacks the tensor 'map.1'"):
        load_heads(path)
    tensors["mean"][0] = np.nan
    save_file(tensors, path, {KEY: story})
    with pytest.raises(CheckpointError, match="no number"):
        load_heads(path)


def test_a_folder_that_is_not_there_is_a_sentence(heads: AttributeHeads, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot write the attributes"):
        save_heads(heads, tmp_path / "gone" / "a.safetensors")


def read_metadata(path: Path) -> str:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return str(file.metadata()[KEY])
