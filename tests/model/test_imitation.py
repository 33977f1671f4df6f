"""The loss of distillation: against plain loops, and what it may be asked."""

import math

import pytest
import torch
from torch import Tensor

from model.backbone import Features
from model.config import BackboneOptions, get_preset
from model.errors import CheckpointError
from model.imitation import ERROR_WEIGHT, CellLoss, ImitationLoss
from model.initialise import initialise
from model.mga import MGA


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make(strides: tuple[int, ...] = (32, 16, 8), seed: int = 0) -> MGA:
    config = get_preset("tiny")
    options = BackboneOptions(name="tiny", strides=strides)
    return initialise(config.model_copy(update={"backbone": options}), seed=seed).model


def loop_over_cells(loss: CellLoss, found: Tensor, wanted: Tensor) -> tuple[float, float]:
    """(B, C, n, n) against (B, K, 2n, 2n), cell by cell and channel by channel."""
    count, _, side, _ = found.shape
    weight, bias = loss.head.weight[:, :, 0, 0].tolist(), loss.head.get_parameter("bias").tolist()
    sums = {"away": 0.0, "length": 0.0, "error": 0.0, "square": 0.0}
    for image in range(count):
        for y in range(side):
            for x in range(side):
                cell = found[image, :, y, x].tolist()
                window = wanted[image, :, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
                target = [
                    (float(window[k].sum()) / 4 - float(loss.mean[k])) / float(loss.spread)
                    for k in range(len(weight))
                ]
                guess = [
                    sum(w * c for w, c in zip(row, cell, strict=True)) + b
                    for row, b in zip(weight, bias, strict=True)
                ]
                length = math.hypot(*target)
                product = sum(g * t for g, t in zip(guess, target, strict=True))
                sums["away"] += length * (1 - product / (length * math.hypot(*guess)))
                sums["length"] += length
                sums["error"] += sum((g - t) ** 2 for g, t in zip(guess, target, strict=True))
                sums["square"] += length**2
    distance = sums["away"] / sums["length"]
    return distance + ERROR_WEIGHT * sums["error"] / sums["square"], distance


def test_the_loss_of_a_map_is_that_of_plain_loops() -> None:
    loss = CellLoss(3, 5)
    loss.mean.copy_(draw(5, seed=2))
    loss.spread.fill_(0.3)
    found, wanted = draw(2, 3, 2, 2), draw(2, 5, 4, 4, seed=1)
    with torch.no_grad():
        value, distance = loss(found, wanted)
    expected = loop_over_cells(loss, found, wanted)
    assert (float(value), float(distance)) == pytest.approx(expected, abs=1e-5)


def test_the_coarser_grid_is_that_of_either_side() -> None:
    loss, coarse, fine = CellLoss(3, 3), draw(1, 3, 2, 2), draw(1, 3, 4, 4, seed=1)
    pooled = torch.nn.functional.avg_pool2d(fine, 2)
    torch.testing.assert_close(loss(fine, coarse), loss(pooled, coarse))
    torch.testing.assert_close(loss(coarse, fine), loss(coarse, pooled))


def test_a_student_that_is_its_teacher_has_nothing_to_learn() -> None:
    model = make()
    loss = ImitationLoss(model.backbone, model.backbone)
    with torch.no_grad():
        features = model.backbone(draw(2, 3, 64, 64))
        loss.measure([features])
        for part in loss.parts:
            assert isinstance(part, CellLoss)
            torch.nn.init.dirac_(part.head.weight).div_(part.spread)
            part.head.get_parameter("bias").copy_(-part.mean / part.spread)
        value, distances = loss(features, features)
    assert loss.names == ["stride 32", "stride 16", "stride 8", "final"]
    torch.testing.assert_close(value, torch.tensor(0.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(distances, torch.zeros(4), atol=1e-4, rtol=0)


def test_only_levels_of_equal_stride_are_compared() -> None:
    student, teacher = make((16, 8, 4)), make((32, 16, 8))
    loss = ImitationLoss(student.backbone, teacher.backbone)
    assert loss.names == ["stride 16", "stride 8", "final"]
    pixels = draw(2, 3, 64, 64)
    ours, theirs = student.backbone(pixels), teacher.backbone(pixels)
    changed = Features((*ours.levels[:2], ours.levels[2] + 1), ours.final)
    assert torch.equal(loss(ours, theirs)[0], loss(changed, theirs)[0])
    changed = Features((ours.levels[0], ours.levels[1] + 1, ours.levels[2]), ours.final)
    assert not torch.equal(loss(ours, theirs)[0], loss(changed, theirs)[0])


def test_a_final_map_that_is_a_level_is_not_asked_twice() -> None:
    trunk = initialise(get_preset("mga-r50")).model.backbone
    assert ImitationLoss(trunk, make((16, 8)).backbone).names == ["stride 16", "stride 8"]
    assert "final" in ImitationLoss(make((16, 8)).backbone, trunk).names


def test_no_common_level_is_a_sentence() -> None:
    with pytest.raises(CheckpointError, match=r"strides 32, the student tiny of 16, 8: none in"):
        ImitationLoss(make((16, 8)).backbone, make((32,)).backbone)


def test_mean_and_spread_are_those_of_all_cells() -> None:
    model = make()
    loss = ImitationLoss(model.backbone, model.backbone)
    with torch.no_grad():
        seen = [model.backbone(draw(2, 3, 64, 64, seed=k)) for k in range(2)]
    loss.measure(seen)
    cells = torch.cat([features.levels[1] for features in seen]).transpose(0, 1).flatten(1)
    part = loss.parts[1]
    torch.testing.assert_close(part.get_buffer("mean"), cells.mean(1))
    spread = (cells - cells.mean(1, keepdim=True)).norm() / cells.numel() ** 0.5
    torch.testing.assert_close(part.get_buffer("spread"), spread)


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_the_loss_has_no_unit(unit: float) -> None:
    """A teacher of small numbers teaches as one of large numbers does."""
    student, teacher = make(), make(seed=1)
    pixels = draw(2, 3, 64, 64)
    ours, theirs = student.backbone(pixels), teacher.backbone(pixels)
    scaled = Features(tuple(unit * level for level in theirs.levels), unit * theirs.final)
    values = []
    loss = ImitationLoss(student.backbone, teacher.backbone)
    for features in (theirs, scaled):
        loss.measure([features])
        values.append(loss(ours, features)[0])
    torch.testing.assert_close(values[0], values[1], rtol=1e-2, atol=0)
