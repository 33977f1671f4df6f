"""From an attention map to a square region of the photo, for a whole batch on its device.

The published code does this on the CPU, one photo at a time, in whole pixels; here the
square may lie between pixels (docs/math.md, Eq. 20-21). No gradient flows.

R regions, H x W locations of a map, F pixels a side of the frame, S pixels a side of the
source photo, O of the cut region.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from model.attributes.asen.config import RegionOptions


@torch.no_grad()
def find_regions(maps: Tensor, frame: int, options: RegionOptions) -> Tensor:
    """Squares (R, 4) of (R, H, W) attention maps: left, top, right, bottom as fractions, 0..1.

    A map that is flat, or not finite, gives the whole frame.
    """
    if options.largest_part:
        maps = keep_largest_part(maps, options.threshold)
    large = F.interpolate(
        maps.float().unsqueeze(1), size=(frame, frame), mode="bilinear", align_corners=False
    ).squeeze(1)  # (R, F, F)
    low, high = large.amin(dim=(1, 2)), large.amax(dim=(1, 2))
    spread = high - low
    usable = spread > options.flat * high.abs()  # False for nan, too
    grey = (large - low[:, None, None]) / spread.clamp(min=1e-12)[:, None, None]
    # As published, the map is rounded down to 8 bits before it is compared.
    inside = (grey * 255.0).floor() > 255.0 * options.threshold
    box = _square(_bounds(inside), options.least_side * frame, frame) / frame
    whole = box.new_tensor([0.0, 0.0, 1.0, 1.0])
    return torch.where(usable[:, None], box, whole)


@torch.no_grad()
def keep_largest_part(maps: Tensor, threshold: float) -> Tensor:
    """Lower all of (R, H, W) maps to their minimum but the largest connected part above tau.

    Parts are 8-connected locations; of two equally large ones, the later one is kept.
    """
    low, high = (f(maps, dim=(1, 2), keepdim=True) for f in (torch.amin, torch.amax))
    inside = maps > low + threshold * (high - low)
    height, width = maps.shape[-2:]
    places = torch.arange(1, height * width + 1, device=maps.device, dtype=torch.float32)
    label = places.view(1, height, width) * inside
    for _ in range(height * width):
        spread = F.max_pool2d(label.unsqueeze(1), 3, 1, 1).squeeze(1) * inside
        if torch.equal(spread, label):
            break
        label = spread
    count = torch.zeros(len(maps), height * width + 1, device=maps.device)
    count.scatter_add_(1, label.flatten(1).long(), inside.flatten(1).float())
    # Ties go to the larger label.
    order = torch.arange(count.shape[1], device=maps.device) / (2.0 * count.shape[1])
    chosen = (count + order).argmax(dim=1).float()[:, None, None]
    return torch.where(inside & (label == chosen), maps, low)


def cut_regions(photos: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Cut (R, 4) boxes (fractions) out of (R, 3, S, S) photos and scale them: (R, 3, O, O).

    Scaling averages over all pixels a result covers, as Pillow's bilinear filter does, so
    that a large region scaled down does not flicker; what lies outside the box has no say.
    """
    height, width = photos.shape[-2:]
    across = _resampling(boxes[:, 0] * width, boxes[:, 2] * width, width, size)  # (R, O, S)
    down = _resampling(boxes[:, 1] * height, boxes[:, 3] * height, height, size)
    rows = down[:, None] @ photos.to(down.dtype)  # (R, 3, O, S)
    return rows @ across.mT[:, None]


def whole_boxes(count: int, device: torch.device) -> Tensor:
    """The whole frame, (R, 4)."""
    return torch.tensor([0.0, 0.0, 1.0, 1.0], device=device).expand(count, 4)


def _bounds(inside: Tensor) -> Tensor:
    """Rectangles (R, 4) around the True cells of (R, F, F) masks, in pixels; ends are exclusive."""
    frame = inside.shape[-1]
    place = torch.arange(frame, device=inside.device)
    sides = []
    for over in (1, 2):  # columns, then rows
        hit = inside.any(dim=over)  # (R, F)
        first = torch.where(hit, place, frame).amin(dim=1)
        last = torch.where(hit, place + 1, 0).amax(dim=1)
        sides.append((first, last))
    (left, right), (top, bottom) = sides
    return torch.stack([left, top, right, bottom], dim=1).float()


def _square(boxes: Tensor, least: float, frame: int) -> Tensor:
    """Widen rectangles to squares about their centres, moved back inside the frame."""
    low, high = boxes[:, :2], boxes[:, 2:]
    side = (high - low).amax(dim=1, keepdim=True).clamp(min=least, max=frame)
    start = ((low + high - side) / 2).clamp(min=torch.zeros_like(side), max=frame - side)
    return torch.cat([start, start + side], dim=1)


def _resampling(start: Tensor, end: Tensor, length: int, size: int) -> Tensor:
    """Weights (R, size, length) that scale [start, end) of a line of `length` pixels to `size`."""
    scale = (end - start) / size  # (R,)
    reach = scale.clamp(min=1.0)[:, None, None]
    steps = torch.arange(size, device=start.device) + 0.5
    centre = (start[:, None] + steps * scale[:, None])[..., None]  # (R, size, 1)
    pixel = torch.arange(length, device=start.device) + 0.5
    weight = (1.0 - (pixel - centre).abs() / reach).clamp(min=0.0)
    inside = (pixel > start[:, None, None]) & (pixel < end[:, None, None])
    weight = weight * inside
    return weight / weight.sum(dim=-1, keepdim=True).clamp(min=1e-12)
