"""Training ASEN++: what learns in which stage, that it resumes, and what is written."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from model.attributes.asen.checkpoint import load_asen
from model.attributes.asen.config import AsenConfig, match_attributes
from model.attributes.asen.embedding import embed_photos, embed_split
from model.attributes.asen.measure import measure_asen, validate_asen
from model.attributes.asen.network import AttributeHead
from model.attributes.asen.recipes import PAPER, AsenRecipe, get_asen_recipe
from model.attributes.asen.start import start_network
from model.attributes.asen.train import enter_stage, train_asen
from model.attributes.records import Attribute, AttributeData
from model.backbone import build_backbone
from model.checkpoint import load_checkpoint
from model.config import get_preset
from model.errors import CheckpointError, DataError, ParameterError, TrainingError
from tests.model.attributes.asen_data import draw_data

QUICK = get_asen_recipe("quick").changed(
    image_size=32, source_size=32, triplets=16, batch_triplets=4, global_epochs=1, both_epochs=1
)
SAMPLED = QUICK.changed(learns_from="sampled", centre=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> AttributeData:
    return draw_data(tmp_path_factory.mktemp("shapes"))


@pytest.fixture(scope="module")
def trained(data: AttributeData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    return train_asen(
        QUICK, data, out, workers=1, validate=lambda network: validate_asen(network, data)
    )


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(load_asen(path).network.state_dict())


def test_the_paper_has_the_published_sizes(data: AttributeData) -> None:
    network = start_network(PAPER, data).network
    whole, local = network.global_branch, network.local_branch
    assert local is not None
    assert network.table.weight.shape == (2, 512)
    shapes = [
        [tuple(layer.weight.shape) for layer in layers]
        for layers in (
            (h.spatial.image_side, h.channel.squeeze, h.channel.excite, h.output)
            for h in (whole.head, local.head)
            if isinstance(h, AttributeHead)
        )
    ]
    assert shapes == [
        [(512, 1024, 1, 1), (512, 1536), (1024, 512), (1024, 1024)],
        [(256, 256, 1, 1), (128, 768), (256, 128), (1024, 256)],
    ]
    maps = local.backbone(torch.zeros(1, 3, 112, 112)).levels[0]
    assert maps.shape == (1, 256, 7, 7)
    assert not any(name.startswith("net.layer4") for name in local.backbone.state_dict())


def test_a_run_writes_checkpoint_record_log_and_the_best_epoch(
    trained: Path, data: AttributeData
) -> None:
    loaded = load_asen(trained)
    assert AsenRecipe.model_validate(loaded.record.recipe) == QUICK
    assert loaded.record.epochs == 2
    assert loaded.network.config.fused
    assert "24 photos, 2 attributes" in loaded.record.weights
    with (trained.parent / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    best = max(float(row["mAP"]) for row in rows)
    assert load_asen(trained.parent / "best.safetensors").record.metrics["mAP"] == best
    assert rows[-1]["mAP colour"]


@pytest.mark.parametrize("recipe", [QUICK, SAMPLED, QUICK.changed(network="plain")])
def test_a_run_that_was_stopped_ends_with_the_same_weights(
    data: AttributeData, tmp_path: Path, recipe: AsenRecipe
) -> None:
    class Killed(Exception):
        pass

    def kill(epoch: int, step: int, steps: int, loss: float) -> None:
        if (epoch, step) == (1, 1):
            raise Killed

    whole = weights(train_asen(recipe, data, tmp_path / "whole", workers=1))
    with pytest.raises(Killed):
        train_asen(recipe, data, tmp_path / "cut", workers=2, watch=kill)
    resumed = weights(train_asen(recipe, data, tmp_path / "cut", resume=True))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_stage_one_leaves_the_local_branch_alone_and_does_not_ask_it(
    data: AttributeData, tmp_path: Path
) -> None:
    recipe = SAMPLED.changed(both_epochs=0)
    before = start_network(recipe, data).network.state_dict()
    path = train_asen(recipe, data, tmp_path)
    after = weights(path)
    moved = {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}
    assert moved == {"table", "global_branch"}
    network = load_asen(path).network
    assert embed_photos(network, data.train[:2], [0], amp="off").shape == (2, 1, 32)


def test_the_local_branch_may_start_as_the_global_one(data: AttributeData) -> None:
    network = start_network(QUICK, data).network
    whole, local = network.global_branch, network.local_branch
    assert local is not None
    enter_stage(QUICK, network, epoch=0)
    assert not torch.equal(local.head.output.weight, whole.head.output.weight)
    enter_stage(QUICK, network, epoch=QUICK.global_epochs)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, local.state_dict()[name])


def test_a_copy_of_another_network_is_refused(data: AttributeData) -> None:
    with pytest.raises(ParameterError, match="small_resnet and tiny; give both the same network"):
        start_network(QUICK.changed(local_backbone="small_resnet"), data)


def test_a_fused_embedding_is_a_unit_vector_of_both_branches(
    trained: Path, data: AttributeData
) -> None:
    network = load_asen(trained).network
    found = embed_photos(network, data.train[:3], [0, 1], amp="off")
    assert found.shape == (3, 2, 64)
    torch.testing.assert_close(
        torch.from_numpy(found).norm(dim=-1), torch.ones(3, 2), atol=1e-5, rtol=0
    )
    whole = torch.from_numpy(found[..., :32]).norm(dim=-1)
    torch.testing.assert_close(whole, torch.full((3, 2), 0.6**0.5), atol=1e-5, rtol=0)


def test_all_attributes_in_one_pass_are_those_one_by_one(
    trained: Path, data: AttributeData
) -> None:
    network = load_asen(trained).network
    together = embed_photos(network, data.train[:3], [0, 1], amp="off")
    for attribute in (0, 1):
        alone = embed_photos(network, data.train[:3], [attribute], amp="off")[:, 0]
        torch.testing.assert_close(
            torch.from_numpy(together[:, attribute]), torch.from_numpy(alone), atol=1e-4, rtol=0
        )


def test_no_gradient_passes_the_region(data: AttributeData) -> None:
    network = start_network(SAMPLED, data).network
    network.config = network.config.model_copy(update={"fused": True})
    photos = torch.randint(0, 255, (2, 3, 32, 32))
    embedded = network(photos, torch.tensor([0, 1]))
    assert embedded.local is not None
    embedded.local.sum().backward()
    assert all(p.grad is None for p in network.global_branch.parameters())
    assert network.table.weight.grad is not None


def test_heads_run_on_mgas_backbone_in_one_pass() -> None:
    options = get_preset("tiny").backbone
    features = build_backbone(options).eval()(torch.rand(2, 3, 64, 64))
    for maps in (features.final, *features.levels):
        head = AttributeHead(
            maps.shape[1], attribute_dim=8, common_width=8, reduction=2, embedding_dim=16
        )
        assert head(maps, torch.randn(2, 5, 8)).embedding.shape == (2, 5, 16)


def test_the_baseline_gives_every_attribute_the_same_embedding(data: AttributeData) -> None:
    network = start_network(QUICK.changed(network="plain"), data).network.eval()
    found = embed_photos(network, data.train[:2], [0, 1], amp="off")
    assert (found[:, 0] == found[:, 1]).all()


def test_an_mga_checkpoint_gives_its_backbone(data: AttributeData, tiny: Path) -> None:
    started = start_network(SAMPLED, data, str(tiny))
    wanted = load_checkpoint(tiny).model.backbone.net.state_dict()
    for name, value in started.network.global_branch.backbone.net.state_dict().items():
        assert torch.equal(value, wanted[name])
    assert started.weights.count("tiny.safetensors") == 2


def test_weights_of_another_network_are_refused(data: AttributeData, tiny: Path) -> None:
    with pytest.raises(CheckpointError, match="has the backbone tiny, and the recipe wants res"):
        start_network(PAPER, data, str(tiny))


def test_a_loss_that_is_not_finite_stops_with_a_sentence(
    data: AttributeData, tmp_path: Path
) -> None:
    recipe = SAMPLED.changed(learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"the loss became nan.*Lower the learning rate"):
        train_asen(recipe, data, tmp_path)


def test_resuming_with_another_recipe_names_the_difference(
    trained: Path, data: AttributeData
) -> None:
    with pytest.raises(TrainingError, match=r"margin = 0\.2, now it is 0\.3"):
        train_asen(QUICK.changed(margin=0.3), data, trained.parent, resume=True)


def test_an_attribute_with_one_value_is_refused(data: AttributeData, tmp_path: Path) -> None:
    same = tuple(replace(photo, values={0: 0, 1: 0}) for photo in data.train)
    with pytest.raises(DataError, match="nothing to tell apart"):
        train_asen(QUICK, replace(data, train=same), tmp_path)


def test_data_without_a_known_attribute_is_refused(trained: Path, data: AttributeData) -> None:
    other = replace(data, attributes=(Attribute("hem", ("a", "b")), Attribute("cuff", ("c",))))
    with pytest.raises(DataError, match=r"hem, cuff, and the checkpoint knows colour, place"):
        measure_asen(load_asen(trained), other, other.test, name="x")


def test_what_the_network_does_not_know_is_left_out_and_said(
    trained: Path, data: AttributeData
) -> None:
    renamed = replace(data, attributes=(data.attributes[0], Attribute("hem", ("a", "b"))))
    found = measure_asen(load_asen(trained), renamed, renamed.test, name="ours").whole
    assert found.names == ["colour"]
    assert "Not asked, or not known to ours: hem." in found.notes


def test_attributes_are_matched_by_name(trained: Path, data: AttributeData) -> None:
    config: AsenConfig = load_asen(trained).network.config
    swapped = replace(data, attributes=(Attribute("hem", ("a",)), data.attributes[0]))
    assert match_attributes(config, swapped) == {1: 0}


def test_each_photo_is_embedded_only_for_what_it_is_asked(
    trained: Path, data: AttributeData
) -> None:
    split = replace(data.test, queries={0: (0,), 1: (1,)}, candidates={0: (2, 3), 1: (3,)})
    found = embed_split(load_asen(trained).network, split, {0: 0, 1: 1}, amp="off")
    assert {a: sorted(rows) for a, rows in found.items()} == {0: [0, 2, 3], 1: [1, 3]}


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (lambda tiny, _: load_asen(tiny), "an MGA checkpoint; leave --method asen out"),
        (lambda _, asen: load_checkpoint(asen), "an ASEN\\+\\+ checkpoint.*give --method asen"),
    ],
)
def test_the_wrong_kind_of_checkpoint_is_named(
    trained: Path, tiny: Path, load: Callable[[Path, Path], object], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        load(tiny, trained)


def test_bare_weights_are_no_checkpoint(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "bare.safetensors")
    with pytest.raises(CheckpointError, match="bare network weights"):
        load_asen(tmp_path / "bare.safetensors")


def test_too_few_epochs_for_two_stages_are_refused() -> None:
    with pytest.raises(ParameterError, match="2 stages, so --epochs 1 is too few"):
        PAPER.shortened(1)
