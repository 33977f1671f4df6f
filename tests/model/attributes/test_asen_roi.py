"""From an attention map to a region: against the published integer crop, and its guards."""

import numpy as np
import pytest
import torch
from PIL import Image

from model.attributes.asen.config import RegionOptions
from model.attributes.asen.roi import cut_regions, find_regions, keep_largest_part
from tests import reference_asen as slow

OPTIONS = RegionOptions()


def blob(y: float, x: float, width: float = 1.5) -> torch.Tensor:
    """A 14 x 14 map with one bump."""
    grid = torch.arange(14.0)
    near = torch.exp(-((grid[:, None] - y) ** 2 + (grid - x) ** 2) / width**2)
    return near / near.sum()


@pytest.mark.parametrize("size", [(300, 450), (640, 224), (224, 224)])
@pytest.mark.parametrize("place", [(2, 3), (7, 7), (13, 1), (6.4, 12.3)])
def test_regions_agree_with_the_published_crop(
    place: tuple[float, float], size: tuple[int, int]
) -> None:
    attention = blob(*place)
    found = find_regions(attention[None], 224, OPTIONS)[0]
    wanted = slow.published_region(attention.tolist(), 224, 0.1, size)
    short = min(size)
    offset = [(length - short) / 2 for length in size] * 2
    edges = [float(edge) * short + skip for edge, skip in zip(found, offset, strict=True)]
    # Half a pixel of the frame for the centre, a pixel of the photo for its edges.
    tolerance = 0.5 * short / 224 + 1.0
    assert np.abs(np.array(edges) - wanted).max() <= tolerance + 0.5  # the odd half of the offset


@pytest.mark.parametrize("value", [1 / 196, 0.0, float("nan")])
def test_a_flat_map_gives_the_whole_frame(value: float) -> None:
    maps = torch.full((1, 14, 14), value)
    assert find_regions(maps, 224, OPTIONS).tolist() == [[0.0, 0.0, 1.0, 1.0]]


def test_a_tiny_bump_gives_the_least_side_inside_the_frame() -> None:
    maps = torch.zeros(2, 56, 56)
    maps[0, 0, 55] = maps[1, 30, 30] = 1.0
    found = find_regions(maps, 56, OPTIONS)
    side = found[:, 2:] - found[:, :2]
    torch.testing.assert_close(side, torch.full((2, 2), 32 / 224))
    assert found.min() >= 0
    assert found.max() <= 1


def test_the_largest_part_ignores_a_stray_location() -> None:
    calm, stray = blob(4, 4), blob(4, 4)
    stray[13, 13] = stray.max()
    largest = RegionOptions(largest_part=True)
    found = find_regions(stray[None], 224, largest)
    # What is faint beside the part is lowered, too: a pixel or two of the frame.
    torch.testing.assert_close(found, find_regions(calm[None], 224, OPTIONS), atol=2 / 224, rtol=0)
    assert find_regions(stray[None], 224, OPTIONS)[0, 2] > 0.99


def test_parts_are_connected_over_corners_and_around_bends() -> None:
    snake = ["1111.", "....1", ".111.", "1....", ".11.."]
    maps = torch.tensor([[float(c == "1") for c in row] for row in snake])
    maps[4, 4] = 1.0  # alone
    kept = keep_largest_part(maps[None], 0.1)[0]
    assert kept[4, 4] == 0
    assert kept.sum() == maps.sum() - 1


@pytest.mark.parametrize("box", [(0, 0, 90, 90), (10, 20, 70, 80), (33, 5, 41, 13)])
def test_cutting_whole_pixels_is_pillows_crop_and_resize(box: tuple[int, int, int, int]) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (90, 90, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    wanted = np.asarray(image.crop(box).resize((24, 24), Image.Resampling.BILINEAR))
    photo = torch.from_numpy(noise).permute(2, 0, 1)[None].float()
    found = cut_regions(photo, torch.tensor([box]) / 90, 24)[0].permute(1, 2, 0)
    assert np.abs(found.numpy() - wanted).max() <= 1.0  # Pillow rounds to 8 bits, twice


def test_a_batch_is_cut_as_one_by_one_and_carries_no_gradient() -> None:
    photos = torch.rand(3, 3, 40, 40)
    maps = torch.stack([blob(2, 3), blob(9, 9), blob(5, 12)]).requires_grad_()
    boxes = find_regions(maps, 40, OPTIONS)
    assert not boxes.requires_grad
    together = cut_regions(photos, boxes, 16)
    for i in range(3):
        torch.testing.assert_close(
            together[i : i + 1], cut_regions(photos[i : i + 1], boxes[i : i + 1], 16)
        )
